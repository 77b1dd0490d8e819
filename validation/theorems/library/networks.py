"""Eq. (1), its gradients and its kernels: networks, feature operators and what is made of them."""

from __future__ import annotations

from functools import partial

import numpy as np
from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem, drawn, eighths, passes
from ntklin.validation.theorems.library.numbers import exact, norm

KINDS = (
    drawn((3, 8, 1)),
    drawn((3, 6, 5, 1), bias="normal", sigma=1.5),
    drawn((3, 8, 2), bias="normal"),
    drawn((2, 7, 1), bias="none", sigma=0.75),
    drawn((3, 8, 1), bias="normal", scaling="fan_in", sigma_b=0.5),
    drawn((3, 6, 4, 1), bias="normal", scaling="eq1"),
    drawn((3, 8, 1), bias="normal", scaling="standard"),
    drawn((3, 1), n=3, bias="normal"),
)


def vectors(problem: Problem) -> tuple[Array, Array]:
    """Columns to multiply φ and φ^T by: (P, 2) and (N·C, 2)."""
    rng = np.random.default_rng(0)
    dtype = problem.theta.dtype
    shapes = (len(problem.theta), 2), (problem.Y.size, 2)
    v, r = (eighths(rng, *shape).astype(dtype) for shape in shapes)
    return v, r


def asked(problem: Problem) -> Named:
    """What a network says."""
    net, theta, X, D = problem.net, problem.theta, problem.X, problem.D
    phi, new = net.features(theta, X), net.features(theta, problem.X_new)
    streamed = net.features(theta, X, rows=2)
    v, r = vectors(problem)
    return {
        "apply": net.apply(theta, problem.X_new),
        "jacobian": net.jacobian(theta, X),
        "features.outputs": phi.outputs,
        "features @ v": phi @ v[:, 0],
        "features @ V": phi @ v,
        "features.T @ r": phi.T @ r[:, 0],
        "features.T @ R": phi.T @ r,
        "features.gram": phi.gram(),
        "features.gram(other)": new.gram(phi),
        "features.gram(weights)": phi.gram(weights=D),
        "features.gram(other, weights)": new.gram(phi, weights=D),
        "features.gram_product": phi.gram_product(r),
        "features.along_parameters": phi.along_parameters(),
        "features.rows": phi.rows(slice(1, 3)).toarray(),
        "features.at": phi.at(problem.X_new).toarray(),
        "streamed @ v": streamed @ v[:, 0],
        "streamed.T @ r": streamed.T @ r[:, 0],
        "streamed.gram": streamed.gram(),
        "streamed.gram(weights)": streamed.gram(weights=D),
        "streamed.gram_product": streamed.gram_product(r),
        "streamed.outputs": streamed.outputs,
        "ntk": ntklin.ntk(net, theta, X),
        "ntk(X1, X2)": ntklin.ntk(net, theta, problem.X_new, X),
        "ntk(weights)": ntklin.ntk(net, theta, problem.X_new, X, weights=D),
        "unpack": net.unpack(theta)[-1][0],
        "pack": net.pack(net.unpack(theta)),
    }


