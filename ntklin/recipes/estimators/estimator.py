"""What the regressor and the classifier share: their parameters, and how targets are fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import Weights
from ntklin.algebra.spectrum import as_ridge
from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_flag, as_step, as_word
from ntklin.edge.errors import DegenerateKernelError
from ntklin.networks.activations import Activation
from ntklin.networks.layer_weights import LayerFactors
from ntklin.networks.mlp import MLP
from ntklin.recipes.estimators.scikit_learn import (
    BaseEstimator,
    check_is_fitted,
    check_random_state,
    validate_data,
)
from ntklin.recipes.estimators.weighted_samples import (
    WeightedKernel,
    WeightedNetwork,
    with_factors,
)
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import GradientDescent
from ntklin.runs.schedules import LearningRate
from ntklin.theory.any_kernel import linearize_kernel
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.infinite_mlp import InfiniteMLP
from ntklin.theory.linearization import Linearization, linearize
from ntklin.theory.linearized_run import LinearizedRun
from ntklin.theory.minimizer import Minimizer
from ntklin.theory.solver_options import SolverName

Scaling = Literal["fan_out", "fan_in", "eq1", "standard"]
Bias = Literal["zero", "none", "normal"]
KERNELS = ("infinite", "empirical")
# Solvers that can go on where a kernel is singular: they have its spectrum, or go over to it.
WITH_SPECTRUM = ("auto", "eigh")
# Seeds that are drawn from a generator.
SEEDS = 2**31


class WideNetwork(BaseEstimator):
    """A wide network after training, by its linearization. Parameters: see ``NTKRegressor``."""

    def __init__(
        self,
        hidden_widths: Sequence[int] = (1000,),
        *,
        activation: str | Activation = "relu",
        sigma: float = 1.0,
        sigma_b: float | None = None,
        scaling: Scaling = "fan_out",
        bias: Bias = "normal",
        kernel: Literal["infinite", "empirical"] = "infinite",
        steps: int | None = None,
        learning_rate: LearningRate | None = None,
        optimizer: Optimizer | None = None,
        weights: Weights | LayerFactors = None,
        ridge: float = 0.0,
        rcond: float | None = None,
        solver: SolverName = "auto",
        scale_inputs: bool = True,
        random_state: Any = None,
    ) -> None:
        self.hidden_widths = hidden_widths
        self.activation = activation
        self.sigma = sigma
        self.sigma_b = sigma_b
        self.scaling: Scaling = scaling
        self.bias: Bias = bias
        self.kernel = kernel
        self.steps = steps
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weights = weights
        self.ridge = ridge
        self.rcond = rcond
        self.solver: SolverName = solver
        self.scale_inputs = scale_inputs
        self.random_state = random_state

    def _fit_targets(self, X: Array, Y: Array, sample_weight: Array | None) -> None:
        """Fit (N,) or (N, C) targets, and set all attributes that tell of it."""
        self._check_options()
        steps = None if self.steps is None else as_step(self.steps, name="steps")
        scaled = as_flag(self.scale_inputs, name="scale_inputs")
        self.input_scale_ = longest_row(X) if scaled else 1.0
        X = self._scaled(X)
        n_outputs = 1 if Y.ndim == 1 else Y.shape[1]
        self.network_ = MLP(
            (X.shape[1], *self.hidden_widths, n_outputs),
            sigma=self.sigma,
            sigma_b=self.sigma_b,
            scaling=self.scaling,
            bias=self.bias,
            activation=self.activation,  # pyright: ignore
        )
        factors, ridge = None, self.ridge
        if sample_weight is not None:
            # Of mean 1, so that the loss is still a mean: as if samples had come so many times.
            mean = sample_weight.mean()
            factors = np.sqrt(sample_weight / mean).astype(X.dtype)
            ridge = as_ridge(ridge) / mean
        self._is_weighted = factors is not None
        self.theta_ = None
        if self.kernel == "infinite":
            self.linearization_ = of_infinite_width(self.network_, X, factors)
        else:
            self.theta_ = self.network_.init(self._seed(), X.dtype)
            self.linearization_ = of_network(self.network_, self.theta_, X, factors)
        Y = Y if factors is None else (Y.T * factors).T
        self.steps_, self.solution_ = steps, self._solution(Y, steps, ridge)

    def _check_options(self) -> None:
        """Refuse what does not go together, before any work."""
        as_word(self.kernel, KERNELS, name="kernel")
        if isinstance(self.hidden_widths, str) or not np.iterable(self.hidden_widths):
            raise TypeError(
                f"hidden_widths must be a sequence (m_1, …), got {self.hidden_widths!r}"
            )
        optimizer = self.optimizer
        if optimizer is not None:
            if not isinstance(optimizer, Optimizer):
                raise TypeError(
                    "optimizer must be one of ntklin's, such as ntklin.Adam(1e-3), or None, got "
                    f"{optimizer!r}"
                )
            if self.learning_rate is not None:
                raise ValueError("learning_rate is that of the optimizer; give one of both")
        if self.kernel == "infinite" and isinstance(self.weights, Mapping):
            raise ValueError("weights of layers need the parameters of kernel='empirical'")
        if not self._has_closed_form:
            if self.kernel == "infinite":
                raise ValueError(
                    f"{type(optimizer).__name__} needs the parameters of kernel='empirical'; "
                    "GradientDescent and Momentum do without"
                )
            if self.steps is None:
                raise ValueError(
                    f"where {type(optimizer).__name__} ends depends on its whole path: give steps"
                )
            given = {"ridge": self.ridge, "rcond": self.rcond, "weights": self.weights}
            for name, value in given.items():
                if value is not None and not (np.isscalar(value) and value == 0):
                    raise ValueError(f"{name} belongs to gradient descent, not to {optimizer!r}")
        if self.solver != "auto" and not self._is_minimizer:
            raise ValueError("solver is how a minimizer is found: steps and optimizers have none")

    @property
    def _has_closed_form(self) -> bool:
        """Whether what is to be fitted is gradient descent, with momentum or without."""
        return self.optimizer is None or isinstance(self.optimizer, GradientDescent)

    @property
    def _is_minimizer(self) -> bool:
        """Whether nothing but the end of gradient descent is asked for."""
        return self.optimizer is None and self.steps is None

    def _seed(self) -> int:
        """The seed of θ_0: ``random_state`` itself, where it is one."""
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(SEEDS))

    def _solution(
        self, Y: Array, steps: int | None, ridge: float
    ) -> Minimizer | LinearizedGradientDescent | LinearizedRun:
        """What the targets are fitted by."""
        lin, weights = self.linearization_, self.weights
        if not self._has_closed_form:
            return lin.train(Y, self.optimizer, steps=steps)
        if isinstance(weights, Mapping):
            weights = self.network_.layer_weights(weights)
        rcond = self.rcond
        if self._is_minimizer:
            try:
                return lin.minimizer(Y, weights, rcond, ridge, solver=self.solver)
            except DegenerateKernelError:
                if self.solver not in WITH_SPECTRUM or rcond is not None:
                    raise
                return lin.minimizer(Y, weights, self._rounding(), ridge, solver=self.solver)
        descent = self.optimizer
        if not isinstance(descent, GradientDescent):
            descent = GradientDescent(self.learning_rate)
        if rcond is None and steps is None and not ridge:
            rcond = self._rounding()
        return lin.gradient_descent(
            Y,
            descent.learning_rate,
            ridge,
            rcond,
            momentum=descent.momentum,
            nesterov=descent.nesterov,
            weight_decay=descent.weight_decay,
            decoupled=descent.decoupled,
            weights=weights,
        )

    def _rounding(self) -> float:
        """Below which part of λ_max an eigenvalue cannot be told from 0."""
        source = self.linearization_.source
        return source.n_rows * float(np.finfo(source.dtype).eps)

    def _inputs(self, X: ArrayLike) -> Array:
        """New inputs as the linearization takes them."""
        check_is_fitted(self)
        checked = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        inputs = self._scaled(checked)
        return with_factors(inputs) if self._is_weighted else inputs

    def _scaled(self, X: Array) -> Array:
        return X if self.input_scale_ == 1.0 else X / X.dtype.type(self.input_scale_)

    def _outputs(self, X: Array) -> Array:
        """f(X) of what ``_inputs`` returned."""
        if isinstance(self.solution_, LinearizedGradientDescent):
            return self.solution_.predict(X, self.steps_)
        return self.solution_.predict(X)


def of_infinite_width(net: MLP, X: Array, factors: Array | None) -> Linearization:
    """The linearization over Θ, of weighted outputs where there are factors."""
    limit = InfiniteMLP(net)
    if factors is None:
        return limit.linearize(X)
    kernels = WeightedKernel(limit.ntk), WeightedKernel(limit.nngp)
    return linearize_kernel(kernels[0], with_factors(X, factors), covariance=kernels[1])


def of_network(net: MLP, theta: Array, X: Array, factors: Array | None) -> Linearization:
    """The linearization of a network at θ, of weighted outputs where there are factors."""
    if factors is None:
        return linearize(net, theta, X)
    return Linearization(
        FeatureSource(WeightedNetwork(net).features(theta, with_factors(X, factors)))
    )


def longest_row(X: Array) -> float:
    """The largest |x|; 1 where all are 0."""
    largest = float(abs(X).max())
    return largest * float(np.linalg.norm(X / largest, axis=1).max()) if largest else 1.0
