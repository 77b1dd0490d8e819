"""Weight decay against what the initialization leaves, for as long as the linearization says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from numpy.typing import ArrayLike

from ntklin.algebra.spectrum import degenerate_error
from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_count, as_positive, as_progress
from ntklin.edge.errors import DivergenceError
from ntklin.edge.faces.bars import LossMeter, followed
from ntklin.networks.network import Network
from ntklin.runs.losses import Loss
from ntklin.runs.optimizers import GradientDescent
from ntklin.runs.stops import Horizon, Stop
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.homogeneity import degree_at
from ntklin.theory.linearization import Linearization
from ntklin.training.task import TrainingTask
from ntklin.training.train import as_problem, run_task
from ntklin.training.training_run import TrainingRun

#: The default decay as a part of λ_min/N: the slowest direction keeps a tenth of its residual.
SHARE = 0.1


def decay_initialization(
    net: Network,
    theta: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    weight_decay: float | None = None,
    learning_rate: float | None = None,
    depth: int | None = None,
    max_steps: int | None = None,
    stop: Stop | None = None,
    progress: Callable[[int, float], object] | bool | None = None,
) -> TrainingRun:
    """Train with weight decay w up to the step at which (1 − ηw)^t is nearest to 1 − 1/L.

    There the linearized network, if it is homogeneous of degree L in θ and has fitted the data, is
    the interpolator f_int alone, up to O(w): f_t = f_int + (1 − L(1 − c_t)) f_init with
    c_t = (1 − ηw)^t. For two layers that is one half-life of the decay. The features of the real
    network shrink with θ, so that it has c_t^L f_init in the place of that: (1 − 1/L)^L of f_init,
    a quarter for L = 2, is what stays in it at this step, at any width.

    Parameters
    ----------
    net : MLP
        Of at least two layers, with a homogeneous activation: ``relu``, ``leaky_relu`` or ``abs``;
        others with ``depth``.
    theta : array_like, shape (P,)
        θ_0, whose biases are 0; not changed.
    X : array_like, shape (N, d)
    Y : array_like, shape (N,), or (N, C) of more than one output
    weight_decay : float, optional
        w of the loss L + (w/2)‖θ‖²; λ_min(K(X, X))/(10N) when not given. The number of steps goes
        like 1/w, what is left of Y − f(X) like w.
    learning_rate : float, optional
        η; 0.5 N/(λ_max + N w) when not given.
    depth : int, optional
        L, where f_θ = (1/L) φ(x) θ holds at θ_0 of another network than those.
    max_steps : int, optional
        Refuse, before training, to take more steps than this.
    stop : Stop, optional
        What else ends the run, as for :func:`ntklin.train`.
    progress : callable or bool, optional
        Called as ``progress(step, loss)`` about ten times a second. True shows a bar.

    Returns
    -------
    TrainingRun
        ``run.steps`` is t, ``run.optimizer`` has η and w.

    Raises
    ------
    DegenerateKernelError
        If K(X, X) is singular to working precision and ``weight_decay`` is not given.
    DivergenceError
        If the learning rate is too large.
    ValueError
        For a network that is not homogeneous at θ_0 or has one layer, and if t is above
        ``max_steps``.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> net = ntklin.MLP((3, 50, 1))
    >>> X, Y = np.eye(3), np.array([0.0, 1.0, 1.0])
    >>> run = ntklin.decay_initialization(net, net.init(0), X, Y)
    >>> c = (1 - run.optimizer.learning_rate * run.optimizer.weight_decay) ** run.steps
    >>> round(c, 2)
    0.5
    """
    given = as_problem(net, theta, X, Y, Loss("squared"))
    progress = as_progress(progress)
    most = None if max_steps is None else as_count(max_steps, name="max_steps")
    course = DecayCourse.of(
        net, *given, weight_decay=weight_decay, learning_rate=learning_rate, depth=depth
    )
    if most is not None and course.steps > most:
        raise ValueError(
            f"(1 − ηw)^t comes down to 1 − 1/L after {course.steps:,} steps, and max_steps = "
            f"{most:,}: allow more, or take a weight_decay above {course.weight_decay:.3g}"
        )
    with followed(progress, lambda: LossMeter("training", course.steps, None)) as told:
        return course.run(net, *given, stop=stop, progress=told)


@dataclass(frozen=True, eq=False)
class DecayCourse:
    """How weight decay takes f_init out of the linearized network.

    Attributes
    ----------
    optimizer : GradientDescent
        With rate and decay.
    steps : int
        After which c_t is nearest to 1 − 1/L.
    """

    optimizer: GradientDescent
    steps: int

    @property
    def weight_decay(self) -> float:
        """The decay w."""
        return cast(float, self.optimizer.weight_decay)

    @classmethod
    def of(
        cls,
        net: Network,
        theta: Array,
        X: Array,
        Y: Array,
        *,
        weight_decay: float | None = None,
        learning_rate: float | None = None,
        depth: int | None = None,
    ) -> DecayCourse:
        """That of a network at θ_0; see ``decay_initialization``.

        Returns
        -------
        DecayCourse

        Raises
        ------
        DegenerateKernelError, DivergenceError, ValueError
            As there.
        """  # noqa: DOC501
        degree = degree_at(net, theta) if depth is None else depth
        degree = as_count(degree, name="depth", minimum=2)
        lin = Linearization(FeatureSource(net.features(theta, X)))
        if weight_decay is None:
            spectrum = lin.spectrum
            if spectrum.is_degenerate:
                remedy = "Remove the cause, or pass weight_decay="
                raise degenerate_error(lin.kernel, spectrum, remedy)
            weight_decay = SHARE * spectrum.smallest / len(X)
        w = as_positive(weight_decay, name="weight_decay")
        if learning_rate is not None:
            learning_rate = as_positive(learning_rate, name="learning_rate")
        gd = lin.gradient_descent(Y, learning_rate, weight_decay=w)
        steps = gd.interpolation_step(degree)
        return cls(GradientDescent(gd.learning_rate, weight_decay=w), steps)

    def run(
        self,
        net: Network,
        theta: Array,
        X: Array,
        Y: Array,
        *,
        max_steps: int | None = None,
        stop: Stop | None = None,
        progress: Callable[[int, float], object] | None = None,
    ) -> TrainingRun:
        """Train the real network so, for at most so many steps.

        Returns
        -------
        TrainingRun

        Raises
        ------
        DivergenceError, TrainingInterrupted
            As ``train`` has it.
        """
        steps = self.steps if max_steps is None else min(self.steps, max_steps)
        task = TrainingTask(net, theta, X, Y, self.optimizer, Loss("squared"), None, "auto")
        # Once the data are fitted decay is what moves θ, and a loss that rises is no news.
        outcome = run_task(task, Horizon.of(steps, None, stop), progress=progress, warn=False)
        if isinstance(outcome, DivergenceError):
            raise outcome
        return outcome
