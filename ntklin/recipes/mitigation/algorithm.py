"""Steps (a) to (e) of Sect. 3: the same θ_0 at ever smaller σ while validation improves."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside
from ntklin.edge.checks import (
    as_callback,
    as_count,
    as_flag,
    as_fraction,
    as_inputs,
    as_positive,
    as_progress,
    as_vector,
)
from ntklin.edge.faces.bars import NetworkMeter, followed
from ntklin.networks.mlp import MLP, Rng
from ntklin.networks.symmetrized import AntisymmetricPair, DoubledNetwork
from ntklin.recipes.mitigation.baselines import baselines, decay_course
from ntklin.recipes.mitigation.half_life import DecayCourse
from ntklin.recipes.mitigation.result import (
    DIVERGED,
    INTERRUPTED,
    NO_DECREASE,
    SMALLEST,
    TOO_SLOW,
    Mitigation,
    MitigationInterrupted,
    rank,
)
from ntklin.recipes.mitigation.trial import Contest, Trial
from ntklin.runs.batches import BatchSource
from ntklin.runs.losses import Loss, LossName
from ntklin.runs.optimizer import Optimizer
from ntklin.training.training_run import TrainingRun

_log = logging.getLogger("ntklin.recipes")


def mitigate_initialization(
    net: MLP,
    X: ArrayLike,
    Y: ArrayLike,
    X_val: ArrayLike,
    Y_val: ArrayLike,
    *,
    theta: ArrayLike | None = None,
    rng: Rng = 0,
    factor: float = 0.7,
    margin: float = 0.05,
    min_sigma: float = 0.01,
    optimizer: Optimizer | Callable[[MLP | AntisymmetricPair], Optimizer | None] | None = None,
    until: float = 1e-5,
    max_steps: int = 100_000,
    time_limit: float | None = None,
    batches: BatchSource | None = None,
    loss: LossName = "squared",
    X_test: ArrayLike | None = None,
    Y_test: ArrayLike | None = None,
    compare_baselines: bool = False,
    compare_decay: bool = False,
    weight_decay: float | None = None,
    progress: Callable[[MLP | AntisymmetricPair, int, float], object] | bool | None = None,
    on_trial: Callable[[Trial], object] | None = None,
) -> Mitigation:
    """Train from the same θ_0 at decreasing σ while the validation loss falls (Sect. 3).

    What the initialization leaves in a trained network grows like σ^L (Thm 2; with an activation
    that is not homogeneous it falls with σ, too, by no such law), while very small σ make training
    slow. Hence: (a) train at the network's own σ; (b) train again from the same
    Gaussian draw θ_0 at ``factor`` times that σ; (c) stop unless the validation loss fell by a
    significant margin; (d) repeat, until training becomes impractically slow; (e) return the
    trained network of smallest validation loss.

    Parameters
    ----------
    net : MLP
        With a homogeneous activation: ``relu``, ``leaky_relu`` or ``abs``. Its σ is the first one.
        The others have the same parameters θ_0, since σ enters through the scales w_l and v_l
        alone; a ``sigma_b`` of its own stays as it is.
    X, Y : array_like, shapes (N, d) and (N,), or (N, C) of more than one output
        Training inputs and targets, as for :func:`ntklin.train`.
    X_val, Y_val : array_like, shapes (N_val, d) and (N_val,) or (N_val, C)
        What the networks are chosen by.
    theta : array_like, shape (P,), optional
        θ_0; not changed. Drawn with ``rng`` when not given.
    rng : int, numpy.random.Generator or None
        The seed of θ_0.
    factor : float
        In (0, 1): "a somewhat smaller σ (e.g. by several ten percent)".
    margin : float
        In [0, 1): the validation loss has fallen significantly if it is below (1 − margin) times
        that of the σ before.
    min_sigma : float
        No σ below this is tried.
    optimizer : Optimizer or callable, optional
        ``GradientDescent()`` when not given, whose η is 0.5 N/λ_max at each σ. One with a learning
        rate of its own has it at all σ, though the kernel falls like σ^{2L}; a callable
        ``optimizer(network)`` can choose another for each network, such as
        ``lambda net: ntklin.Adam(0.01 / net.sigma)``.
    until : float
        A network counts as trained when its training loss first drops below this.
    max_steps : int
        More steps than this are impractically slow …
    time_limit : float, optional
        … and so are more seconds for one network; no limit when not given.
    batches : Batches or list of index arrays, optional
        As for :func:`ntklin.train`.
    loss : {"squared", "logistic", "softmax"}
        Validation and test losses are of the same kind.
    X_test, Y_test : array_like, optional
        For test losses, by which nothing is chosen.
    compare_baselines : bool
        Whether networks with f_0 = 0 are trained, too, at the first σ from the same θ_0: the
        doubled network (Chizat et al. 2019) and the antisymmetrical pair (Zhang et al. 2020b). For
        L = 2 under gradient descent the two are one function of t, which is then trained once.
    compare_decay : bool
        Whether the network is trained at the first σ from the same θ_0 with weight decay, too, as
        :func:`ntklin.decay_initialization` does it: to where its linearization is f_int, or to the
        limits of steps and time. For gradient descent at a constant rate, the squared loss, no
        batches, and a θ_0 whose biases are 0.
    weight_decay : float, optional
        Of that; λ_min(K(X, X))/(10N) when not given.
    progress : callable or bool, optional
        Called as ``progress(network, step, loss)`` about ten times a second. True shows a bar.
    on_trial : callable, optional
        Called as ``on_trial(trial)`` when a network is trained.

    Returns
    -------
    Mitigation

    Raises
    ------
    TypeError
        For batches that can be read only once, or a network that is no plain MLP.
    ValueError
        For a ``factor``, ``margin`` or ``min_sigma`` with which σ does not decrease, and for
        ``scaling="standard"``, where f_θ does not depend on σ.
    DivergenceError
        If training diverges at the first σ, as ``train`` has it.
    FloatRangeError
        If the squares of Y, Y_val or Y_test leave the range of float64.
    MitigationInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``result`` holds what was finished.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> data = ntklin.load_data("mnist01", n_train=20, n_test=50)
    >>> found = ntklin.mitigate_initialization(
    ...     ntklin.MLP((784, 50, 1), sigma=1.5),
    ...     *(data.X_train, data.Y_train, data.X_test, data.Y_test),
    ...     until=1e-3,
    ... )
    >>> found.stopped, found.sigma < 1.5
    ('no significant decrease', True)
    """
    _require_mlp(net)
    if isinstance(batches, Iterator):
        raise TypeError(
            "batches must be ntklin.Batches or a list, since several networks are trained; got "
            f"{type(batches).__name__}, which can be read only once"
        )
    if isinstance(optimizer, type):
        raise TypeError(
            "optimizer must be an ntklin optimizer or a function of the network, got the class "
            f"{optimizer.__name__}; pass an instance of it"
        )
    kind, on_trial = Loss(loss), as_callback(on_trial, name="on_trial")
    progress = as_progress(progress)
    contest = Contest(
        training=_as_samples(net, kind, X, Y),
        validation=_as_samples(net, kind, X_val, Y_val, "_val"),
        test=_as_test_set(net, kind, X_test, Y_test),
        optimizer=optimizer,
        until=as_positive(until, name="until"),
        max_steps=as_count(max_steps, name="max_steps"),
        time_limit=None if time_limit is None else as_positive(time_limit, name="time_limit"),
        options={"batches": batches, "loss": kind.name},
    )
    if net.scaling == "standard":
        raise ValueError(
            "mitigation lowers σ at one θ, and with scaling='standard' σ is no part of the "
            "network; take the same weights with scaling='fan_in', as by ntklin.from_state_dict("
            "ntklin.to_state_dict(net, theta), scaling='fan_in')"
        )
    factor = as_positive(factor, name="factor")
    if factor >= 1:
        raise ValueError(f"factor must be below 1, so that σ decreases; got {factor:g}")
    margin = as_fraction(margin, name="margin")
    min_sigma = as_positive(min_sigma, name="min_sigma")
    if min_sigma > net.sigma:
        raise ValueError(f"min_sigma = {min_sigma:g} is above the network's sigma = {net.sigma:g}")
    compare_baselines = as_flag(compare_baselines, name="compare_baselines")
    compare_decay = as_flag(compare_decay, name="compare_decay")
    if theta is None:
        theta = beside(net.init(rng, contest.training[0].dtype), contest.training[0])
    theta = as_vector(theta, net.n_parameters, name="theta")
    contest.require_losses(net, theta)
    course = decay_course(net, theta, contest, weight_decay) if compare_decay else None
    with followed(progress, lambda: NetworkMeter(contest.max_steps, contest.until)) as told:
        contest = replace(contest, progress=told)
        search = _Search(net, theta, contest, factor, margin, min_sigma, on_trial)
        try:
            search.descend()
            if compare_baselines:
                search.compare()
            if course is not None:
                search.decay(course)
        except KeyboardInterrupt as e:
            raise MitigationInterrupted(search.result(INTERRUPTED)) from e
    return cast(Mitigation, search.result())  # the first network was trained, or has raised


def _require_mlp(net: MLP) -> None:
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an ntklin.MLP, got {type(net).__name__}")
    if isinstance(net, DoubledNetwork):
        raise TypeError(
            "net must be a plain ntklin.MLP: a DoubledNetwork starts at f_0 = 0, so that its "
            "initialization leaves nothing to mitigate"
        )
    if not net.activation.is_homogeneous:
        raise ValueError(
            "net must have a homogeneous activation ('relu', 'leaky_relu' or 'abs'), for which "
            "what the initialization leaves in the network grows like σ^L, got "
            f"{net.activation.name!r}; search over sigma with ntklin.train for others"
        )


def _as_samples(
    net: MLP, loss: Loss, X: ArrayLike, Y: ArrayLike, which: str = ""
) -> tuple[Array, Array]:
    X = as_inputs(X, net.n_inputs, name=f"X{which}")
    if which and net.n_outputs == 1:  # whose inputs are none to train on
        Y = as_vector(Y, len(X), name=f"Y{which}")
    return X, loss.as_targets(Y, len(X), net.n_outputs, name=f"Y{which}")


def _as_test_set(
    net: MLP, loss: Loss, X_test: ArrayLike | None, Y_test: ArrayLike | None
) -> tuple[Array, Array] | None:
    if (X_test is None) != (Y_test is None):
        raise ValueError("X_test and Y_test go together; one of them is missing")
    if X_test is None or Y_test is None:
        return None
    return _as_samples(net, loss, X_test, Y_test, "_test")


class _Search:
    """The trials so far; what ``result`` returns is valid at any time."""

    def __init__(
        self,
        net: MLP,
        theta: Array,
        contest: Contest,
        factor: float,
        margin: float,
        min_sigma: float,
        on_trial: Callable[[Trial], object] | None,
    ) -> None:
        self.net, self.theta, self.contest = net, theta, contest
        self.factor, self.margin, self.min_sigma = factor, margin, min_sigma
        self.on_trial = on_trial
        self.trials: list[Trial] = []
        self.baselines: list[Trial] = []
        self.decayed: Trial | None = None
        self.best: Trial | None = None
        self.run: TrainingRun | None = None
        self.stopped: str | None = None

    def descend(self) -> None:
        """Steps (a) to (d)."""
        net = self.net
        while self.stopped is None:
            trial, run, error = self.contest.enter(net, self.theta)
            if error is not None and not self.trials:
                raise error
            before = self.trials[-1] if self.trials else None
            self.trials.append(trial)
            if run is not None and (self.best is None or rank(trial) < rank(self.best)):
                self.best, self.run = trial, run
            net = replace(net, sigma=self.factor * net.sigma)
            self.stopped = self._verdict(before, trial, net.sigma)
            self._announce(trial)

    def _verdict(self, before: Trial | None, trial: Trial, next_sigma: float) -> str | None:
        """Why to stop after ``trial``; None to go on."""
        if trial.validation_loss is None:
            return DIVERGED
        if not trial.converged:
            return TOO_SLOW
        if before is not None and before.validation_loss is not None:
            needed = (1 - self.margin) * before.validation_loss
            if not trial.validation_loss < needed:
                return NO_DECREASE
        # A σ that rounding put below the bound is not below it.
        return SMALLEST if next_sigma < (1 - 1e-12) * self.min_sigma else None

    def compare(self) -> None:
        """The networks with f_0 = 0, at the first σ."""
        for trial in baselines(self.net, self.theta, self.contest):
            self.baselines.append(trial)
            self._announce(trial)

    def decay(self, course: DecayCourse) -> None:
        """The network of the first σ with weight decay."""
        self.decayed = self.contest.enter_decay(self.net, self.theta, course)
        self._announce(self.decayed)

    def _announce(self, trial: Trial) -> None:
        end = trial.sigma, trial.outcome, trial.steps
        _log.info("sigma %.3g: %s after %d steps", *end)
        if self.on_trial is not None:
            self.on_trial(trial)

    def result(self, otherwise: str = "") -> Mitigation | None:
        """What was found; None when no network was trained."""
        if self.best is None or self.run is None:
            return None
        return Mitigation(
            trials=tuple(self.trials),
            stopped=self.stopped or otherwise,
            best=self.best,
            run=self.run,
            baselines=tuple(self.baselines),
            decayed=self.decayed,
            factor=self.factor,
            margin=self.margin,
        )
