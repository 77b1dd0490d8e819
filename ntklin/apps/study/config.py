"""What an initialization study computes, fixed before it starts."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any

from ntklin.apps.options.declared import checked
from ntklin.apps.options.study import Optimizers, StudyLayers, StudySettings
from ntklin.apps.study.factors import schedule_of
from ntklin.apps.study.methods import Method
from ntklin.data import Dataset
from ntklin.edge.arrays import Array
from ntklin.edge.backends import device_namespace
from ntklin.edge.files.names import shown
from ntklin.networks.mlp import MLP
from ntklin.runs.optimizer import Optimizer

PATIENCE = 10
# The fewest steps that an adaptive method may take where gradient descent is done sooner.
LEAST_HORIZON = 1000

default_hidden_widths = StudyLayers.usual


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyConfig(StudySettings):
    """One sweep over the initialization scale σ, and optimizers at one σ, on fixed data.

    The other fields are the settings that ``StudySettings`` declares; here they are checked.

    Attributes
    ----------
    data : Dataset
    optimizers : tuple of str
        None, unless asked for.
    """

    data: Dataset
    optimizers: Optimizers = ()

    def __post_init__(self) -> None:
        if not isinstance(self.data, Dataset):
            raise TypeError(f"data must be an ntklin.Dataset, got {type(self.data).__name__}")
        if len(self.data.X_test) == 0:
            raise ValueError("the study measures test losses: it needs at least one test sample")
        for name, value in checked(StudySettings, self).items():
            object.__setattr__(self, name, value)
        net = self.network(self.sigmas[0])  # refuses bad widths, scalings and biases
        object.__setattr__(self, "hidden_widths", net.widths[1:-1])

    @property
    def depth(self) -> int:
        """The number of layers L."""
        return len(self.hidden_widths) + 1

    @property
    def widths(self) -> tuple[int, ...]:
        """m_0 = d, m_1, …, m_L = C."""
        return (self.data.X_train.shape[1], *self.hidden_widths, self.data.n_outputs)

    @cached_property
    def power(self) -> int | None:
        """The p with f_init ∝ σ^p, L; None for an activation of which no power is known (Thm 2)."""
        homogeneous = self.network(self.sigmas[0]).activation.is_homogeneous
        return self.depth if homogeneous else None

    @cached_property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """X, Y, X_T, Y_T in the study's dtype, on its device."""
        device: Any = self.device
        data, xp = self.data, device_namespace(device)
        parts = (data.X_train, data.Y_train, data.X_test, data.Y_test)
        X, Y, X_test, Y_test = (xp.asarray(a.astype(self.dtype, copy=False)) for a in parts)
        return X, Y, X_test, Y_test

    def network(self, sigma: float) -> MLP:
        """The network with initialization scale σ."""
        kinds: dict[str, Any] = {
            "activation": self.activation,
            "scaling": self.scaling,
            "bias": self.bias,
        }
        return MLP(self.widths, sigma=sigma, **kinds)

    def step_limit(self, predicted: int) -> int:
        """After how many steps training stops, where the linearized network takes ``predicted``."""
        return PATIENCE * max(predicted, 1) if self.max_steps is None else self.max_steps

    def horizon(self, predicted: int) -> int:
        """How many steps a trial of a learning rate has; gradient descent takes ``predicted``."""
        horizon = max(predicted, LEAST_HORIZON)
        return horizon if self.max_steps is None else min(horizon, self.max_steps)

    def maker(self, method: Method) -> Callable[..., Optimizer]:
        """The optimizer of a learning rate, with the study's weight decay; gd has none."""
        if self.weight_decay is None or method.closed:
            return method.optimizer
        return partial(method.optimizer, weight_decay=self.weight_decay)

    def scheduled(self, optimizer: Optimizer) -> Optimizer:
        """The optimizer with the study's schedule times its learning rate."""
        if self.schedule is None:
            return optimizer
        return optimizer.with_learning_rate(optimizer.learning_rate * schedule_of(self.schedule))

    def describe(self) -> dict[str, Any]:
        """The configuration as plain values, for reports."""
        settings = {field.name: getattr(self, field.name) for field in fields(StudySettings)}
        del settings["hidden_widths"]  # told with the others
        network = {
            "depth": self.depth,
            "widths": list(self.widths),
            "n_parameters": self.network(self.sigmas[0]).n_parameters,
            "scaling": self.scaling,
            "bias": self.bias,
        }
        return {
            "data": shown(self.data.name),
            "provenance": shown(self.data.provenance),
            "n_train": len(self.data.X_train),
            "n_test": len(self.data.X_test),
            "classes": list(self.data.classes),
            **network,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
        }
