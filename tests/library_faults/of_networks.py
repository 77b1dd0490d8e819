"""Faults of networks, features, kernels and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ntklin
from library_faults.making import (
    after,
    before,
    declare,
    instead,
    last_first,
    times,
    without,
)
from ntklin.kernels.cpu import infinite_sides
from ntklin.networks import features, mlp, scaled, streamed, symmetrized
from ntklin.networks.network import FeatureOperator
from ntklin.theory import (
    factorized,
    gradient_descent,
    infinite_mlp,
    linearization,
    linearized_run,
    minimizer,
)

Descent = gradient_descent.LinearizedGradientDescent
Lin, Run, Minimizer = linearization.Linearization, linearized_run.LinearizedRun, minimizer.Minimizer

# Networks and their features


def biases_of(net: Any) -> np.ndarray:
    """Where θ has its biases."""
    marks = np.zeros(net.n_parameters, bool)
    for _, b in net.unpack(marks):
        if b is not None:
            b[:] = True
    return marks


def no_biases(J: np.ndarray, phi: Any, **options: Any) -> np.ndarray:
    """J with zeros for biases."""
    J = J.copy()
    J[:, biases_of(phi.network)] = 0
    return J


def gram_without_biases(phi: Any, other: Any = None, weights: Any = None, **options: Any) -> Any:
    """K_D of the weights' features."""
    if weights is not None:
        weights = np.where(biases_of(phi.network), 0, np.asarray(weights))
    return (phi, other), options | {"weights": weights}


FeatureMap = features.FeatureMap

declare(
    "kernel-limit/features",
    {
        "outputs × 1.01": after(mlp.MLP, "apply", times(1.01)),
        "outputs of float64 rounded to float32": after(
            mlp.MLP, "apply", lambda f, *rest: f.astype(np.float32)
        ),
        "the Jacobian off by 1e-6": after(FeatureMap, "toarray", times(1 + 1e-6)),
        "the Jacobian lacks biases": after(FeatureMap, "toarray", no_biases),
        "K × 1.02": after(FeatureMap, "gram", times(1.02)),
        "K_D without biases": before(FeatureMap, "gram", gram_without_biases),
        "K_D without D": before(FeatureMap, "gram", without("weights")),
        "K(x, x') with rows exchanged": after(
            FeatureMap,
            "gram",
            lambda K, phi, other=None, *rest, **options: K if other is None else last_first(K),
        ),
        "K R of a product is R more": after(
            next(kind for kind in FeatureOperator.__mro__[1:] if "gram_product" in vars(kind)),
            "gram_product",
            lambda product, phi, R: product + np.asarray(R) * product.dtype.type(1e-4),
        ),
        "φ v off in one column": after(FeatureMap, "_matvec", times(1.0001)),
        "φ V is its first column": after(
            FeatureMap, "_matmat", lambda a, *rest: a[:, [0] * a.shape[1]]
        ),
        "φ^T r off in one column": after(FeatureMap, "_rmatvec", times(1.0001)),
        "φ^T R off": after(FeatureMap, "_rmatmat", times(1.0001)),
        "ntk forgets weights": before(ntklin, "ntk", without("weights")),
        "ntk of X2 twice": instead(
            ntklin,
            "ntk",
            lambda net, theta, X1, X2=None, weights=None, f=ntklin.ntk: f(
                net, theta, X1 if X2 is None else X2, X2, weights
            ),
        ),
        "pack in the opposite order": after(mlp.MLP, "pack", last_first),
        "fan_in without √": after(
            mlp.MLP,
            "weight_scales",
            lambda w, net: tuple(x * x for x in w) if net.scaling == "fan_in" else w,
        ),
        "σ_b is σ": after(
            mlp.MLP,
            "bias_scales",
            lambda v, net: v if net.sigma_b is None else (net.sigma,) * len(v),
        ),
        "eq1's biases over √m": after(
            mlp.MLP, "bias_scales", lambda v, net: net.weight_scales if net.scaling == "eq1" else v
        ),
        "rows of features start late": before(
            FeatureMap,
            "rows",
            lambda phi, index: ((phi, slice(index.start - 1, index.stop - 1)), {}),
        ),
        "streamed K lacks a fraction": after(streamed.StreamedFeatures, "gram", times(0.999)),
        "streamed products miss the last block": after(
            streamed.StreamedFeatures, "_matvec", lambda a, *rest: np.append(a[:-1], 0 * a[-1:])
        ),
        "φ θ is the outputs": after(
            FeatureOperator, "along_parameters", lambda a, phi: phi.outputs.reshape(-1)
        ),
    },
)
declare(
    "theorem1/minimizer",
    {
        "P_F v is v": instead(FeatureOperator, "project", lambda phi, v: np.asarray(v)),
        "K(x, X) with x in the opposite order": before(
            factorized.FactorizedKernel,
            "at",
            lambda lin, X_new, *rest: ((lin, np.asarray(X_new)[::-1].copy(), *rest), {}),
        ),
    },
)
declare(
    "smooth/activations",
    {
        "gelu by tanh": after(
            mlp.MLP,
            "apply",
            lambda f, net, *rest: f * f.dtype.type(1.0003) if net.activation.name == "gelu" else f,
        ),
        "tanh's features without a factor": after(
            FeatureMap,
            "toarray",
            lambda J, phi, **options: (
                J * J.dtype.type(0.999) if phi.network.activation.name == "tanh" else J
            ),
        ),
    },
)
declare(
    "lemma5/normal",
    {
        "θ_0 of standard deviation 1.05": after(mlp.MLP, "init", times(1.05)),
        "θ_0 uniform": after(
            mlp.MLP,
            "init",
            lambda theta, *rest, **options: (
                np.where(theta == 0, 0, np.sqrt(3) * np.sign(theta))
                * np.abs(np.random.default_rng(0).uniform(0, 1, len(theta))).astype(theta.dtype)
            ),
        ),
        "biases start off 0": after(
            mlp.MLP,
            "init",
            lambda theta, *rest, **options: theta + theta.dtype.type(1e-3) * (theta == 0),
        ),
        "float32 draws another θ_0": after(
            mlp.MLP,
            "init",
            lambda theta, *rest, **options: theta if theta.dtype == float else theta[::-1].copy(),
        ),
    },
)
declare(
    "symmetrized/networks",
    {
        "a pair without 1/√2": instead(symmetrized.AntisymmetricPair, "factors", (1.0, -1.0)),
        "a pair adds its halves": instead(
            symmetrized.AntisymmetricPair, "factors", (0.5**0.5, 0.5**0.5)
        ),
        "doubled θ_0 off": after(symmetrized.DoubledNetwork, "symmetrize", times(1.01)),
        "a scaled network is not centered": after(
            scaled.ScaledNetwork, "apply", lambda f, net, *rest: f + f.dtype.type(0.01)
        ),
        "a scaled kernel with α for α²": after(
            scaled.ScaledFeatures,
            "gram",
            lambda K, phi, *rest, **options: K / K.dtype.type(phi.network.scale),
        ),
    },
)