def true(model: Model, biases: int = 1) -> Named:
    """The same by Eq. (1) and the chain rule."""
    f, phi = passes(model.net, model.theta, np.concatenate([model.X, model.X_new]), biases)
    C, n, rows = f.shape[1], model.n, model.rows
    f, phi = model.shaken(f.ravel()), model.shaken(phi)
    (f, f_new), (phi, new) = (np.split(a, [rows]) for a in (f, phi))
    v, r = map(exact, vectors(model.problem))
    K, K_D, across, across_D = (
        phi @ phi.T,
        phi * model.D @ phi.T,
        new @ phi.T,
        new * model.D @ phi.T,
    )
    m = model.net.widths[-2]
    last = model.theta[-(m + (model.net.bias != "none")) * C :][: m * C]
    return {
        "apply": f_new,
        "jacobian": phi,
        "features.outputs": f,
        "features @ v": phi @ v[:, 0],
        "features @ V": phi @ v,
        "features.T @ r": phi.T @ r[:, 0],
        "features.T @ R": phi.T @ r,
        "features.gram": K,
        "features.gram(other)": across,
        "features.gram(weights)": K_D,
        "features.gram(other, weights)": across_D,
        "features.gram_product": K @ r,
        "features.along_parameters": phi @ model.theta,
        "features.rows": phi[_samples(1, 3, n, C)],
        "features.at": new,
        "streamed @ v": phi @ v[:, 0],
        "streamed.T @ r": phi.T @ r[:, 0],
        "streamed.gram": K,
        "streamed.gram(weights)": K_D,
        "streamed.gram_product": K @ r,
        "streamed.outputs": f,
        "ntk": K,
        "ntk(X1, X2)": across,
        "ntk(weights)": across_D,
        "unpack": last,
        "pack": model.theta,
    }


def _samples(start: int, stop: int, n: int, C: int) -> slice:
    return slice(start * C, min(stop, n) * C)


FEATURES = (
    agreement(
        "features",
        "outputs, Jacobian, products with φ and φ^T and kernels, weighted or not, of all scalings",
        KINDS,
        asked,
        true,
        partial(true, biases=0),
        "features without those of biases",
    ),
)


# Other activations

SMOOTH = tuple(
    drawn((2, 6, 1), worst=np.inf, scaling="fan_in", bias="normal", activation=name)
    for name in ("leaky_relu(0.25)", "abs", "erf", "tanh", "gelu", "softplus", "sigmoid", "sin")
)
SMOOTH_RESULTS = (
    *("apply", "jacobian", "features @ v", "features.T @ r", "features.gram"),
    "features.gram(weights)",
)


def asked_smooth(problem: Problem) -> Named:
    """Outputs, features and kernels."""
    net, theta, X = problem.net, problem.theta, problem.X
    phi = net.features(theta, X)
    v, r = vectors(problem)
    return {
        "apply": net.apply(theta, problem.X_new),
        "jacobian": net.jacobian(theta, X),
        "features @ v": phi @ v[:, 0],
        "features.T @ r": phi.T @ r[:, 0],
        "features.gram": phi.gram(),
        "features.gram(weights)": phi.gram(weights=problem.D),
    }


def true_smooth(model: Model, biases: int = 1) -> Named:
    """The same."""
    whole = true(model, biases)
    return {name: whole[name] for name in SMOOTH_RESULTS}


ACTIVATIONS = (
    agreement(
        "activations",
        "outputs, features and kernels of networks with every activation",
        SMOOTH,
        asked_smooth,
        true_smooth,
        partial(true_smooth, biases=0),
        "features without those of biases",
    ),
)


# Lemma 4


def asked_euler(problem: Problem) -> Named:
    """f by its own gradient."""
    net, theta = problem.net, problem.theta
    phi = net.features(theta, problem.X)
    last = np.zeros_like(theta)
    kept = sum(a.size for a in net.unpack(theta)[-1] if a is not None)
    last[-kept:] = theta[-kept:]
    return {
        "features @ θ/L": phi @ theta / net.depth,
        "features @ E_L θ": phi @ last,
    }


def true_euler(model: Model, depth: int | None = None) -> Named:
    """f_0 for both."""
    L = len(model.net.widths) - 1
    f = model.f0 if depth is None else model.f0 * L / depth
    return {"features @ θ/L": f, "features @ E_L θ": f}


EULER = (
    agreement(
        "euler",
        "the library's f_0 is (1/L) φ θ_0 and φ E_L θ_0, biases at 0",
        (drawn((3, 8, 1)), drawn((3, 6, 5, 1), bias="none"), drawn((2, 6, 2))),
        asked_euler,
        true_euler,
        partial(true_euler, depth=1),
        "φ θ_0 without 1/L",
    ),
)


