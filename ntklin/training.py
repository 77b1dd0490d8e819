"""Training of the real network, the thing that the closed forms predict."""

import time
from dataclasses import dataclass, replace

import numpy as np

from ntklin import descent
from ntklin._validate import as_count, as_inputs, as_positive, as_targets, as_vector
from ntklin.errors import DegenerateKernelError, DivergenceError, TrainingInterrupted
from ntklin.optimizers import GradientDescent

METHODS = ("auto", "reduced", "direct")
# A loss this many times the largest of its start and ‖Y‖²/(2N) counts as divergence: below it, a
# wide network can still come back although η is above the bound of the linearized one.
CEILING = 1e3
# Seconds between two calls of ``progress``, and the longest that Ctrl-C has to wait.
PULSE = 0.1


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A trained network.

    Attributes
    ----------
    network : MLP
    parameters : ndarray, shape (P,)
        θ_t at the end.
    losses : ndarray, shape (steps + 1,)
        L(θ_0), …, L(θ_t).
    steps : int
        The number of steps taken, t.
    converged : bool
        Whether the loss fell below ``until``.
    optimizer : GradientDescent
        With the learning rate that was used.
    method : str
        ``"reduced"`` or ``"direct"``.
    """

    network: object
    parameters: np.ndarray
    losses: np.ndarray
    steps: int
    converged: bool
    optimizer: object
    method: str

    def predict(self, X):
        """The trained network's outputs f_θ(X), shape (N,)."""
        return self.network.apply(self.parameters, X)


def train(
    net,
    theta,
    X,
    Y,
    optimizer=None,
    *,
    steps=None,
    until=None,
    method="auto",
    progress=None,
):
    """Train the real network on the squared loss L = ‖f_θ(X) − Y‖²/(2N).

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
    theta : ndarray, shape (P,)
        θ_0; not changed.
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,)
    optimizer : GradientDescent, optional
        ``GradientDescent()`` when not given; its default η is 0.5 N/λ_max(K(X, X)) at θ_0.
    steps : int, optional
        Take at most this many steps.
    until : float, optional
        Stop when the loss first drops below this; 1e-5 when neither is given, as in App. D.
    method : {"auto", "reduced", "direct"}
        ``"reduced"`` evolves the first layer's preactivations with G = w_1² X X^T + v_1² and is
        exact; ``"direct"`` evolves θ. ``"auto"`` takes the cheaper one.
    progress : callable, optional
        Called as ``progress(step, loss)`` about ten times a second.

    Returns
    -------
    TrainingRun

    Raises
    ------
    DegenerateKernelError
        If K(X, X) = 0 at θ_0 and the default learning rate is asked for.
    DivergenceError
        As soon as the loss is not finite or 1,000 times its start, with η and the bound 2N/λ_max.
    TrainingInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``run`` holds what was finished.
    """
    X = as_inputs(X, net.n_inputs)
    Y = as_targets(Y, len(X))
    theta = as_vector(theta, net.n_parameters, name="theta")
    dtype = np.result_type(theta, X)
    X, Y, theta = (a.astype(dtype, copy=False) for a in (X, Y, theta))
    if steps is not None:
        steps = as_count(steps, name="steps", minimum=0)
    if until is not None:
        until = as_positive(until, name="until")
    elif steps is None:
        until = 1e-5
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    optimizer = GradientDescent() if optimizer is None else optimizer
    if not isinstance(optimizer, GradientDescent):
        raise TypeError(f"optimizer must be an ntklin.GradientDescent, got {optimizer!r}")
    if optimizer.learning_rate is None:
        bound = _stability_bound(net, theta, X)
        if not np.isfinite(bound):
            raise DegenerateKernelError(
                "K(X, X) = 0: no output depends on θ, so there is no default learning rate; check "
                "X and theta for zeros, or pass GradientDescent(learning_rate=...)"
            )
        optimizer = replace(optimizer, learning_rate=0.25 * bound)
    if method == "auto":
        method = "reduced" if descent.reduction_pays(net, X) else "direct"
    engine = descent.ENGINES[method](net, theta, X, Y, optimizer)
    ceiling = CEILING * max(engine.loss(), float((Y.astype(float) ** 2).mean()) / 2, 1e-30)
    return _run(net, engine, optimizer, method, steps, until, ceiling, progress, (theta, X))


def _run(net, engine, optimizer, method, steps, until, ceiling, progress, start):
    losses = [np.array([engine.loss()])]
    taken, block = 0, 1

    def result():
        return TrainingRun(
            network=net,
            parameters=engine.parameters(),
            losses=np.concatenate(losses),
            steps=taken,
            converged=until is not None and bool(losses[-1][-1] < until),
            optimizer=optimizer,
            method=method,
        )

    try:
        while (steps is None or taken < steps) and not (until and losses[-1][-1] < until):
            limit = block if steps is None else min(block, steps - taken)
            began = time.perf_counter()
            new = engine.advance(limit, until or 0.0, ceiling)
            seconds = time.perf_counter() - began
            losses.append(new)
            taken += len(new)
            if not new[-1] <= ceiling:
                _raise_divergence(net, start, optimizer.learning_rate, taken, losses)
            if progress is not None:
                progress(taken, float(new[-1]))
            block = max(1, min(4 * block, int(len(new) * PULSE / max(seconds, 1e-9))))
    except KeyboardInterrupt:
        raise TrainingInterrupted(result()) from None
    return result()


def _stability_bound(net, theta, X):
    """2N/λ_max(K(X, X)) at θ; infinite where K = 0."""
    kernel = net.features(theta, X).gram().astype(np.float64)
    largest = float(np.linalg.eigvalsh(kernel)[-1])
    return 2 * len(X) / largest if largest > 0 else np.inf


def _raise_divergence(net, start, learning_rate, step, losses):
    bound = _stability_bound(net, *start)
    raise DivergenceError(
        f"the loss rose from {losses[0][0]:.3g} to {losses[-1][-1]:.3g} by step {step} with "
        f"learning rate η = {learning_rate:.4g}; gradient descent on the linearized network is "
        f"stable for η < 2N/λ_max = {bound:.4g}, so take a smaller one",
        learning_rate=learning_rate,
        bound=bound,
        step=step,
    )
