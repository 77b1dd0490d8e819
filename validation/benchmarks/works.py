"""The works that are timed, each by ntklin and by hand-made NumPy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import scipy.linalg

import ntklin
from ntklin.validation.arrays import on_host
from ntklin.validation.benchmarks import costs, gates, handmade
from ntklin.validation.benchmarks.memory import require
from ntklin.validation.benchmarks.plain import Reference

# Where each work is done: the N of the frozen cases.
WORKS = {
    "jacobian": (100,),
    "gram": (100, 1000),
    "weighted_gram": (100,),
    "gd_step": (100,),
    "ensemble_step": (100,),
    "adagrad_step": (100,),
    "adam_step": (100,),
    "linearized_step": (100,),
    "split": (100,),
    "closed_form": (1000,),
    "infinite": (1000,),
}
# Steps of the hand-made descent in one timed run; it has no set-up to make small.
HANDMADE_STEPS = 20
# A timed run of an adaptive method takes so many times fewer steps than one of gradient descent.
ADAPTIVE_SHARE = 4
# Algebra of N × N matrices is the host's, and it takes networks one after the other.
GPU_WORKS = tuple(work for work in WORKS if work not in ("split", "closed_form"))
CPU_WORKS = tuple(work for work in WORKS if work != "ensemble_step")
# Networks that are trained at once, as many as the paper has initializations.
MEMBERS = 10
# A block of J by hand on a GPU, large enough to keep it busy.
GPU_BLOCK_BYTES = 1 << 28
ADAPTIVE = {
    "adagrad": (ntklin.AdaGrad, 1, handmade.adagrad),
    "adam": (ntklin.Adam, 2, handmade.adam),
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to time.

    Attributes
    ----------
    work, variant, implementation : str
    prepare : callable
        Makes the arguments of ``run``; not timed.
    run : callable
        What is timed.
    check : callable
        From what ``probe`` returns to a ``Check``.
    probe : callable
        Made from the same arguments as ``run``; it returns what is checked.
    overhead : callable or None
        The part of ``run`` that is timed on its own and subtracted.
    count : int
        Units of work in one run.
    finish : callable
        Returns when all that was asked for is done; timed.
    cost : Cost
        Of one unit.
    """

    work: str
    variant: str
    implementation: str
    run: Callable
    check: Callable
    cost: costs.Cost = costs.UNCOUNTED
    prepare: Callable = tuple
    probe: Callable | None = None
    overhead: Callable | None = None
    count: int = 1
    finish: Callable = lambda: None

    @property
    def label(self):
        """The work with its variant."""
        return f"{self.work} ({self.variant})" if self.variant else self.work

    def gate(self):
        """Run it once and compare with the truth."""
        return self.check(on_host((self.probe or self.run)(*self.prepare())))