# Pairs and doubled networks, and α (f − f_0)


def asked_made(problem: Problem) -> Named:
    """What networks say that are made of another one."""
    net, theta, X, X_new = problem.net, problem.theta, problem.X, problem.X_new
    moved = theta + problem.D.astype(theta.dtype) / 8
    pair, doubled = ntklin.AntisymmetricPair(net), ntklin.DoubledNetwork(net)
    lazy = ntklin.ScaledNetwork(net, 4.0, theta)
    at = np.concatenate([theta, moved])
    return {
        "pair.apply": pair.apply(at, X_new),
        "pair.jacobian": pair.jacobian(at, X),
        "pair.pack": pair.pack(pair.unpack(at)),
        "ntk(pair)": ntklin.ntk(pair, at, X),
        "pair.symmetrize": ntklin.ntk(pair, pair.symmetrize(theta), X),
        "doubled.symmetrize": ntklin.ntk(doubled, doubled.symmetrize(theta), X),
        "scaled.apply": lazy.apply(moved, X_new),
        "scaled.gram": lazy.features(theta, X).gram(),
    }


def true_made(model: Model, c: arb | None = None) -> Named:
    """The same, with c = 1/√2 in the pair."""
    c = 1 / arb(2).sqrt() if c is None else c
    net, theta, X, X_new = model.net, model.theta, model.X, model.X_new
    moved = theta + model.D / 8
    phi = passes(net, theta, X)[1]
    f_new, _ = passes(net, theta, X_new)
    _, phi_moved = passes(net, moved, X)
    f_new_moved, _ = passes(net, moved, X_new)
    phi, phi_moved = model.shaken(phi), model.shaken(phi_moved)
    both = np.concatenate([c * phi, -c * phi_moved], axis=1)
    K = phi @ phi.T
    return {
        "pair.apply": c * (f_new - f_new_moved),
        "pair.jacobian": both,
        "pair.pack": np.concatenate([theta, moved]),
        "ntk(pair)": both @ both.T,
        "pair.symmetrize": 2 * c * c * K,
        "doubled.symmetrize": K,
        "scaled.apply": 4 * (f_new_moved - f_new),
        "scaled.gram": 16 * K,
    }


MADE = (
    agreement(
        "networks",
        "AntisymmetricPair, DoubledNetwork and ScaledNetwork are what they are made of",
        (drawn((3, 6, 1)), drawn((2, 7, 1), bias="none", sigma=1.5)),
        asked_made,
        true_made,
        partial(true_made, c=arb(1)),
        "1 in the place of 1/√2",
    ),
)


# Lemma 7


def asked_change(problem: Problem) -> Named:
    """‖J(θ_0)‖_F, and how far J(θ) is from it."""
    net, theta, X = problem.net, problem.theta, problem.X
    J = net.jacobian(theta, X).astype(float)
    moved = net.jacobian(theta + problem.D.astype(theta.dtype) / 4, X).astype(float)
    return {
        "‖jacobian(θ_0)‖": np.linalg.norm(J),
        "‖jacobian(θ) − jacobian(θ_0)‖": np.linalg.norm(moved - J),
    }


def true_change(model: Model, share: int = 4) -> Named:
    """The same; of a step half as long for a control."""
    J = model.shaken(passes(model.net, model.theta, model.X)[1])
    moved = model.shaken(passes(model.net, model.theta + model.D / share, model.X)[1])
    return {
        "‖jacobian(θ_0)‖": norm(J),
        "‖jacobian(θ) − jacobian(θ_0)‖": norm(moved - J),
    }


LIPSCHITZ = (
    agreement(
        "change",
        "the Jacobian at two θ",
        (drawn((3, 8, 1)), drawn((3, 6, 5, 1), bias="normal")),
        asked_change,
        true_change,
        partial(true_change, share=8),
        "of a step half as long",
    ),
)
