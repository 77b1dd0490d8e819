"""Values of neural-tangents 0.6.5 for tests/test_neural_tangents.py, in float64.

Run once, in an environment of its own: neural-tangents needs TensorFlow and JAX 0.5.3.

    python -m venv nt && nt/bin/pip install neural-tangents==0.6.5 jax==0.5.3 jaxlib==0.5.3
    nt/bin/python tests/data/make_neural_tangents.py > tests/data/neural_tangents.json
"""

import json
import sys
from itertools import pairwise

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import neural_tangents as nt  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402

W_STD, B_STD = 1.3, 0.4
# Numbers that JSON and every dtype have exactly.
X = np.array([[0.5, 0.25, -0.125], [-0.75, 0.5, 0.25], [0.125, -0.5, 0.625], [0.25, 0.625, 0.5]])
X_NEW = np.array([[0.5, -0.5, 0.25], [0.375, 0.25, -0.75]])
Y = np.array([0.0, 1.0, 0.5, -1.0])
WIDTHS = 3, 4, 3, 3
TIMES = [0.0, 0.5, 4.0, 60.0]

ACTIVATIONS = {
    "relu": stax.Relu,
    "leaky_relu(0.2)": lambda: stax.LeakyRelu(0.2),
    "abs": stax.Abs,
    "erf": stax.Erf,
    "gelu": stax.Gelu,
    "sin": stax.Sin,
}


def network(activation, widths, parameterization="ntk", b_std=B_STD):
    """Dense, activation, Dense, …, Dense of these widths."""
    layers = []
    for m in widths[1:]:
        layers += [
            stax.Dense(m, W_std=W_STD, b_std=b_std, parameterization=parameterization),
            ACTIVATIONS[activation](),
        ]
    return stax.serial(*layers[:-1])


def limits():
    """Infinite kernels K(X_NEW, X) for each activation, depth, bias and parametrization."""
    for activation in ACTIVATIONS:
        for depth in (2, 3):
            for b_std in (None, B_STD):
                _, _, kernel_fn = network(activation, (3, *[8] * (depth - 1), 1), b_std=b_std)
                k = kernel_fn(X_NEW, X, ("ntk", "nngp"))
                yield {
                    "activation": activation,
                    "depth": depth,
                    "b_std": b_std,
                    "ntk": k.ntk.tolist(),
                    "nngp": k.nngp.tolist(),
                }


def parameters(widths):
    """W^l (m_l, m_{l−1}) and b^l with entries k/16, the same in every language."""
    rng = np.random.default_rng(3)
    for k, m in pairwise(widths):
        yield rng.integers(-24, 25, (m, k)) / 16, rng.integers(-16, 17, m) / 16


def finite(activation, widths, parameterization):
    """Outputs and empirical kernels of a small network; theirs have W (fan_in, fan_out)."""
    _, apply_fn, _ = network(activation, widths, parameterization)
    layers = list(parameters(widths))
    params = []
    for W, b in layers:
        params += [(jnp.array(W.T), jnp.array(b)[None, :]), ()]
    params = params[:-1]
    options = {"vmap_axes": 0, "implementation": nt.NtkImplementation.JACOBIAN_CONTRACTION}
    full = nt.empirical_ntk_fn(apply_fn, trace_axes=(), **options)
    traced = nt.empirical_ntk_fn(apply_fn, trace_axes=(-1,), **options)
    return apply_fn, params, layers, full, traced


def empirical(activation, parameterization):
    apply_fn, params, layers, full, traced = finite(activation, WIDTHS, parameterization)
    moved = jax.tree.map(lambda p: p + 0.125, params)
    linear = nt.linearize(apply_fn, params)
    return {
        "activation": activation,
        "parameterization": parameterization,
        "layers": [[W.tolist(), b.tolist()] for W, b in layers],
        "outputs": apply_fn(params, X).tolist(),
        "linearized, θ + 1/8": linear(moved, X).tolist(),
        "ntk, trace_axes=()": full(X_NEW, X, params).tolist(),
        "ntk, trace_axes=(-1,)": traced(X_NEW, X, params).tolist(),
    }


def descent(widths, targets):
    """gradient_descent_mse with the kernel and the outputs of a small network."""
    apply_fn, params, layers, full, _ = finite("relu", widths, "ntk")
    kernel = full(X, None, params)
    new = full(X_NEW, X, params)
    predict = nt.predict.gradient_descent_mse(kernel, targets, trace_axes=())
    f0, f0_new = apply_fn(params, X), apply_fn(params, X_NEW)
    results = [predict(t, f0, f0_new, new) for t in TIMES]
    return {
        "layers": [[W.tolist(), b.tolist()] for W, b in layers],
        "targets": targets.tolist(),
        "times": TIMES,
        "train": [np.asarray(r[0]).tolist() for r in results],
        "new": [np.asarray(r[1]).tolist() for r in results],
    }


def ensemble(activation):
    """Mean and covariance over initializations at X_NEW."""
    _, _, kernel_fn = network(activation, (3, 8, 8, 1))
    predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, X, Y[:, None], diag_reg=0.0)
    found = {"activation": activation, "times": [*TIMES[1:], None], "mean": [], "covariance": []}
    for t in found["times"]:
        gaussian = predict(t=t, x_test=X_NEW, get="ntk", compute_cov=True)
        found["mean"].append(np.asarray(gaussian.mean)[:, 0].tolist())
        found["covariance"].append(np.asarray(gaussian.covariance).tolist())
    return found


def main():
    values = {
        "provenance": f"neural-tangents {nt.__version__}, JAX {jax.__version__}, float64, by "
        "tests/data/make_neural_tangents.py",
        "W_std": W_STD,
        "b_std": B_STD,
        "X": X.tolist(),
        "X_new": X_NEW.tolist(),
        "Y": Y.tolist(),
        "widths": list(WIDTHS),
        "infinite": list(limits()),
        "empirical": [
            empirical(activation, parameterization)
            for activation, parameterization in (
                ("relu", "ntk"),
                ("relu", "standard"),
                ("erf", "ntk"),
                ("gelu", "standard"),
            )
        ],
        "one output": empirical_one_output(),
        "descent": descent((3, 5, 1), Y[:, None]),
        "descent, three outputs": descent((3, 8, 3), np.stack([Y, Y[::-1], Y**2], axis=1)),
        "ensemble": [ensemble(activation) for activation in ("relu", "erf")],
    }
    json.dump(values, sys.stdout, indent=None, separators=(",", ":"))
    print()


def empirical_one_output():
    """The same with one output, which has fewer axes with us."""
    found = []
    for parameterization in ("ntk", "standard"):
        apply_fn, params, layers, full, _ = finite("relu", (3, 5, 4, 1), parameterization)
        found.append(
            {
                "parameterization": parameterization,
                "layers": [[W.tolist(), b.tolist()] for W, b in layers],
                "outputs": apply_fn(params, X)[:, 0].tolist(),
                "ntk": full(X_NEW, X, params)[:, :, 0, 0].tolist(),
            }
        )
    return found


if __name__ == "__main__":
    main()