# Infinite width


def off_diagonal(factor: float) -> Callable[..., Any]:
    """All but the diagonal times a number."""

    def change(K: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:
        scaled = K * K.dtype.type(factor)
        if K.shape[0] == K.shape[1]:
            np.fill_diagonal(scaled, K.diagonal())
        return scaled

    return change


declare(
    "kernel-limit/limits",
    {
        "Θ × 1.02": after(ntklin, "infinite_ntk", times(1.02)),
        "NNGP × 1.3 off the diagonal": after(ntklin, "infinite_nngp", off_diagonal(1.3)),
        "Θ off by 1e-9 off the diagonal": after(ntklin, "infinite_ntk", off_diagonal(1 + 1e-9)),
        "Θ is the NNGP": instead(ntklin, "infinite_ntk", ntklin.infinite_nngp),
        "Θ of InfiniteMLP is the NNGP": instead(
            infinite_mlp.InfiniteMLP, "ntk", infinite_mlp.InfiniteMLP.nngp
        ),
        "Θ not over C": after(
            ntklin, "infinite_ntk", lambda K, net, *rest: K * K.dtype.type(net.n_outputs)
        ),
        "NNGP without biases": instead(
            ntklin,
            "infinite_nngp",
            lambda net, *inputs, f=ntklin.infinite_nngp: f(
                net if net.sigma_b else replace(net, bias="zero"), *inputs
            ),
        ),
    },
)
declare(
    "kernel-limit/limits-activations",
    {
        "leaky ReLU's limit is ReLU's": instead(
            ntklin,
            "infinite_ntk",
            lambda net, *inputs, f=ntklin.infinite_ntk: f(
                replace(net, activation="relu") if "leaky" in net.activation.name else net, *inputs
            ),
        ),
        "erf's NNGP off": after(
            ntklin,
            "infinite_nngp",
            lambda K, net, *rest: K * K.dtype.type(1 + 1e-5 * (net.activation.name == "erf")),
        ),
    },
)


def short_series(found: Any, *arguments: Any) -> Any:
    """Of two terms, and none is missed."""
    values, slopes = found.values.copy(), found.slopes.copy()
    values[2:], slopes[2:] = 0, 0
    return found._replace(values=values, slopes=slopes, tails=0 * found.tails)


def without_mean(found: Any, *arguments: Any) -> Any:
    """α' less its mean."""
    slopes = found.slopes.copy()
    slopes[0] = 0
    return found._replace(slopes=slopes)


declare(
    "kernel-limit/limits-series",
    {
        "Hermite series of two terms": after(infinite_sides, "series", short_series),
        "slopes' Hermite series without their mean": after(infinite_sides, "series", without_mean),
        "tanh's limit is erf's": instead(
            ntklin,
            "infinite_nngp",
            lambda net, *inputs, f=ntklin.infinite_nngp: f(
                replace(net, activation="erf") if net.activation.name == "tanh" else net, *inputs
            ),
        ),
        "softplus's Θ off by 1e-10": after(
            ntklin,
            "infinite_ntk",
            lambda K, net, *rest: K * K.dtype.type(1 + 1e-10 * (net.activation.name == "softplus")),
        ),
    },
)
declare(
    "theorem2/infinite-training",
    {
        "covariance of f_0 for that of f_∞": after(Minimizer, "covariance", times(1.1)),
        "E L of f_init without the half": after(
            Minimizer, "expected_initialization_loss", times(2)
        ),
        "covariance at t is that of the end": before(
            Descent, "covariance", lambda gd, X, t=None, *rest: ((gd, X, None, *rest), {})
        ),
    },
)
