"""JAX's jitted forms of the works that go beyond one output and ReLU, as a peer script.

It is called as ``peers`` says, in an environment that has JAX and need not have ntklin: it draws
the frozen problem by itself, and imports nothing of this project.

    PYTHON jax_forms.py ntk_gram|weighted_gram|gd_step jitted --setting A10|Atanh --n N --dtype f64

``jittedK`` takes K neurons at a time, where neurons are taken in blocks.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
import numpy as np

# As in ``cases``.
SIGMA, SEED, N_TEST = 1.4, 20261101, 100
SETTINGS = {"A10": ((784, 4000, 10), "relu"), "Atanh": ((784, 4000, 1), "tanh")}
# Of gradient descent, as in ``compare``.
LEARNING_RATES = {"A10": 1e-3, "Atanh": 1e-4}
STEPS_BEFORE, STEPS_TIMED, TURNS = 3, 50, 5
# α, and α' from α.
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "relu": (lambda h: jnp.maximum(h, 0), lambda a: a > 0),
    "tanh": (jnp.tanh, lambda a: 1 - a * a),
}
BLOCK = 40


def draw(widths: tuple[int, ...], n: int, dtype: str) -> tuple[Any, Any, Any]:
    """X, Y and the layers' (W, b), Gaussian."""
    rng = np.random.default_rng(SEED)
    layers = [(rng.standard_normal((m, k)), np.zeros(m)) for k, m in pairwise(widths)]
    X = rng.standard_normal((n + N_TEST, widths[0]))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True))[:n]
    Y = rng.standard_normal((n, widths[-1]))
    put = partial(jnp.asarray, dtype=dtype)
    return put(X), put(Y), [(put(W), put(b)) for W, b in layers]


def forward(layers: Any, X: Any, activation: str) -> tuple[list[float], list[Any], Any]:
    """Scales w_l, activations and outputs (N, C)."""
    alpha, _ = ACTIVATIONS[activation]
    w = [SIGMA / len(W) ** 0.5 for W, _ in layers]
    activations = [X]
    for scale, (W, b) in zip(w, layers, strict=True):
        h = scale * (activations[-1] @ W.T) + SIGMA * b
        activations.append(alpha(h))
    return w, activations[:-1], h


def gram(layers: Any, X: Any, activation: str) -> Any:
    """K(X, X) of one hidden layer: each pair's ⟨x, x'⟩ times its C × C products of signals."""
    w, (_, a), _ = forward(layers, X, activation)
    slope = ACTIVATIONS[activation][1](a)
    U = w[1] * layers[1][0]
    n, n_outputs = len(X), len(U)
    below = w[0] ** 2 * (X @ X.T) + SIGMA**2
    above = w[1] ** 2 * (a @ a.T) + SIGMA**2
    signals = (slope[:, None] * U).reshape(n * n_outputs, -1)
    products = (signals @ signals.T).reshape(n, n_outputs, n, n_outputs)
    K = products * below[:, None, :, None]
    K += jnp.eye(n_outputs, dtype=X.dtype)[None, :, None, :] * above[:, None, :, None]
    return K.reshape(n * n_outputs, n * n_outputs)


