"""The peer that is always there: NumPy or CuPy by hand, with the layer structure.

Not autodiff, which is slower by an order of magnitude: activations and backward signals once, then
the Gram matrices as sums over layers, the Jacobian by broadcasting into the array, and the weighted
Gram matrix from blocks of J that stay in cache.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scipy.linalg

from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks.cases import SIGMA, Layers

# ``move(part, gradient)`` changes both in place.
Move = Callable[[Array, Array], None]

# One block of J in the weighted Gram matrix: about what a second-level cache and its share of the
# third hold.
BLOCK_BYTES = 5 << 20


# α in place, and α' from α.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (lambda h: np.maximum(h, 0, out=h), lambda a: a > 0),
    "tanh": (lambda h: np.tanh(h, out=h), lambda a: 1 - a * a),
}


def forward(
    layers: Layers, X: Array, activation: str = "relu"
) -> tuple[list[Any], list[Array], Array]:
    """Scales, activations and outputs (N, C), in the dtype of ``X``."""
    scalar = X.dtype.type
    alpha, _ = ACTIVATIONS[activation]
    w = [scalar(SIGMA / np.sqrt(len(W))) for W, _ in layers]
    v = scalar(SIGMA)
    activations = [X]
    for l, (W, b) in enumerate(layers):
        h = activations[-1] @ W.T
        h *= w[l]
        h += v * b
        activations.append(alpha(h) if l < len(layers) - 1 else h)
    outputs = activations.pop()
    return w, activations, outputs


def backward(
    layers: Layers, w: list[Any], activations: list[Array], top: Array, activation: str = "relu"
) -> list[Array]:
    """The backward signals from that of the outputs."""
    _, slope = ACTIVATIONS[activation]
    deltas = [top]
    for l in range(len(layers) - 1, 0, -1):
        delta = deltas[0] @ layers[l][0]
        delta *= w[l]
        delta *= slope(activations[l])
        deltas.insert(0, delta)
    return deltas


def both_passes(layers: Layers, X: Array) -> tuple[list[Any], list[Array], list[Array], Array]:
    """Scales, activations, backward signals and outputs of a ReLU network of one output."""
    w, activations, outputs = forward(layers, X)
    deltas = backward(layers, w, activations, np.ones_like(X[:, :1]))
    return w, activations, deltas, outputs[:, 0]


def gram(layers: Layers, X: Array, other: Array | None = None) -> Array:
    """K(X, X') layer by layer; where X' is X, NumPy takes the symmetric product."""
    w, A, B, _ = both_passes(layers, X)
    _, A2, B2, _ = (w, A, B, None) if other is None else both_passes(layers, other)
    v2 = X.dtype.type(SIGMA**2)
    K: Any = None
    for scale, a, d, a2, d2 in zip(w, A, B, A2, B2, strict=True):
        part = a @ a2.T
        part *= scale * scale
        part += v2
        if d.shape[1] > 1:
            part *= d @ d2.T
        K = part if K is None else np.add(K, part, out=K)
    return K


def weighted_gram(
    layers: Layers, X: Array, weights: Array, block_bytes: int = BLOCK_BYTES
) -> Array:
    """J D J^T from blocks of √D-scaled columns of J, one block of neurons at a time."""
    w, A, B, _ = both_passes(layers, X)
    n = len(X)
    K = np.zeros_like(X, shape=(n, n))
    start = 0
    for scale, a, d in zip(w, A, B, strict=True):
        m, k = d.shape[1], a.shape[1]
        root = np.sqrt(weights[start : start + m * k]).reshape(m, k)
        root *= scale
        shift = d * (X.dtype.type(SIGMA) * np.sqrt(weights[start + m * k : start + m * (k + 1)]))
        start += m * (k + 1)
        size = min(m, max(1, block_bytes // (n * k * X.itemsize)))
        block = np.empty_like(X, shape=(n, size, k))
        for i in range(0, m, size):
            part = block if i + size <= m else np.empty_like(X, shape=(n, m - i, k))
            np.multiply(d[:, i : i + size, None], a[:, None, :], out=part)
            part *= root[i : i + size]
            rows = part.reshape(n, -1)
            K += rows @ rows.T
        K += shift @ shift.T
    return K


def outputs_passes(
    layers: Layers, X: Array, activation: str = "relu"
) -> tuple[list[Any], list[Array], list[Array]]:
    """Scales, activations, and backward signals of C outputs, of which input n has rows n C + c."""
    w, activations, outputs = forward(layers, X, activation)
    n, n_outputs = outputs.shape
    top = np.zeros_like(X, shape=(n, n_outputs, n_outputs))
    top[:, range(n_outputs), range(n_outputs)] = 1
    _, slope = ACTIVATIONS[activation]
    deltas = [top.reshape(n * n_outputs, n_outputs)]
    for l in range(len(layers) - 1, 0, -1):
        delta = (deltas[0] @ layers[l][0]).reshape(n, n_outputs, -1)
        delta *= w[l]
        delta *= slope(activations[l])[:, None]
        deltas.insert(0, delta.reshape(n * n_outputs, -1))
    return w, activations, deltas


def general_gram(layers: Layers, X: Array, activation: str = "relu") -> Array:
    """K(X, X): each pair's ⟨a, a'⟩ times its C × C products of signals."""
    w, A, B = outputs_passes(layers, X, activation)
    n, n_outputs = len(X), len(layers[-1][0])
    v2 = X.dtype.type(SIGMA**2)
    K = np.zeros_like(X, shape=(n, n_outputs, n, n_outputs))
    for scale, a, d in zip(w[:-1], A[:-1], B[:-1], strict=True):
        part = scale * scale * (a @ a.T) + v2
        K += (d @ d.T).reshape(K.shape) * part[:, None, :, None]
    part = w[-1] * w[-1] * (A[-1] @ A[-1].T) + v2
    for c in range(n_outputs):
        K[:, c, :, c] += part
    return K.reshape(n * n_outputs, n * n_outputs)


def outputs_weighted_gram(
    layers: Layers, X: Array, weights: Array, block_bytes: int = 4 * BLOCK_BYTES
) -> Array:
    """J D J^T of a network of one hidden layer and several outputs.

    The hidden layer's products are found once for all outputs, a block of neurons at a time, and
    one matrix product gives each pair of inputs its C × C outputs.

    Returns
    -------
    ndarray, shape (N C, N C)
    """
    U = layers[1][0]
    w, (_, a), _ = forward(layers, X)
    n, (n_outputs, m), k = len(X), U.shape, X.shape[1]
    v2 = X.dtype.type(SIGMA**2)
    D, rest = weights[: m * k].reshape(m, k), weights[m * k :]
    D_bias, D_above, D_bias_above = rest[:m], rest[m : m + m * n_outputs], rest[-n_outputs:]
    D_above = D_above.reshape(n_outputs, m)
    gates = (a > 0).astype(X.dtype).T.copy()
    K = np.zeros_like(X, shape=(n * n, n_outputs * n_outputs))
    size = max(1, block_bytes // (n * max(n, k) * X.itemsize))
    for i in range(0, m, size):
        part = slice(i, min(i + size, m))
        T = (X * (w[0] * w[0] * D[part])[:, None]) @ X.T
        T += v2 * D_bias[part, None, None]
        T *= gates[part, :, None]
        T *= gates[part, None, :]
        products = w[1] * w[1] * (U[:, None, part] * U[None, :, part])
        K += T.reshape(len(T), -1).T @ products.reshape(n_outputs**2, -1).T
    K = K.reshape(n, n, n_outputs, n_outputs).transpose(0, 2, 1, 3).copy()
    for c in range(n_outputs):
        K[:, c, :, c] += w[1] * w[1] * ((a * D_above[c]) @ a.T) + v2 * D_bias_above[c]
    return K.reshape(n * n_outputs, n * n_outputs)


def jacobian(layers: Layers, X: Array, out: Array | None = None) -> Array:
    """J, every entry written once, into ``out`` or a new array."""
    w, A, B, _ = both_passes(layers, X)
    if out is None:
        out = np.empty_like(X, shape=(len(X), sum(W.size + b.size for W, b in layers)))
    start = 0
    for scale, a, d in zip(w, A, B, strict=True):
        m, k = d.shape[1], a.shape[1]
        view = out[:, start : start + m * k].reshape(len(X), m, k)
        np.multiply((scale * d)[:, :, None], a[:, None, :], out=view)
        start += m * k
        np.multiply(d, X.dtype.type(SIGMA), out=out[:, start : start + m])
        start += m
    return out


def descend(
    layers: Layers, X: Array, Y: Array, learning_rate: float, steps: int, activation: str = "relu"
) -> Layers:
    """Gradient steps on ½ mean ‖f − Y‖², changing ``layers`` in place."""
    rate = X.dtype.type(learning_rate / len(X))
    v = X.dtype.type(SIGMA)
    for _ in range(steps):
        w, A, outputs = forward(layers, X, activation)
        top = rate * (outputs - Y.reshape(outputs.shape))
        B = backward(layers, w, A, top, activation)
        for (W, b), scale, a, d in zip(layers, w, A, B, strict=True):
            W -= (scale * d).T @ a
            b -= v * d.sum(axis=0)
    return layers


def pull(w: list[Any], A: list[Array], B: list[Array], r: Array) -> Iterator[tuple[Array, Array]]:
    """φ^T r layer by layer; spoils the backward signals."""
    for scale, a, d in zip(w, A, B, strict=True):
        d *= r[:, None]
        yield (scale * d).T @ a, a.dtype.type(SIGMA) * d.sum(axis=0)


def train(
    layers: Layers, X: Array, Y: Array, rule: str, learning_rate: float, steps: int
) -> Layers:
    """Steps of AdaGrad or Adam on the same loss, of one output, in place."""
    moves = moves_of(rule, learning_rate, layers)
    for _ in range(steps):
        w, A, B, outputs = both_passes(layers, X)
        r = (outputs - Y) / X.dtype.type(len(X))
        move_all(layers, moves, pull(w, A, B, r))
    return layers


def train_linearized(
    layers: Layers, X: Array, Y: Array, rule: str, learning_rate: float, steps: int
) -> Layers:
    """Steps of AdaGrad or Adam on the linearized network; returns θ_t − θ_0 layer by layer."""
    w, A, B, outputs = both_passes(layers, X)
    moved = [(np.zeros_like(W), np.zeros_like(b)) for W, b in layers]
    moves = moves_of(rule, learning_rate, moved)
    r = outputs - Y
    for _ in range(steps):
        r /= X.dtype.type(len(X))
        move_all(moved, moves, pull(w, A, [d.copy() for d in B], r))
        r = outputs - Y
        r += push(w, A, B, moved)
    return moved


def moves_of(rule: str, learning_rate: float, layers: Layers) -> list[list[Move]]:
    """A rule's step for each array of the layers."""
    move = {"adagrad": adagrad, "adam": adam}[rule]
    return [[move(learning_rate, part) for part in layer] for layer in layers]


def move_all(
    layers: Layers, moves: list[list[Move]], gradients: Iterable[tuple[Array, Array]]
) -> None:
    """Move each array of the layers in place."""
    for layer, own, gradient in zip(layers, moves, gradients, strict=True):
        for part, move, g in zip(layer, own, gradient, strict=True):
            move(part, g)


def push(w: list[Any], A: list[Array], B: list[Array], layers: Layers) -> Array:
    """φ v for v layer by layer."""
    total: Any = 0
    for scale, a, d, (V, c) in zip(w, A, B, layers, strict=True):
        u = a @ V.T
        u *= scale
        u += a.dtype.type(SIGMA) * c
        total = total + np.einsum("ni,ni->n", u, d)
    return total


def adagrad(learning_rate: float, part: Array) -> Move:
    """AdaGrad's step on one array, in place."""
    squares, scratch = np.zeros_like(part), np.empty_like(part)
    rate, eps = part.dtype.type(learning_rate), part.dtype.type(1e-10)

    def move(part: Array, g: Array) -> None:
        np.multiply(g, g, out=scratch)
        np.add(squares, scratch, out=squares)
        np.sqrt(squares, out=scratch)
        np.add(scratch, eps, out=scratch)
        np.divide(g, scratch, out=g)
        g *= rate
        part -= g

    return move


def adam(learning_rate: float, part: Array) -> Move:
    """Adam's step on one array, in place."""
    means, squares, scratch = (np.zeros_like(part) for _ in range(3))
    count = 0

    def move(part: Array, g: Array) -> None:
        nonlocal count
        count += 1
        number = part.dtype.type
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, number(0.001), out=scratch)
        np.multiply(squares, number(0.999), out=squares)
        np.add(squares, scratch, out=squares)
        np.multiply(means, number(0.9), out=means)
        g *= number(0.1)
        np.add(means, g, out=means)
        np.sqrt(squares, out=scratch)
        np.multiply(scratch, number(1 / np.sqrt(1 - 0.999**count)), out=scratch)
        np.add(scratch, number(1e-8), out=scratch)
        np.divide(means, scratch, out=g)
        g *= number(learning_rate / (1 - 0.9**count))
        part -= g

    return move