class Workshop:
    """The tasks of one problem, with what they share.

    Parameters
    ----------
    problem : Problem
    scale : Scale
    xp : module
        Where the work is done: NumPy, or CuPy for a GPU.
    """

    def __init__(self, problem, scale, xp=np):
        self.xp = xp
        self.problem = problem if xp is np else problem.on(xp)
        self.scale = scale
        self.net = problem.net
        self.reference = Reference(problem)

    def tasks(self, works, implementations=("ntklin", "numpy")):
        """All variants of the given works by the given implementations.

        Parameters
        ----------
        works : sequence of str
        implementations : sequence of {"ntklin", "numpy"}

        Returns
        -------
        list of Task
        """
        found = [task for work in works for task in getattr(self, work)()]
        found = [task for task in found if task.implementation in implementations]
        if self.xp is np:
            return found
        wait = self.xp.cuda.get_current_stream().synchronize
        names = {"numpy": "cupy"}
        return [
            replace(t, implementation=names.get(t.implementation, t.implementation), finish=wait)
            for t in found
        ]

    def _pair(self, work, variant, check, ntklin, numpy):
        """The same work by both; ``ntklin`` and ``numpy`` hold what differs."""
        shared = {"work": work, "variant": variant, "check": partial(check, self.reference)}
        return [
            Task(implementation="ntklin", **shared, **ntklin),
            Task(implementation="numpy", **shared, **numpy),
        ]

    @cached_property
    def _jacobian(self):
        """The array that all Jacobians "into out" are written to, its pages touched."""
        shape = (self.problem.n, len(self.problem.theta))
        if self.xp is np:
            require(shape[0] * shape[1] * self.problem.dtype.itemsize, "the dense Jacobian")
        out = self.xp.empty(shape, self.problem.dtype)
        out.fill(0)
        return out

    def jacobian(self):
        """The dense J, into a given array and into one of its own."""
        p, net = self.problem, self.net
        check, cost = gates.check_jacobian, {"cost": costs.jacobian(p)}
        given = cost | {"prepare": lambda: (self._jacobian,)}
        return [
            *self._pair(
                "jacobian",
                "into out",
                check,
                given | {"run": lambda out: net.jacobian(p.theta, p.X, out=out)},
                given | {"run": lambda out: handmade.jacobian(p.layers, p.X, out)},
            ),
            *self._pair(
                "jacobian",
                "fresh",
                check,
                cost | {"run": lambda: net.jacobian(p.theta, p.X)},
                cost | {"run": lambda: handmade.jacobian(p.layers, p.X)},
            ),
        ]

    def gram(self):
        """K(X, X), both passes included."""
        p, net = self.problem, self.net
        return self._pair(
            "gram",
            "",
            lambda reference, K: gates.check_kernel(reference, K, reference.gram),
            {
                "run": lambda: net.features(p.theta, p.X).gram(),
                "cost": costs.gram(p, self.reference.passes, skips_zeros=True),
            },
            {
                "run": lambda: handmade.gram(p.layers, p.X),
                "cost": costs.gram(p, self.reference.passes, skips_zeros=False),
            },
        )

    def weighted_gram(self):
        """K_D(X, X), both passes included."""
        p, net = self.problem, self.net
        block = handmade.BLOCK_BYTES if self.xp is np else GPU_BLOCK_BYTES
        return self._pair(
            "weighted_gram",
            "",
            lambda reference, K: gates.check_kernel(reference, K, reference.weighted_gram),
            {
                "run": lambda: net.features(p.theta, p.X).gram(weights=p.weights),
                "cost": costs.weighted_gram(p, self.reference.passes, skips_zeros=True),
            },
            {
                "run": lambda: handmade.weighted_gram(p.layers, p.X, p.weights, block),
                "cost": costs.weighted_gram(p, self.reference.passes, skips_zeros=False),
            },
        )

    def gd_step(self):
        """One step of gradient descent on the real network.

        ntklin: (T(k) − T(0))/k, where T(k) is the time of ``ntklin.train`` with k steps; T(0), its
        set-up and the return to θ, is timed right before and kept. By hand: k steps of a loop.
        """
        p, net, rate = self.problem, self.net, self.reference.learning_rate
        optimizer = ntklin.GradientDescent(rate)
        everywhere = self._everywhere()

        def train(steps):
            return ntklin.train(net, p.theta, p.X, p.Y, optimizer, steps=steps)

        def copies():
            return ([(W.copy(), b.copy()) for W, b in p.layers],)

        def descend(layers, steps=HANDMADE_STEPS):
            return handmade.descend(layers, p.X, p.Y, rate, steps)

        def outputs(layers):
            return handmade.both_passes(descend(layers, gates.GATE_STEPS), everywhere)[-1]

        return self._pair(
            "gd_step",
            "",
            gates.check_training,
            {
                "run": partial(train, p.case.steps),
                "overhead": partial(train, 0),
                "count": p.case.steps,
                "probe": lambda: train(gates.GATE_STEPS).predict(everywhere),
                "cost": costs.gradient_step(p, self.reference.passes, reduced=True),
            },
            {
                "prepare": copies,
                "run": descend,
                "count": HANDMADE_STEPS,
                "probe": outputs,
                "cost": costs.gradient_step(p, self.reference.passes, reduced=False),
            },
        )

    def ensemble_step(self):
        """One step of one of ten networks that are trained at once, timed as ``gd_step`` is.

        Beside the latter it shows what a batch gains.
        """
        p, net = self.problem, self.net
        optimizer = ntklin.GradientDescent(self.reference.learning_rate)

        def train(steps):
            return ntklin.train_ensemble(net, [p.theta] * MEMBERS, p.X, p.Y, optimizer, steps=steps)

        return [
            Task(
                work="ensemble_step",
                variant="",
                implementation="ntklin",
                check=partial(gates.check_training, self.reference),
                run=partial(train, p.case.steps),
                overhead=partial(train, 0),
                count=p.case.steps * MEMBERS,
                probe=lambda: train(gates.GATE_STEPS)[-1].predict(self._everywhere()),
                cost=costs.gradient_step(p, self.reference.passes, reduced=True),
            )
        ]

    def _everywhere(self):
        return self.xp.concatenate([self.problem.X, self.problem.X_test])

    def _adaptive(self, rule):
        """The optimizer, the number of its slots, and its hand-made step."""
        optimizer, n_slots, by_hand = ADAPTIVE[rule]
        rate = self.problem.adaptive_rate
        return optimizer(rate), n_slots, partial(by_hand, rate)

    def _adaptive_step(self, work, rule):
        """One step of an adaptive method on the real network, timed as ``gd_step`` is."""
        p, net = self.problem, self.net
        optimizer, n_slots, by_hand = self._adaptive(rule)
        count = max(1, p.case.steps // ADAPTIVE_SHARE)

        def train(steps):
            return ntklin.train(net, p.theta, p.X, p.Y, optimizer, steps=steps)

        def copies():
            return ([(W.copy(), b.copy()) for W, b in p.layers],)

        def adapt(layers, steps=HANDMADE_STEPS):
            return handmade.adapt(layers, p.X, p.Y, by_hand, steps)

        def outputs(layers):
            return handmade.both_passes(adapt(layers, gates.GATE_STEPS), self._everywhere())[-1]

        def check(reference, actual):
            truth = reference.trained_outputs(gates.GATE_STEPS, rule)
            return gates.check_training(reference, actual, truth)

        cost = {"cost": costs.adaptive_step(p, n_slots)}
        return self._pair(
            work,
            "",
            check,
            cost
            | {
                "run": partial(train, count),
                "overhead": partial(train, 0),
                "count": count,
                "probe": lambda: train(gates.GATE_STEPS).predict(self._everywhere()),
            },
            cost | {"prepare": copies, "run": adapt, "count": HANDMADE_STEPS, "probe": outputs},
        )

    def adagrad_step(self):
        """One step of AdaGrad on the real network."""
        return self._adaptive_step("adagrad_step", "adagrad")

    def adam_step(self):
        """One step of Adam on the real network."""
        return self._adaptive_step("adam_step", "adam")

    def _linearization(self):
        p = self.problem
        return ntklin.linearize(self.net, p.theta, p.X)

    def linearized_step(self):
        """One step of AdaGrad on the linearized network, its features given."""
        p = self.problem
        optimizer, n_slots, by_hand = self._adaptive("adagrad")
        count = max(1, p.case.steps // ADAPTIVE_SHARE)

        def train(lin, steps=count):
            return lin.train(p.Y, optimizer, steps=steps)

        def outputs():
            moved = handmade.adapt_linearized(p.layers, p.X, p.Y, by_hand, gates.GATE_STEPS)
            *features, f_0 = handmade.both_passes(p.layers, self._everywhere())
            return f_0 + handmade.push(*features, moved)

        def check(reference, actual):
            truth = reference.linearized_outputs(gates.GATE_STEPS, "adagrad")
            return gates.check_training(reference, actual, truth)

        cost = {"cost": costs.adaptive_step(p, n_slots)}
        return self._pair(
            "linearized_step",
            "",
            check,
            cost
            | {
                "prepare": lambda: (self._linearization(),),
                "run": train,
                "overhead": lambda lin: train(lin, 0),
                "count": count,
                "probe": lambda lin: train(lin, gates.GATE_STEPS).predict(self._everywhere()),
            },
            cost
            | {
                "run": lambda: handmade.adapt_linearized(
                    p.layers, p.X, p.Y, by_hand, HANDMADE_STEPS
                ),
                "count": HANDMADE_STEPS,
                "probe": outputs,
            },
        )

    def split(self):
        """The split of an end state of AdaGrad (Thm 3), and the two parts that it cannot go below.

        "A_t" is what ``interpolating`` needs first: K_D^{-1} (f_t(X) − f_0(X)), D the last one.
        """
        p, optimizer = self.problem, self._adaptive("adagrad")[0]

        def trained():
            return (self._linearization().train(p.Y, optimizer, steps=gates.GATE_STEPS),)

        def change(run):
            return run.outputs.astype(float) - run.linearization.initial_outputs

        def parts(run):
            K = run.linearization.features.gram(weights=run.weights).astype(float)
            factor = scipy.linalg.cho_factor(K, lower=True, overwrite_a=True)
            return scipy.linalg.cho_solve(factor, change(run))

        def by_hand(run):
            return handmade.split(p.layers, p.X, run.weights, change(run))

        def probed(solve):
            return lambda run: (run.weights, change(run), solve(run))

        def coefficients(run):
            return run.split.coefficients

        shared = {"work": "split", "prepare": trained}
        return [
            Task(
                **shared,
                variant=variant,
                implementation=implementation,
                run=solve,
                probe=probed(solve),
                check=partial(gates.check_split, self.reference),
            )
            for variant, implementation, solve in (
                ("A_t", "ntklin", coefficients),
                ("A_t", "numpy", by_hand),
                ("Gram and Cholesky", "ntklin", parts),
            )
        ]

    def closed_form(self):
        """The factorization of K(X, X), and f_t(X_test) at many t after it.

        Both kernels are given, as in the peers' own benchmark; the queries include the product of
        K(X_test, X) with V, which only the first of them has to do.
        """
        p, net, n_times = self.problem, self.net, self.scale.n_times
        doubled = 2 ** np.arange(gates.DOUBLINGS + 1)
        later = np.geomspace(1e3, 1e9, max(0, n_times - len(doubled))).round().astype(np.int64)
        times = np.concatenate([doubled, later])

        def linearized():
            lin = ntklin.linearize(net, p.theta, p.X)
            _ = lin.kernel
            return (lin,)

        def descent():
            (lin,) = linearized()
            lin.at(p.X_test)
            return (lin.gradient_descent(p.Y),)

        def changes(gd):
            lin, at = gd.linearization, gd.predict(p.X_test, t=[0, *doubled])
            return lin.kernel, lin.at(p.X_test).kernel, at[1:].astype(float) - at[0]

        def kernel():
            return (handmade.gram(p.layers, p.X),)

        def factors():
            (K,) = kernel()
            K_new = handmade.gram(p.layers, p.X_test, p.X)
            residual = p.Y - handmade.both_passes(p.layers, p.X)[-1]
            return K, K_new, residual, *handmade.factorize(K)

        def answers(K, K_new, residual, values, vectors, t=times):
            moved = handmade.closed_form(values, vectors, K_new, residual, 0.5 / values[-1], t)
            return K, K_new, moved

        return [
            *self._pair(
                "closed_form",
                "factorize",
                gates.check_eigenvalues,
                {"prepare": linearized, "run": lambda lin: lin.eigenvalues},
                {
                    "prepare": kernel,
                    "run": handmade.factorize,
                    "probe": lambda K: handmade.factorize(K)[0],
                },
            ),
            *self._pair(
                "closed_form",
                "queries",
                gates.check_closed_form,
                {
                    "prepare": descent,
                    "run": lambda gd: gd.predict(p.X_test, t=times),
                    "probe": changes,
                },
                {"prepare": factors, "run": answers, "probe": partial(answers, t=doubled)},
            ),
        ]

    def infinite(self):
        """The infinite-width NTK Θ(X, X) of the ``fan_in`` network with normal biases."""
        p, net = self.problem, self.problem.infinite_net
        return self._pair(
            "infinite",
            "",
            gates.check_infinite,
            {"run": lambda: ntklin.infinite_ntk(net, p.X), "cost": costs.infinite(p)},
            {"run": lambda: handmade.infinite_ntk(p.X, net.depth), "cost": costs.infinite(p)},
        )