def weighted_gram(layers: Any, X: Any, D: Any, activation: str, block: int) -> Any:
    """J D J^T of one hidden layer, its neurons in blocks: their Gram matrices serve all outputs."""
    w, (_, a), _ = forward(layers, X, activation)
    slope = ACTIVATIONS[activation][1](a).astype(X.dtype)
    U = w[1] * layers[1][0]
    (n, k), (n_outputs, m) = X.shape, U.shape
    D_hidden, D_bias = D[: m * k].reshape(m, k), D[m * k : m * (k + 1)]
    D_above, D_top = D[m * (k + 1) : -n_outputs].reshape(n_outputs, m), D[-n_outputs:]

    def add(j: Any, K: Any) -> Any:
        cut = partial(jax.lax.dynamic_slice_in_dim, start_index=j * block, slice_size=block)
        T = (X * (w[0] ** 2 * cut(D_hidden))[:, None]) @ X.T + SIGMA**2 * cut(D_bias)[:, None, None]
        gates = cut(slope.T)
        T *= gates[:, :, None] * gates[:, None, :]
        u = cut(U, axis=1)
        products = (u[:, None] * u[None]).reshape(n_outputs**2, block)
        return K + T.reshape(block, n * n).T @ products.T

    K = jax.lax.fori_loop(0, m // block, add, jnp.zeros((n * n, n_outputs**2), X.dtype))
    K = K.reshape(n, n, n_outputs, n_outputs).transpose(0, 2, 1, 3)
    above = w[1] ** 2 * jnp.einsum("ni,ci,ki->cnk", a, D_above, a) + SIGMA**2 * D_top[:, None, None]
    for c in range(n_outputs):
        K = K.at[:, c, :, c].add(above[c])
    return K.reshape(n * n_outputs, n * n_outputs)


def timed(call: Callable[[], Any], most: int = 30, count: int = 1) -> tuple[Any, dict[str, Any]]:
    """What ``call`` gives, and seconds per unit, of which it does ``count``.

    It is called TURNS times, or up to ``most`` times within two seconds.

    Returns
    -------
    result, dict
    """
    seconds, before, began = [], busy(), time.perf_counter()
    while len(seconds) < TURNS or (sum(seconds) < 2 and len(seconds) < most):
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        seconds.append((time.perf_counter() - start) / count)
    wall = time.perf_counter() - began
    machine, own = (after - b for after, b in zip(busy(), before, strict=True))
    return result, {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "foreign_cores": max(0.0, machine - own) / wall,
    }


def busy() -> tuple[float, float]:
    """Seconds of CPU that the machine and this process have spent."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0, 0.0
    ticks = list(map(int, fields))
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"), time.process_time()


def trained(layers: Any, X: Any, Y: Any, activation: str, rate: float) -> dict[str, Any]:
    """Time of a step of gradient descent on ½ mean ‖f − Y‖², and the loss before the last step."""

    def loss(layers: Any) -> Any:
        outputs = forward(layers, X, activation)[-1]
        return ((outputs - Y) ** 2).sum(axis=1).mean() / 2

    @partial(jax.jit, donate_argnums=0)
    def step(layers: Any) -> tuple[Any, Any]:
        value, gradient = jax.value_and_grad(loss)(layers)
        move = lambda part, g: part - rate * g  # noqa: E731
        return jax.tree_util.tree_map(move, layers, gradient), value

    def run(count: int) -> Any:
        nonlocal layers
        for _ in range(count):
            layers, value = step(layers)
        return layers, value

    jax.block_until_ready(run(STEPS_BEFORE))
    (_, value), found = timed(lambda: run(STEPS_TIMED), most=TURNS, count=STEPS_TIMED)
    return found | {"loss": float(value)}


def main() -> None:
    """Do one workload and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=("ntk_gram", "weighted_gram", "gd_step"))
    parser.add_argument("implementation")
    parser.add_argument("--setting", choices=SETTINGS, required=True)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--dtype", choices=("f64", "f32"), default="f64")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", given.dtype == "f64")
    widths, activation = SETTINGS[given.setting]
    X, Y, layers = draw(widths, given.n, f"float{given.dtype[1:]}")
    K = None
    if given.workload == "gd_step":
        found = trained(layers, X, Y, activation, LEARNING_RATES[given.setting])
    else:
        if given.workload == "ntk_gram":
            form, arguments = partial(gram, activation=activation), (layers, X)
        else:
            size = sum(W.size + b.size for W, b in layers)
            D = 0.5 + np.random.default_rng(SEED + 1).random(size)
            block = int(given.implementation.removeprefix("jitted") or BLOCK)
            form = partial(weighted_gram, activation=activation, block=block)
            arguments = layers, X, jnp.asarray(D, X.dtype)
        jitted = jax.jit(form)
        jax.block_until_ready(jitted(*arguments))
        K, found = timed(lambda: jitted(*arguments))
    found["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if K is not None:
        name = "-".join((given.workload, given.setting, given.dtype, given.implementation))
        file = Path(os.environ.get("PEER_OUT", ".")) / f"{name}.npy"
        np.save(file, np.asarray(K, dtype=float))
        found["result_file"] = str(file)
    found["versions"] = {"jax": jax.__version__, "numpy": np.__version__}
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
