"""The regressor."""

from __future__ import annotations

from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.recipes.estimators.estimator import WideNetwork
from ntklin.recipes.estimators.scikit_learn import (
    MultiOutputMixin,
    RegressorMixin,
    validate_data,
)
from ntklin.recipes.estimators.weighted_samples import weighted
from ntklin.theory.gradient_descent import LinearizedGradientDescent

# Inputs whose covariance is made at a time, of which the diagonal is kept.
ROWS = 256


class NTKRegressor(RegressorMixin, MultiOutputMixin, WideNetwork):
    """Regression by a wide network after training, exactly: as its linearization has it.

    What gradient descent converges to for the squared loss, f_∞ = f_int + f_init (Thm 1), or where
    it is after t steps. Of infinite width f_0 = 0, its mean, so that predictions are means over
    initializations: f_int, kernel regression with Θ. A scikit-learn estimator; the extra
    ``ntklin[sklearn]`` has that.

    Parameters
    ----------
    hidden_widths : sequence of int
        m_1, …, m_{L−1}. At infinite width their number alone counts.
    activation, sigma, scaling
        As of :class:`ntklin.MLP`. Activations other than relu, leaky_relu and abs want
        ``scaling="fan_in"``, and inputs of about the length √d.
    sigma_b : float, optional
        The bias scale of ``fan_in`` and ``standard``; σ when not given.
    bias : {"zero", "none", "normal"}
        As of :class:`ntklin.MLP`. Here biases are normal unless told otherwise: without, kernels of
        inputs on one line through 0 are singular.
    kernel : {"infinite", "empirical"}
        The limit Θ, or K = φφ^T of a network with these widths at the θ_0 of ``random_state``.
    steps : int, optional
        t; without it the limit t → ∞.
    learning_rate : float or callable, optional
        η or t ↦ η_t, for ``steps``; 0.5 N/λ_max when not given.
    optimizer : Optimizer, optional
        Another method than gradient descent, as ``ntklin.AdaGrad(1e-3)``. It is run on the
        linearized network for ``steps`` steps, with ``kernel="empirical"``; GradientDescent and
        Momentum have closed forms, at any t and width.
    weights : float, array_like, shape (P,) or (P, P), LowRank or mapping, optional
        A constant D: K_D = φ D φ^T takes the place of K, Eq. (9). A mapping such as
        ``{1: 0.0, "bias": 0.1}`` goes through ``MLP.layer_weights``.
    ridge : float
        λ ≥ 0, in units of the kernel: that of (K + λ1)^{-1}.
    rcond : float, optional
        For the limit: eigenvalues ≤ rcond · λ_max are cut. When not given, N·eps where K(X, X) is
        singular to working precision, as with samples that are alike: they are then fitted in the
        sense of least squares, which is where gradient descent goes.
    solver : {"auto", "eigh", "cholesky", "packed", "mixed", "pcg"}
        Of the minimizer; see ``Linearization.minimizer``. Those that hold no spectrum refuse a
        singular kernel.
    scale_inputs : bool
        Whether inputs are divided by the length of the longest training input, which puts them into
        the unit ball that the theorems assume.
    random_state : int, RandomState or None
        Of θ_0. An integer is the seed of ``MLP.init``.

    Attributes
    ----------
    network_ : MLP
    theta_ : ndarray, shape (P,), or None
        θ_0; None at infinite width.
    linearization_ : Linearization
        Over inputs that are scaled. With sample weights it is that of √s f(x), whose inputs have √s
        as a last column.
    solution_ : Minimizer, LinearizedGradientDescent or LinearizedRun
        What was fitted.
    steps_ : int or None
    input_scale_ : float
        What inputs are divided by.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X had names.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> model = ntklin.NTKRegressor(hidden_widths=(100, 100)).fit(X, np.sin(3 * X[:, 0]))
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> mean.shape, std.shape
    ((1,), (1,))
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Find where training ends, or is after ``steps`` steps.

        Parameters
        ----------
        X : array_like, shape (N, d)
        y : array_like, shape (N,) or (N, C)
            A network of C outputs; independent ones at infinite width.
        sample_weight : array_like, shape (N,), optional
            s ≥ 0 of the loss Σ_n s_n (f(x_n) − y_n)²/(2 Σ_n s_n): as if samples had come so many
            times. What interpolates does not depend on them.

        Returns
        -------
        NTKRegressor
            Itself.

        Raises
        ------
        DegenerateKernelError
            For a singular kernel and a solver without spectrum.
        ValueError, TypeError
            For parameters that do not go together, and what scikit-learn refuses.
        """
        dtypes = [np.float64, np.float32]
        inputs, targets = validate_data(self, X, y, dtype=dtypes, multi_output=True, y_numeric=True)
        inputs, targets, s = weighted(inputs, targets, sample_weight)
        self._fit_targets(inputs, targets[:, 0] if _is_column(targets) else targets, s)
        self._returns_column = _is_column(targets)
        return self

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = False) -> Array: ...
    @overload
    def predict(self, X: ArrayLike, return_std: Literal[True]) -> tuple[Array, Array]: ...
    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """The outputs f_t(X), the mean over initializations at infinite width.

        Parameters
        ----------
        X : array_like, shape (N_new, d)
        return_std : bool
            Whether the standard deviation over initializations is returned, too: at infinite width.

        Returns
        -------
        mean : ndarray, shape (N_new,) or (N_new, C)
        std : ndarray of the same shape
            With ``return_std``.

        Raises
        ------
        ValueError
            If ``return_std`` is asked of one network.
        """
        inputs = self._inputs(X)
        mean = self._shaped(self._outputs(inputs))
        if not return_std:
            return mean
        if self.theta_ is not None:
            raise ValueError(
                "return_std=True is the scatter over initializations, which is known for "
                "kernel='infinite'; fit networks of several random_state for that of this width"
            )
        starts = range(0, len(inputs), ROWS)
        variance = np.concatenate([self._variance(inputs[i : i + ROWS]) for i in starts])
        std = np.sqrt(np.maximum(variance, 0))
        return mean, std if mean.ndim == 1 else np.repeat(std[:, None], mean.shape[1], axis=1)

    def _variance(self, X: Array) -> Array:
        """That of each f_t(x)."""
        solution: Any = self.solution_
        if isinstance(solution, LinearizedGradientDescent):
            return solution.covariance(X, self.steps_).diagonal()
        return solution.covariance(X).diagonal()

    def _shaped(self, outputs: Array) -> Array:
        return outputs[:, None] if self._returns_column else outputs


def _is_column(y: Array) -> bool:
    return y.ndim == 2 and y.shape[1] == 1
