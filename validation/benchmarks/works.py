"""The works that are timed: what each is, its gate, its implementations and its targets.

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
import scipy.linalg

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks import costs, gates, handmade
from ntklin.validation.benchmarks.cases import DTYPES, INPUTS, Layers, Problem, Scale
from ntklin.validation.benchmarks.gates import GATE_STEPS
from ntklin.validation.benchmarks.measure import Row
from ntklin.validation.benchmarks.memory import require
from ntklin.validation.benchmarks.peers import Peer
from ntklin.validation.benchmarks.plain import Reference
from ntklin.validation.benchmarks.targets import Goal, Target
from ntklin.validation.benchmarks.way import Way

if TYPE_CHECKING:
    from ntklin.runs.optimizer import Optimizer
    from ntklin.theory.gradient_descent import LinearizedGradientDescent
    from ntklin.theory.linearization import Linearization

Variants = Callable[["Setup"], list["Variant"]]

# Steps of the hand-made descent in one timed run; it has no set-up to make small.
HANDMADE_STEPS = 20
# A timed run of an adaptive method takes so many times fewer steps than one of gradient descent.
ADAPTIVE_SHARE = 4
# Networks that are trained at once, as many as the paper has initializations.
MEMBERS = 10
# A block of J by hand on a GPU, large enough to keep it busy.
GPU_BLOCK_BYTES = 1 << 28
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
        Where it is done: the N of the frozen cases.
    devices : tuple of {"cpu", "gpu"}
    targets : tuple of Target
    """

    variants: Variants
    sizes: tuple[int, ...]
    devices: tuple[str, ...]
    targets: tuple[Target, ...]


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
        return handmade.both_passes(layers, self.everywhere)[-1]

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
    *goals: Goal, n: tuple[int, ...] = (100,), devices: tuple[str, ...] = ("cpu", "gpu")
) -> Callable[[Variants], Variants]:
    """Decorate the function that gives a work's variants; its targets are those of the first N.

    Parameters
    ----------
    *goals : Goal
    n, devices : tuple
        See ``Work``.

    Returns
    -------
    callable
    """

    def listed(variants: Variants) -> Variants:
        name = variants.__name__
        targets = [target for goal in goals for target in goal.targets(name, max(n))]
        targets.sort(key=lambda t: (t.case, DTYPES.index(t.dtype)))
        WORKS[name] = Work(variants, n, devices, tuple(targets))
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


@work(
    Goal(least=0.9, against="fill", variant="into out"),
    Goal(least=1, peers=(Peer("torch", "structured"),), variant="into out"),
    Goal(least=15, peers=(Peer("torch", "vmap_grad"),), variant="into out"),
    Goal(least=1, peers=(Peer("torch", "structured_alloc"),), variant="fresh"),
    Goal(least=None, peers=(Peer("torch, huge pages", "structured_alloc"),), variant="fresh"),
    Goal(least=None, peers=(Peer("torch", "vmap_grad"),), variant="fresh"),
    Goal(least=None, peers=(Peer("torch, huge pages", "vmap_grad"),), variant="fresh"),
)
def jacobian(setup: Setup) -> list[Variant]:
    """The dense J, into a given array and into one of its own."""
    p = setup.problem
    given = {"cost": costs.jacobian(p), "prepare": lambda: (setup.touched,)}
    return [
        Variant(
            gates.jacobian,
            "into out",
            ntklin=Way(run=lambda out: p.net.jacobian(p.theta, p.X, out=out), **given),
            numpy=Way(run=lambda out: handmade.jacobian(p.layers, p.X, out), **given),
        ),
        Variant(
            gates.jacobian,
            "fresh",
            ntklin=Way(run=lambda: p.net.jacobian(p.theta, p.X), cost=costs.jacobian(p)),
            numpy=Way(run=lambda: handmade.jacobian(p.layers, p.X), cost=costs.jacobian(p)),
        ),
    ]


STRUCTURED = tuple(
    Peer(library, "structured") for library in ("JAX", "NumPy", "NumPy AVX-512", "torch")
)


