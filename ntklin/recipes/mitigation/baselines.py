"""What stands beside Sect. 3's algorithm: networks whose output is 0 at the start, and decay."""

from collections.abc import Iterator
from dataclasses import replace

from ntklin.edge.arrays import Array
from ntklin.edge.values import said
from ntklin.networks.mlp import MLP
from ntklin.networks.symmetrized import AntisymmetricPair, DoubledNetwork
from ntklin.recipes.mitigation.half_life import DecayCourse
from ntklin.recipes.mitigation.trial import Contest, Trial
from ntklin.runs.optimizers import GradientDescent, Momentum


def baselines(net: MLP, theta: Array, contest: Contest) -> Iterator[Trial]:
    """Train the doubled network, if there is a layer to double, and the antisymmetrical pair.

    Parameters
    ----------
    net : MLP
    theta : ndarray, shape (P,)
        Its θ_0, which both start from.
    contest : Contest

    Yields
    ------
    Trial
    """
    pair = AntisymmetricPair(net)
    if net.depth > 1:
        doubled = DoubledNetwork(net)
        trial = contest.enter(doubled, doubled.symmetrize(theta))[0]
        yield trial
        if are_one_network(net, contest.optimizer):
            yield replace(trial, network=pair)
            return
    yield contest.enter(pair, pair.symmetrize(theta))[0]


def are_one_network(net: MLP, optimizer: object) -> bool:
    """Whether the pair and the doubled network are one function of t, so that one run serves both.

    For L = 2 the pair is an MLP of 2m neurons: the scales of ``fan_in`` for this width contain the
    pair's 1/√2, and so do those of ``fan_out``, and of ``eq1`` without biases, if the activation is
    homogeneous: they have it in the argument of α. Its output bias (b − b')/√2 moves as one b does
    where steps are linear in the gradients.

    Returns
    -------
    bool
    """
    if net.depth != 2 or not isinstance(optimizer, GradientDescent | Momentum | None):
        return False
    if net.scaling == "fan_in":
        return True
    return net.activation.is_homogeneous and (net.scaling == "fan_out" or not net.has_bias)


def decay_course(
    net: MLP, theta: Array, contest: Contest, weight_decay: float | None
) -> DecayCourse:
    """How weight decay takes f_init out of the network that the algorithm starts with.

    Returns
    -------
    DecayCourse

    Raises
    ------
    ValueError
        If that is unknown of the contest's optimizer, loss or batches, or of the network.
    """
    optimizer, options = contest.optimizer, contest.options
    rule = GradientDescent() if optimizer is None else optimizer
    plain = isinstance(rule, GradientDescent) and rule == GradientDescent(rule.learning_rate)
    if not plain or callable(rule.learning_rate):
        raise ValueError(
            "compare_decay=True needs plain gradient descent at a constant rate, "
            f"GradientDescent(η), got optimizer={said(optimizer)}"
        )
    if options["loss"] != "squared" or options["batches"] is not None:
        raise ValueError("compare_decay=True needs loss='squared' and no batches")
    return DecayCourse.of(
        net,
        theta,
        *contest.training,
        weight_decay=weight_decay,
        learning_rate=rule.learning_rate,
    )