def split(layers: Layers, X: Array, weights: Array, change: Array) -> Array:
    """K_D^{-1} (f_t(X) − f_0(X)): a weighted Gram matrix and a Cholesky factorization."""
    K = weighted_gram(layers, X, weights).astype(float)
    return scipy.linalg.cho_solve(scipy.linalg.cho_factor(K, overwrite_a=True), change)


def factorize(K: Array) -> tuple[Array, Array]:
    """λ, ascending, and V, in float64."""
    return scipy.linalg.eigh(K.astype(float, copy=False), check_finite=False)


def closed_form(
    values: Array, vectors: Array, K_new: Array, residual: Array, rate: float, times: Array
) -> Array:
    """What gradient descent on the linearized network adds to f_0(X_new), shape (T, N')."""
    left = np.exp(times[:, None] * np.log1p(-rate * values))
    coefficients = (1 - left) / values * (vectors.T @ residual)
    return coefficients @ (K_new @ vectors).T


def infinite_ntk(X: Array, depth: int) -> Array:
    """Θ(X, X) of the ``fan_in`` network with normal biases, σ_b = σ, by arccos over the matrix."""
    scalar = X.dtype.type
    s2, pi = scalar(SIGMA**2), scalar(np.pi)
    C = X @ X.T
    C *= scalar(SIGMA**2 / X.shape[1])
    C += s2
    theta = C.copy()
    for _ in range(depth - 1):
        norms = np.sqrt(np.diag(C))
        size = norms[:, None] * norms
        cosine = np.minimum(C / size, 1)
        angle = np.arccos(cosine)
        # The rounding of a cosine of 1 would be an angle of √eps.
        np.fill_diagonal(angle, 0)
        rest = (pi - angle) / (2 * pi)
        C = s2 * size * (np.sin(angle) / (2 * pi) + rest * cosine) + s2
        theta = C + s2 * rest * theta
    return theta