@work(
    Goal(least=1.5, peers=STRUCTURED, cases=("A", "B")),
    Goal(least=4, peers=(Peer("neural-tangents", "nt3"),), cases=("A", "B")),
    Goal(least=0.85, against="gemm", cases=("A", "B")),
    Goal(least=None, against="gemm unskipped", cases=("A", "B")),
    n=(100, 1000),
)
def gram(setup: Setup) -> list[Variant]:
    """K(X, X), both passes included."""
    p, cost = setup.problem, partial(costs.gram, setup.problem, setup.reference.passes)
    return [
        Variant(
            gates.gram,
            ntklin=Way(
                run=lambda: p.net.features(p.theta, p.X).gram(), cost=cost(skips_zeros=True)
            ),
            numpy=Way(run=lambda: handmade.gram(p.layers, p.X), cost=cost(skips_zeros=False)),
        )
    ]


CHUNKED = (
    *(Peer("JAX", f"chunked{size}") for size in (4, 8, 40)),
    Peer("NumPy", "chunked"),
    Peer("NumPy AVX-512", "chunked"),
    Peer("torch", "chunked8"),
    Peer("torch", "chunked2r"),
)


@work(
    Goal(least=6, peers=CHUNKED),
    # The peers' work is dense, so that their time on Gaussian inputs is that on any inputs.
    Goal(least=12, peers=CHUNKED, inputs=("mnist",)),
    Goal(least=4, peers=CHUNKED, cases=("B",)),
)
def weighted_gram(setup: Setup) -> list[Variant]:
    """K_D(X, X), both passes included."""
    p, cost = setup.problem, partial(costs.weighted_gram, setup.problem, setup.reference.passes)
    block = handmade.BLOCK_BYTES if setup.xp is np else GPU_BLOCK_BYTES
    return [
        Variant(
            gates.weighted_gram,
            ntklin=Way(
                run=lambda: p.net.features(p.theta, p.X).gram(weights=p.weights),
                cost=cost(skips_zeros=True),
            ),
            numpy=Way(
                run=lambda: handmade.weighted_gram(p.layers, p.X, p.weights, block),
                cost=cost(skips_zeros=False),
            ),
        )
    ]


def real_step(
    setup: Setup, rule: str, own_cost: costs.Cost, hand_cost: costs.Cost
) -> list[Variant]:
    """One step of a rule on the real network."""
    p, optimizer = setup.problem, setup.optimizer(rule)

    def train(steps: int) -> ntklin.TrainingRun:
        return ntklin.train(p.net, p.theta, p.X, p.Y, optimizer, steps=steps)

    def by_hand(layers: Layers, steps: int) -> Layers:
        return handmade.train(layers, p.X, p.Y, rule, setup.rate(rule), steps)

    return [
        Variant(
            partial(gates.training, rule=rule),
            ntklin=steps(train, setup.count(rule), setup.predict, cost=own_cost),
            numpy=steps(
                by_hand, HANDMADE_STEPS, setup.outputs, False, prepare=setup.copies, cost=hand_cost
            ),
        )
    ]


SGD = (Peer("JAX", "jit_sgd"), Peer("torch", "eager_sgd"), Peer("torch", "compile_sgd"))


@work(
    Goal(least=6, peers=SGD),
    Goal(least=3, peers=SGD, dtypes=("float32",)),
    Goal(least=1.3, peers=SGD, cases=("B",)),
)
def gd_step(setup: Setup) -> list[Variant]:
    """One step of gradient descent on the real network."""
    cost = partial(costs.gradient_step, setup.problem, setup.reference.passes)
    return real_step(setup, "descent", cost(reduced=True), cost(reduced=False))


@work(devices=("gpu",))
def ensemble_step(setup: Setup) -> list[Variant]:
    """One step of one of ten networks trained at once: beside ``gd_step``, what a batch gains."""
    p, optimizer = setup.problem, setup.optimizer("descent")

    def train(steps: int) -> Any:
        return ntklin.train_ensemble(p.net, [p.theta] * MEMBERS, p.X, p.Y, optimizer, steps=steps)

    cost = costs.gradient_step(p, setup.reference.passes, reduced=True)
    way = steps(train, setup.count("descent"), lambda runs: setup.predict(runs[-1]), cost=cost)
    return [Variant(gates.training, ntklin=replace(way, count=way.count * MEMBERS))]


