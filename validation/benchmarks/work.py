"""What a work is, how it is listed, and the rows that come of it; the works are in ``works``.

A work is a function from the setup to its variants; ``work`` lists it. Each variant has a gate and
a ``Way`` for every implementation: ntklin and NumPy (or CuPy) by hand. All else is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks import gates, handmade
from ntklin.validation.benchmarks.cases import DTYPES, Case, Layers, Problem, Scale
from ntklin.validation.benchmarks.gates import GATE_STEPS
from ntklin.validation.benchmarks.measure import Row
from ntklin.validation.benchmarks.memory import require
from ntklin.validation.benchmarks.plain import Reference
from ntklin.validation.benchmarks.targets import Goal, Target
from ntklin.validation.benchmarks.way import Way

if TYPE_CHECKING:
    from ntklin.runs.optimizer import Optimizer
    from ntklin.theory.linearization import Linearization

Variants = Callable[["Setup"], list["Variant"]]

# The cases of one output and ReLU, and all of them.
PLAIN, GENERAL = ("A", "B"), ("A", "B", "A10", "Atanh")
# A timed run of an adaptive method takes so many times fewer steps than one of gradient descent.
ADAPTIVE_SHARE = 4
# The optimizers with the number of their slots.
OPTIMIZERS = {
    "descent": (ntklin.GradientDescent, 0),
    "adagrad": (ntklin.AdaGrad, 1),
    "adam": (ntklin.Adam, 2),
}


@dataclass(frozen=True)
class Work:
    """Something to time.

    Attributes
    ----------
    variants : callable
        ``variants(setup)``, a list of ``Variant``.
    sizes : tuple of int
        Where it is done: the N of the frozen cases. Those that are not plain take the first.
    cases : tuple of str
    devices : tuple of {"cpu", "gpu"}
    targets : tuple of Target
    """

    variants: Variants
    sizes: tuple[int, ...]
    cases: tuple[str, ...]
    devices: tuple[str, ...]
    targets: tuple[Target, ...]

    def has(self, case: Case, n: int) -> bool:
        """Whether it is done in a case with N = ``n``."""
        return case.name in self.cases and n in (self.sizes if case.is_plain else self.sizes[:1])


class Variant:
    """A form of a work: what all its implementations have to agree on, and how each does it."""

    def __init__(self, gate: Callable[..., gates.Agreement], name: str = "", **ways: Way) -> None:
        self.gate, self.name, self.ways = gate, name, ways


class Setup:
    """One problem, with what its works share.

    Parameters
    ----------
    problem : Problem
    scale : Scale
    xp : module
        Where the work is done: NumPy, or CuPy for a GPU.
    """

    def __init__(self, problem: Problem, scale: Scale, xp: ModuleType = np) -> None:
        self.reference, self.scale, self.xp = Reference(problem), scale, xp
        self.problem = problem if xp is np else problem.on(xp)

    @cached_property
    def touched(self) -> Array:
        """The array that all Jacobians "into out" are written to, its pages touched."""
        shape = (self.problem.n, len(self.problem.theta))
        if self.xp is np:
            require(shape[0] * shape[1] * self.problem.dtype.itemsize, "the dense Jacobian")
        out = self.xp.empty(shape, self.problem.dtype)
        out.fill(0)
        return out

    @cached_property
    def everywhere(self) -> Array:
        """Training and test inputs."""
        return self.xp.concatenate([self.problem.X, self.problem.X_test])

    def predict(self, run: Any) -> Array:
        """The outputs of ntklin's run on all inputs."""
        return run.predict(self.everywhere)

    def outputs(self, layers: Layers) -> Array:
        """Those of a network by hand."""
        case = self.problem.case
        outputs = handmade.forward(layers, self.everywhere, case.activation)[-1]
        return outputs[:, 0] if case.n_outputs == 1 else outputs

    def copies(self) -> tuple[Layers]:
        """The arguments of a training run by hand, which spoils them."""
        return ([(W.copy(), b.copy()) for W, b in self.problem.layers],)

    def rate(self, rule: str) -> float:
        """The learning rate."""
        return self.reference.learning_rate if rule == "descent" else self.problem.adaptive_rate

    def optimizer(self, rule: str) -> Optimizer:
        """ntklin's."""
        return OPTIMIZERS[rule][0](self.rate(rule))

    def count(self, rule: str) -> int:
        """How many steps are timed at once."""
        steps = self.problem.case.steps
        return steps if rule == "descent" else max(1, steps // ADAPTIVE_SHARE)

    def linearization(self) -> Linearization:
        """ntklin's, nothing of it computed yet."""
        return ntklin.linearize(self.problem.net, self.problem.theta, self.problem.X)


WORKS: dict[str, Work] = {}


def work(
    *goals: Goal,
    n: tuple[int, ...] = (100,),
    cases: tuple[str, ...] = PLAIN,
    devices: tuple[str, ...] = ("cpu", "gpu"),
) -> Callable[[Variants], Variants]:
    """Decorate the function that gives a work's variants; its targets are those of the largest N.

    Parameters
    ----------
    *goals : Goal
    n, cases, devices : tuple
        See ``Work``.

    Returns
    -------
    callable
    """

    def listed(variants: Variants) -> Variants:
        name = variants.__name__
        targets = [target for goal in goals for target in goal.targets(name, max(n))]
        targets.sort(key=lambda t: (t.case, DTYPES.index(t.dtype)))
        WORKS[name] = Work(variants, n, cases, devices, tuple(targets))
        return variants

    return listed


def rows(
    names: Iterable[str],
    setup: Setup,
    frozen_n: int,
    others: dict[str, dict[tuple[str, str], Way]] | None = None,
) -> list[Row]:
    """All variants of some works by all implementations.

    Parameters
    ----------
    names : sequence of str
    setup : Setup
    frozen_n : int
        The N that the problem's stands for; another one in a quick run.
    others : dict, optional
        Other libraries' ways: {library: {(work, variant): Way}}.

    Returns
    -------
    list of Row
    """
    problem, on_gpu = setup.problem, setup.xp is not np
    shared = {"case": problem.case.name, "dtype": problem.dtype.name, "inputs": problem.inputs}
    shared |= {"n": problem.n, "frozen_n": frozen_n}
    found = []
    for name in names:
        for variant in WORKS[name].variants(setup):
            ways = dict(variant.ways)
            if on_gpu:
                wait = setup.xp.cuda.get_current_stream().synchronize
                ways = {
                    "cupy" if by == "numpy" else by: replace(way, finish=wait)
                    for by, way in ways.items()
                }
            for library, theirs in (others or {}).items():
                if (name, variant.name) in theirs:
                    ways[library] = theirs[name, variant.name]
            facts = {"work": name, "variant": variant.name, **shared}
            gate = partial(variant.gate, setup.reference)
            found += [Row(way, gate, facts | {"implementation": by}) for by, way in ways.items()]
    return found


def steps(
    train: Callable[..., Any],
    count: int,
    predict: Callable[[Any], Any],
    overhead: bool = True,
    **options: Any,
) -> Way:
    """The way of a training run, of which one step counts.

    ntklin: (T(k) − T(0))/k, where T(k) is the time of a run of k steps; T(0), its set-up and the
    return to θ, is timed right before and kept. By hand: k steps of a loop.

    Parameters
    ----------
    train : callable
        ``train(*arguments, steps=k)``.
    count : int
    predict : callable
        From what ``train`` returns to the outputs on all inputs.
    overhead : bool
        Whether to subtract T(0).
    **options
        Of Way.

    Returns
    -------
    Way
    """
    return Way(
        run=partial(train, steps=count),
        overhead=partial(train, steps=0) if overhead else None,
        count=count,
        probe=lambda *given: predict(train(*given, steps=GATE_STEPS)),
        **options,
    )
