"""The works that are timed: what each is, its gate, its implementations and its targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks import costs, gates, handmade
from ntklin.validation.benchmarks.cases import DTYPES, INPUTS, Layers
from ntklin.validation.benchmarks.gates import GATE_STEPS
from ntklin.validation.benchmarks.peers import Peer
from ntklin.validation.benchmarks.targets import Goal
from ntklin.validation.benchmarks.way import Way
from ntklin.validation.benchmarks.work import (
    GENERAL,
    OPTIMIZERS,
    WORKS,
    Setup,
    Variant,
    steps,
    work,
)

if TYPE_CHECKING:
    from ntklin.theory.gradient_descent import LinearizedGradientDescent
    from ntklin.theory.linearization import Linearization

# Steps of the hand-made descent in one timed run; it has no set-up to make small.
HANDMADE_STEPS = 20
# Networks that are trained at once, as many as the paper has initializations.
MEMBERS = 10
# A block of J by hand on a GPU, large enough to keep it busy.
GPU_BLOCK_BYTES = 1 << 28


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


# The peer of several outputs and of other activations than ReLU: see ``jax_forms``.
JITTED = Peer("JAX, own forms", "jitted")
JITTED_BLOCKS = tuple(Peer("JAX, own forms", f"jitted{size}") for size in (10, 40, 160))
STRUCTURED = tuple(
    Peer(library, "structured") for library in ("JAX", "NumPy", "NumPy AVX-512", "torch")
)


@work(
    Goal(least=1.5, peers=STRUCTURED, cases=("A", "B")),
    Goal(least=4, peers=(Peer("neural-tangents", "nt3"),), cases=("A", "B")),
    Goal(least=0.85, against="gemm", cases=("A", "B")),
    Goal(least=None, against="gemm unskipped", cases=("A", "B")),
    Goal(least=3, peers=(JITTED,), cases=("A10",), dtypes=DTYPES, n=100),
    Goal(least=3, against="hand", cases=("A10",), dtypes=DTYPES, n=100),
    Goal(least=1, peers=(JITTED,), cases=("Atanh",), dtypes=DTYPES, n=100),
    n=(100, 1000),
    cases=GENERAL,
)
def gram(setup: Setup) -> list[Variant]:
    """K(X, X), both passes included."""
    p, cost = setup.problem, partial(costs.gram, setup.problem, setup.reference.passes)

    def by_hand() -> Array:
        if p.case.is_plain:
            return handmade.gram(p.layers, p.X)
        return handmade.general_gram(p.layers, p.X, p.case.activation)

    return [
        Variant(
            gates.gram,
            ntklin=Way(
                run=lambda: p.net.features(p.theta, p.X).gram(), cost=cost(skips_zeros=True)
            ),
            numpy=Way(run=by_hand, cost=cost(skips_zeros=False)),
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
    Goal(least=3, peers=JITTED_BLOCKS, cases=("A10",), dtypes=DTYPES),
    Goal(least=3, against="hand", cases=("A10",), dtypes=DTYPES),
    cases=("A", "B", "A10"),
)
def weighted_gram(setup: Setup) -> list[Variant]:
    """K_D(X, X), both passes included."""
    p, cost = setup.problem, partial(costs.weighted_gram, setup.problem, setup.reference.passes)
    block = handmade.BLOCK_BYTES if setup.xp is np else GPU_BLOCK_BYTES
    one = p.case.n_outputs == 1
    by_hand = handmade.weighted_gram if one else handmade.outputs_weighted_gram
    return [
        Variant(
            gates.weighted_gram,
            ntklin=Way(
                run=lambda: p.net.features(p.theta, p.X).gram(weights=p.weights),
                cost=cost(skips_zeros=True),
            ),
            numpy=Way(
                run=lambda: by_hand(p.layers, p.X, p.weights, block),
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
        if rule == "descent":
            rate, activation = setup.rate(rule), p.case.activation
            return handmade.descend(layers, p.X, p.Y, rate, steps, activation)
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
    Goal(least=2, peers=(JITTED,), cases=("A10",), dtypes=DTYPES),
    Goal(least=1, peers=(JITTED,), cases=("Atanh",), dtypes=DTYPES),
    cases=GENERAL,
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