def adaptive_goals(name: str) -> tuple[Goal, ...]:
    """Of a step of an adaptive method on the real network."""
    peers = Peer("JAX", f"jit_{name}"), Peer("torch", f"eager_{name}")
    peers += (Peer("torch", f"compile_{name}"),)
    return (
        Goal(least=1.5, peers=peers, dtypes=DTYPES),
        Goal(least=4, peers=peers, dtypes=DTYPES, inputs=("mnist",)),
    )


def adaptive_cost(setup: Setup, rule: str) -> costs.Cost:
    """Of a step of an adaptive method, whoever takes it."""
    return costs.adaptive_step(setup.problem, OPTIMIZERS[rule][1])


@work(*adaptive_goals("adagrad"))
def adagrad_step(setup: Setup) -> list[Variant]:
    """One step of AdaGrad on the real network."""
    return real_step(setup, "adagrad", *[adaptive_cost(setup, "adagrad")] * 2)


@work(*adaptive_goals("adam"))
def adam_step(setup: Setup) -> list[Variant]:
    """One step of Adam on the real network."""
    return real_step(setup, "adam", *[adaptive_cost(setup, "adam")] * 2)


LINEARIZED = (Peer("torch", "structured"), Peer("JAX", "linearize"))


@work(
    Goal(least=3, peers=LINEARIZED, dtypes=DTYPES),
    Goal(least=8, peers=LINEARIZED, dtypes=DTYPES, inputs=("mnist",)),
    Goal(least=30, peers=(Peer("JAX", "dense"), Peer("torch", "dense")), dtypes=DTYPES),
)
def linearized_step(setup: Setup) -> list[Variant]:
    """One step of AdaGrad on the linearized network, its features given."""
    p, rule = setup.problem, "adagrad"
    optimizer, cost = setup.optimizer(rule), adaptive_cost(setup, rule)

    def train(lin: Linearization, steps: int) -> ntklin.LinearizedRun:
        return lin.train(p.Y, optimizer, steps=steps)

    def by_hand(steps: int) -> Layers:
        return handmade.train_linearized(p.layers, p.X, p.Y, rule, setup.rate(rule), steps)

    def prepare() -> tuple[Linearization]:
        return (setup.linearization(),)

    def outputs(moved: Layers) -> Array:
        w, A, B, f_0 = handmade.both_passes(p.layers, setup.everywhere)
        return f_0 + handmade.push(w, A, B, moved)

    return [
        Variant(
            partial(gates.training, rule=rule, network="linearized"),
            ntklin=steps(train, setup.count(rule), setup.predict, prepare=prepare, cost=cost),
            numpy=steps(by_hand, HANDMADE_STEPS, outputs, False, cost=cost),
        )
    ]


@work(Goal(least=1 / 1.2, against="parts", variant="A_t", inputs=INPUTS), devices=("cpu",))
def split(setup: Setup) -> list[Variant]:
    """The split of an end state of AdaGrad (Thm 3), and the two parts that it cannot go below.

    "A_t" is what ``interpolating`` needs first: K_D^{-1} (f_t(X) − f_0(X)), D the last one.

    Returns
    -------
    list of Variant
    """
    p, optimizer = setup.problem, setup.optimizer("adagrad")

    def trained() -> tuple[ntklin.LinearizedRun]:
        return (setup.linearization().train(p.Y, optimizer, steps=GATE_STEPS),)

    def change(run: Any) -> Array:
        return run.outputs.astype(float) - run.linearization.initial_outputs

    def parts(run: Any) -> Array:
        K = run.linearization.features.gram(weights=run.weights).astype(float)
        factor = scipy.linalg.cho_factor(K, lower=True, overwrite_a=True)
        return scipy.linalg.cho_solve(factor, change(run))

    def by_hand(run: Any) -> Array:
        return handmade.split(p.layers, p.X, run.weights, change(run))

    def way(solve: Callable[[Any], Array]) -> Way:
        probe = lambda run: (run.weights, change(run), solve(run))  # noqa: E731
        return Way(prepare=trained, run=solve, probe=probe)

    own = way(lambda run: run.split.coefficients)
    return [
        Variant(gates.split, "A_t", ntklin=own, numpy=way(by_hand)),
        Variant(gates.split, "Gram and Cholesky", ntklin=way(parts)),
    ]


