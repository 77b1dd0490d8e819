"""The one table of tolerances: ‖actual − expected‖_max ≤ c · κ · eps · √n · scale.

`eps` is the spacing of the dtype of the actual value, `n` the number of roundings that an entry
accumulates (the length of its longest chain of sums), `κ` the condition number of the problem and
`scale` the size of the terms that are summed: by default the largest expected entry, and where
terms cancel their absolute sum, which the caller passes.

Why √n and these c: n roundings give at most n · eps/2 · Σ|terms| (Higham 2002, section 3.1), and
with independent errors λ √n · eps/2 · Σ|terms| but for a probability 2 exp(−λ²/2) per entry (Higham
and Mary 2019). A test compares some 10^4 entries, so λ = 8, that is c = 4 per quantity that enters
an entry, holds in all of them; n is small in tests, where √n ≥ n/8 makes it the worst case too.

==============  ==  ==========================================================================
kind            c   quantities with rounding errors of their own in one entry
==============  ==  ==========================================================================
output          4   one forward pass
jacobian        8   an activation and a delta
gram            16  two Jacobian entries; ⟨a, a'⟩⟨δ, δ'⟩ is another order of the same sums
weighted_gram   20  the same and the weight
solve           8   backward stable: a perturbed matrix and right-hand side, amplified by κ
trajectory      16  a solve, and the step factors (1 − ηλ/N)^t, exact to a few eps in their rate
projector       16  a solve between two multiplications with φ
infinite        8   the angle (a few eps absolute), sin, cos, and the product over layers
rule            8   an optimizer's coefficients, its slots, the root, the quotient; n steps
loss            8   an exponential, a logarithm or a quotient, a product; n samples in a mean
==============  ==  ==========================================================================

The c are the same for both dtypes: rounding scales with eps alone. What does not is a ReLU whose
sign flips because |h| is below rounding; tests keep clear of that with `naive.kink_distance`.
"""

import numpy as np

C = {
    "output": 4,
    "jacobian": 8,
    "gram": 16,
    "weighted_gram": 20,
    "solve": 8,
    "trajectory": 16,
    "projector": 16,
    "infinite": 8,
    "rule": 8,
    "loss": 8,
}
EPS = {np.dtype(t): float(np.finfo(t).eps) for t in (np.float32, np.float64)}


def tolerance(kind, dtype=np.float64, *, n=1, kappa=1.0):
    """The relative error c · κ · eps · √n that a quantity of this kind may have."""
    return C[kind] * kappa * EPS[np.dtype(dtype)] * np.sqrt(n)


def assert_close(actual, expected, *, kind, n=1, kappa=1.0, scale=None, dtype=None):
    """Fail unless `actual` agrees with `expected` in shape and, normwise, within the table.

    Parameters
    ----------
    actual, expected : array_like
        What the library returned and what is true.
    kind : str
        A row of the table.
    n, kappa : float
        Length of the sums and condition number.
    scale : float or array_like, optional
        What the error is relative to; its largest entry counts. Default: that of `expected`.
    dtype : dtype, optional
        The precision to expect, where it is not that of `actual`.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    scale = float(np.abs(expected if scale is None else scale).max())
    allowed = tolerance(kind, actual.dtype if dtype is None else dtype, n=n, kappa=kappa) * scale
    error = np.abs(actual - expected)
    assert bool((error <= allowed).all()), (
        f"{kind}: error {np.nanmax(error):.3g} exceeds {allowed:.3g} "
        f"= {C[kind]} κ eps √{n} · {scale:.3g} with κ = {kappa:.3g}, {actual.dtype}"
    )


def assert_each_close(actual, expected, *, scale, **options):
    """`assert_close` for each entry by itself, relative to its own scale; 0 must be hit exactly.

    For entries whose sizes differ by more than any precision.
    """
    actual, expected, scale = np.asarray(actual), np.asarray(expected, float), np.asarray(scale)
    dtype = options.pop("dtype", actual.dtype)
    error = (actual - expected) / np.where(scale > 0, scale, np.finfo(float).tiny)
    assert_close(error, np.zeros(error.shape), scale=1.0, dtype=dtype, **options)
