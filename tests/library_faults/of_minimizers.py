"""Faults of linearizations and minimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

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
from ntklin.algebra import certificate
from ntklin.networks import mlp
from ntklin.theory import (
    factorized,
    gradient_descent,
    linearization,
    linearized_run,
    minimizer,
)

Descent = gradient_descent.LinearizedGradientDescent
Lin, Run, Minimizer = linearization.Linearization, linearized_run.LinearizedRun, minimizer.Minimizer

# Linearization and minimizer

declare(
    "theorem1/minimizer",
    {
        "λ × 1.01": after(factorized.FactorizedKernel, "eigenvalues", times(1.01)),
        "λ in the opposite order": after(factorized.FactorizedKernel, "eigenvalues", last_first),
        "2/λ_max without N": after(
            factorized.FactorizedKernel, "max_learning_rate", lambda rate, lin: rate / lin.n_samples
        ),
        "the default rate halved": after(
            factorized.FactorizedKernel, "default_learning_rate", times(0.5)
        ),
        "f_∞ lacks f_init": instead(Minimizer, "predict", Minimizer.interpolator),
        "f_int has f_init": instead(Minimizer, "interpolator", Minimizer.predict),
        "f_init is 0": after(Minimizer, "initialization", times(0)),
        "f_init has the other sign": after(Minimizer, "initialization", times(-1)),
        "θ_∞ is θ_0": after(
            Minimizer, "parameters", lambda theta, m: m.linearization.features.parameters
        ),
        "coefficients exchanged": after(
            Minimizer, "coefficients", lambda a, m: a[..., ::-1].copy()
        ),
        "noise's standard deviation for its variance": after(
            Minimizer, "noise_amplification", lambda a, *rest: np.sqrt(a)
        ),
        "‖f_init‖/√N": after(Minimizer, "initialization_size", times(2**0.5)),
        "f_∞ in float32": after(
            Minimizer, "predict", lambda f, *rest: f.astype(np.float32).astype(f.dtype)
        ),
    },
)
declare(
    "theorem5/weights",
    {
        "the minimizer ignores D": before(Lin, "minimizer", without("weights")),
        "ridge × 10": before(
            Lin,
            "minimizer",
            lambda lin, Y, ridge=0.0, **options: ((lin, Y), options | {"ridge": 10 * ridge}),
        ),
        "the ridge is forgotten": before(Lin, "minimizer", without("ridge")),
        "a full D is its diagonal": before(
            Lin,
            "minimizer",
            lambda lin, Y, weights=None, **options: (
                (lin, Y),
                options | {"weights": np.diag(weights) if np.ndim(weights) == 2 else weights},
            ),
        ),
        "biases have no factor of their own": before(
            mlp.MLP,
            "layer_weights",
            lambda net, factors: ((net, {k: v for k, v in factors.items() if k != "bias"}), {}),
        ),
        "K_D off": after(factorized.FactorizedKernel, "weighted_kernel", times(1.001)),
    },
)
declare(
    "theorem1/solvers",
    {
        f"{name} to four digits": after(
            Minimizer,
            "predict",
            lambda f, m, *rest, name=name: f * f.dtype.type(1 + 1e-4 * (m.solver == name)),
        )
        for name in ("eigh", "cholesky", "packed", "mixed", "pcg")
    },
)
declare(
    "theorem1/kernels",
    {
        "certified λ_min × 10": after(certificate, "_smallest_eigenvalue", times(10)),
        "certified λ_min a millionth too large": after(
            certificate, "_smallest_eigenvalue", times(1 + 1e-6)
        ),
        "a certified f_∞ without f_0(x)": after(
            ntklin, "certify", lambda found, *rest: replace(found, minimizer=found.interpolator)
        ),
        "a kernel's f_0 forgotten": before(ntklin, "linearize_kernel", without("f0")),
        "a kernel's f_0 halved": after(
            Lin,
            "gradient_descent",
            lambda gd, lin, *rest, **options: replace(gd, targets=gd.targets * 1.001),
        ),
    },
)


def of_balls(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Each ball that is proved is another one."""
    return after(
        certificate,
        "_enclosure",
        lambda found, *rest: certificate.Enclosure(tuple(change(x) for x in found.balls)),
    )


declare(
    "theorem1/enclosures",
    {
        "certified balls are points": of_balls(lambda x: x.mid()),
        "certified balls off by a radius": of_balls(lambda x: arb(x.mid() + 2 * x.rad(), x.rad())),
        "certified balls a thousand times as wide": of_balls(
            lambda x: arb(x.mid(), 1000 * x.rad())
        ),
        "certified λ_min to nine digits": after(
            certificate, "_smallest_eigenvalue", times(1 + 1e-9)
        ),
        "certified λ_min halved": after(certificate, "_smallest_eigenvalue", times(0.5)),
        "a certified f_∞ forgets f_0(X)": instead(
            certificate,
            "_solved",
            lambda K, Y, K_new, f0, f0_new, f=certificate._solved: f(K, Y, K_new, 0 * f0, f0_new),
        ),
    },
)
declare(
    "theorem1/residual-bounds",
    {
        "a residual's bound is the residual": instead(
            Minimizer, "residual_bound", lambda m: m.residual
        ),
        "a residual's bound a hundred times as large": after(
            Minimizer, "residual_bound", times(100)
        ),
    },
)
declare(
    "theorem1/enclosures-of-intervals",
    {
        "radii are forgotten": after(certificate, "_as_radii", lambda radii, given: {}),
        "radii are halved": after(certificate, "_ball", lambda x, *rest: arb(x.mid(), x.rad() / 2)),
        "radii of targets alone": after(
            certificate,
            "_as_radii",
            lambda radii, given: {k: r if k == "Y" else 0.0 for k, r in radii.items()},
        ),
        "λ_min of the kernel's center": instead(certificate, "_width", lambda K: arb(0)),
    },
)
declare(
    "example1/one-input",
    {
        "AdaGrad's D squared": after(Lin, "adagrad_weights", lambda D, lin: D * D),
        "AdaGrad's D is 1": after(Lin, "adagrad_weights", lambda D, lin: D * 0 + 1),
    },
)
declare(
    "example1/preconditioner-for",
    {
        "D for w off": after(
            Lin,
            "preconditioner_for",
            lambda D, *rest: ntklin.LowRank(D.W[::-1].copy()),
        ),
    },
)
declare(
    "lemma2/norms", {"the step's norm squared": after(Minimizer, "step_norm", lambda x, m: x * x)}
)
declare(
    "lemma3/norms",
    {
        "the interpolator's norm is the step's": after(
            Minimizer, "interpolator_norm", lambda x, m: m.step_norm
        )
    },
)
declare(
    "appendix-a/least-squares",
    {
        "rank cut a ridge": before(
            Lin,
            "minimizer",
            lambda lin, Y, rcond=None, **options: (
                (lin, Y),
                options if rcond is None else options | {"ridge": rcond},
            ),
        ),
        "a descent's limit forgets its ridge": before(Lin, "gradient_descent", without("ridge")),
    },
)
declare(
    "flip/decayed",
    {
        "the decayed limit is f_∞": instead(Minimizer, "decayed", Minimizer.predict),
        "the interpolating step is one late": after(
            Descent, "interpolation_step", lambda t, *rest: t + 1
        ),
    },
)
declare(
    "label-noise/sensitivity",
    {
        "∂f/∂Y one-sided and halved": after(Run, "label_sensitivity", times(0.5)),
        "a run's amplification is its root": after(
            Run, "noise_amplification", lambda a, *rest: np.sqrt(a)
        ),
    },
)
