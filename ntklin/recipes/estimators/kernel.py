"""The kernels of infinite width for scikit-learn's Gaussian processes."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_count, as_word
from ntklin.networks.activations import Activation
from ntklin.networks.infinite import infinite_nngp, infinite_ntk
from ntklin.networks.mlp import MLP
from ntklin.recipes.estimators.scikit_learn import Hyperparameter, Kernel

KINDS = {"ntk": infinite_ntk, "nngp": infinite_nngp}
BIASES = ("normal", "zero", "none")
BOUNDS = (1e-3, 1e3)

# f'(0) = Σ_i c_i (f(i h) − f(−i h))/h, but for p⁷ h⁶/140 of f = exp(p u). L layers have p = 2L at
# most: with h = 2⁻⁹ that is 10⁻¹³ for L = 3, and so is the rounding eps/h.
STENCIL = (45 / 60, -9 / 60, 1 / 60)
STEP = 2.0**-9
# Inputs whose kernel is made at a time, of which the diagonal is kept.
ROWS = 64


class NTKKernel(Kernel):
    """Θ, or the covariance of f_0 (NNGP), of an infinitely wide network: a kernel for regression.

    For ``sklearn.gaussian_process.GaussianProcessRegressor`` and whatever else takes its kernels;
    it composes with others by + and ·. With ``"nngp"`` the posterior is that of the network whose
    last layer alone is trained, or the Bayesian one; with ``"ntk"`` its mean is where gradient
    descent ends, but its deviation is not that over initializations, which is
    ``NTKRegressor.predict(X, return_std=True)``. The parametrization is ``fan_in``: variances σ²/m
    of weights and σ_b² of biases, and x·x'/d in the first layer, so that inputs are best
    standardized. The extra ``ntklin[sklearn]`` has scikit-learn.

    Parameters
    ----------
    sigma : float
        σ, a hyperparameter.
    sigma_b : float
        σ_b, a hyperparameter, if there are biases.
    depth : int
        L, the layers, the output layer included.
    activation : str or Activation
    kind : {"ntk", "nngp"}
    bias : {"normal", "zero", "none"}
        As of :class:`ntklin.MLP`. The NNGP knows biases only where they are normal.
    sigma_bounds, sigma_b_bounds : pair of floats > 0 or "fixed"
        Where they are searched for.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> X = np.linspace(-2, 2, 12)[:, None]
    >>> kernel = ntklin.NTKKernel(depth=3, activation="erf", kind="nngp")
    >>> gp = GaussianProcessRegressor(kernel, alpha=1e-6).fit(X, np.sin(2 * X[:, 0]))
    >>> gp.kernel_.sigma > 0
    True
    """

    def __init__(
        self,
        sigma: float = 1.0,
        sigma_b: float = 1.0,
        *,
        depth: int = 2,
        activation: str | Activation = "relu",
        kind: Literal["ntk", "nngp"] = "ntk",
        bias: Literal["normal", "zero", "none"] = "normal",
        sigma_bounds: Any = BOUNDS,
        sigma_b_bounds: Any = BOUNDS,
    ) -> None:
        self.sigma = sigma
        self.sigma_b = sigma_b
        self.depth = depth
        self.activation = activation
        self.kind = kind
        self.bias: Literal["normal", "zero", "none"] = bias
        self.sigma_bounds = sigma_bounds
        self.sigma_b_bounds = sigma_b_bounds

    @property
    def hyperparameter_sigma(self) -> Any:
        """That σ is one."""
        return Hyperparameter("sigma", "numeric", self.sigma_bounds)

    @property
    def hyperparameter_sigma_b(self) -> Any:
        """That σ_b is one, where the kernel depends on it."""
        has_biases = self.bias == "normal" or (self.bias == "zero" and self.kind == "ntk")
        return Hyperparameter("sigma_b", "numeric", self.sigma_b_bounds if has_biases else "fixed")

    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False
    ) -> Any:
        """The kernel, and its derivatives by the logarithms of σ and σ_b.

        Parameters
        ----------
        X : array_like, shape (N, d)
        Y : array_like, shape (N_2, d), optional
            X when not given.
        eval_gradient : bool
            Whether derivatives are returned, too; for X alone. They are differences of sixth order
            between kernels, six for each hyperparameter, and right to some 11 digits.

        Returns
        -------
        K : ndarray, shape (N, N_2)
        gradient : ndarray, shape (N, N, n_dims)
            With ``eval_gradient``.

        Raises
        ------
        ValueError
            If derivatives are asked for with Y.
        """
        X = np.atleast_2d(np.asarray(X))
        if Y is not None:
            if eval_gradient:
                raise ValueError("Gradient can only be evaluated when Y is None.")
            return self._between(X, np.atleast_2d(np.asarray(Y)))
        K = self._between(X, None)
        if not eval_gradient:
            return K
        free = [p.name for p in self.hyperparameters if not p.fixed]
        gradient = np.empty((*K.shape, len(free)))
        for i, name in enumerate(free):
            gradient[..., i] = self._derivative(X, name)
        return K, gradient

    def diag(self, X: ArrayLike) -> Array:
        """K(x, x) of each input.

        Parameters
        ----------
        X : array_like, shape (N, d)

        Returns
        -------
        ndarray, shape (N,)
        """
        X = np.atleast_2d(np.asarray(X))
        starts = range(0, len(X), ROWS)
        return np.concatenate([self._between(X[i : i + ROWS], None).diagonal() for i in starts])

    def is_stationary(self) -> bool:
        """No: it is one of angles and lengths.

        Returns
        -------
        bool
        """
        return False

    def __repr__(self) -> str:
        scales = f"sigma={self.sigma:.3g}, sigma_b={self.sigma_b:.3g}, depth={self.depth}"
        words = f"activation={self.activation!r}, kind={self.kind!r}, bias={self.bias!r}"
        return f"{type(self).__name__}({scales}, {words})"

    def _between(self, X: Array, Y: Array | None, sigma: Any = None, sigma_b: Any = None) -> Array:
        """The kernel for other scales than its own, where they are given."""
        limit = KINDS[as_word(self.kind, KINDS, name="kind")]
        as_word(self.bias, BIASES, name="bias")
        net = MLP(
            (X.shape[1], *(1,) * as_count(self.depth, name="depth")),
            sigma=self.sigma if sigma is None else sigma,
            sigma_b=self.sigma_b if sigma_b is None else sigma_b,
            scaling="fan_in",
            bias=self.bias,
            activation=self.activation,  # pyright: ignore
        )
        return limit(net, X, Y)

    def _derivative(self, X: Array, name: str) -> Array:
        """∂K/∂ log σ, or by log σ_b."""

        def at(u: float) -> Array:
            return self._between(X, None, **{name: getattr(self, name) * math.exp(u)})

        distances = [(i + 1) * STEP for i in range(len(STENCIL))]
        terms = [c * (at(u) - at(-u)) for c, u in zip(STENCIL, distances, strict=True)]
        return sum(terms[1:], terms[0]) / STEP