@work(
    Goal(least=1, against="factorize", variant="queries", cases=("A", "B"), inputs=INPUTS),
    n=(1000,),
    devices=("cpu",),
)
def closed_form(setup: Setup) -> list[Variant]:
    """The factorization of K(X, X), and f_t(X_test) at many t after it.

    Both kernels are given, as in the peers' own benchmark; the queries include the product of
    K(X_test, X) with V, which only the first of them has to do.

    Returns
    -------
    list of Variant
    """
    p = setup.problem
    doubled = 2 ** np.arange(gates.DOUBLINGS + 1)
    n_later = max(0, setup.scale.n_times - len(doubled))
    later = np.geomspace(1e3, 1e9, n_later).round().astype(np.int64)
    times = np.concatenate([doubled, later])

    def linearized() -> tuple[Linearization]:
        lin = setup.linearization()
        _ = lin.kernel
        return (lin,)

    def descent() -> tuple[LinearizedGradientDescent]:
        (lin,) = linearized()
        lin.at(p.X_test)
        return (lin.gradient_descent(p.Y),)

    def changes(gd: LinearizedGradientDescent) -> tuple[Array, Array, Array]:
        lin, at = gd.linearization, gd.predict(p.X_test, t=[0, *doubled.tolist()])
        return lin.kernel, lin.at(p.X_test).kernel, at[1:].astype(float) - at[0]

    def kernel() -> tuple[Array]:
        return (handmade.gram(p.layers, p.X),)

    def factors() -> tuple[Array, ...]:
        (K,) = kernel()
        K_new = handmade.gram(p.layers, p.X_test, p.X)
        residual = p.Y - handmade.both_passes(p.layers, p.X)[-1]
        return K, K_new, residual, *handmade.factorize(K)

    def answers(
        K: Array, K_new: Array, residual: Array, values: Array, vectors: Array, t: Array = times
    ) -> tuple[Array, Array, Array]:
        moved = handmade.closed_form(values, vectors, K_new, residual, 0.5 / values[-1], t)
        return K, K_new, moved

    return [
        Variant(
            gates.eigenvalues,
            "factorize",
            ntklin=Way(prepare=linearized, run=lambda lin: lin.eigenvalues),
            numpy=Way(
                prepare=kernel,
                run=handmade.factorize,
                probe=lambda K: handmade.factorize(K)[0],
            ),
        ),
        Variant(
            gates.closed_form,
            "queries",
            ntklin=Way(
                prepare=descent, run=lambda gd: gd.predict(p.X_test, t=times), probe=changes
            ),
            numpy=Way(prepare=factors, run=answers, probe=partial(answers, t=doubled)),
        ),
    ]


@work(Goal(least=3, peers=(Peer("neural-tangents", "nt"),), cases=("A", "B")), n=(1000,))
def infinite(setup: Setup) -> list[Variant]:
    """The infinite-width NTK Θ(X, X) of the ``fan_in`` network with normal biases."""
    p, net, cost = setup.problem, setup.problem.infinite_net, costs.infinite(setup.problem)
    return [
        Variant(
            gates.infinite,
            ntklin=Way(run=lambda: ntklin.infinite_ntk(net, p.X), cost=cost),
            numpy=Way(run=lambda: handmade.infinite_ntk(p.X, net.depth), cost=cost),
        )
    ]


CPU_WORKS, GPU_WORKS = (
    tuple(name for name, work in WORKS.items() if device in work.devices)
    for device in ("cpu", "gpu")
)
TARGETS = tuple(target for work in WORKS.values() for target in work.targets)
