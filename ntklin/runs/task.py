"""What a run is of: a network, real or linearized, with its data, its optimizer and its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.backends import namespace
from ntklin.edge.errors import DivergenceError
from ntklin.runs import checkpoint, descriptions
from ntklin.runs.batches import BatchSource
from ntklin.runs.engine import Engine, choose
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stability import divergence_error

if TYPE_CHECKING:
    from ntklin.runs.loop import Track


class Task(ABC):
    """What a run is of; the loop sees nothing else of it.

    Attributes
    ----------
    targets : ndarray, shape (N,) or (N, C)
        Of C > 1 outputs a row for each sample.
    optimizer : Optimizer
        With its learning rate.
    loss : Loss
    batches : Batches, iterable of index arrays, or None
    method : str
        Of the engine, or "auto".
    """

    targets: Array
    optimizer: Optimizer
    loss: Loss
    batches: BatchSource | None
    method: str

    #: By their methods; see ``engine.choose``.
    engines: ClassVar[Mapping[str, type[Engine]]]
    #: What finds a learning rate for it.
    search: ClassVar[str]

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.targets)

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of the steps."""

    @property
    def on_cpu(self) -> bool:
        """Whether its arrays are NumPy's."""
        return namespace(self.targets) is np

    @property
    def loss_of_zero(self) -> float:
        """The loss of f = 0 on the same targets."""
        return self.loss.value(np.zeros_like(self.targets), self.targets)

    @property
    @abstractmethod
    def fingerprints(self) -> Mapping[str, Any]:
        """By which a saved run knows its network, θ_0 and X."""

    @cached_property
    def description(self) -> Mapping[str, Any]:
        """By which a saved run is known whatever its engine; see ``checkpoint.PARTS``."""
        return {
            **self.fingerprints,
            "optimizer": descriptions.describe_optimizer(self.optimizer),
            "loss": self.loss.name,
            "loss_of_zero": self.loss_of_zero,
            "batches": descriptions.describe_batches(self.batches),
            "dtype": str(self.dtype),
            "Y": checkpoint.digest(self.targets),
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        """By which a saved run is known."""
        return {**self.description, "method": self.engine_type.method}

    def rates(self, steps: int) -> NDArray[np.float64] | None:
        """η_0 … η_{steps−1} where they depend on the step, else None: what a run keeps of them."""
        return self.optimizer.rates(0, steps) if self.optimizer.has_schedule else None

    @cached_property
    def engine_type(self) -> type[Engine]:
        """The engine that takes the steps."""
        return choose(self.engines, self.method, self)

    def require_continues(self, past: Any) -> None:
        """Refuse a run that is not the beginning of this one.

        Raises
        ------
        ValueError
            Naming all that differs.
        """
        saved = past.identity
        # First without the engine, which may not even serve what differs.
        checkpoint.require_same(saved, {**self.description, "method": saved["method"]}, "resume")
        checkpoint.require_same(saved, self.identity, "resume")
        checkpoint.require_same_rates(past, self.optimizer, "resume")

    def engine(self) -> Engine:
        """An engine at θ_0."""
        return self.engine_type(self)

    @abstractmethod
    def outcome(self, engine: Engine, track: Track) -> Any:
        """What a run leaves, from its engine and its :class:`ntklin.runs.loop.Track`."""

    @abstractmethod
    def initial_outputs(self) -> Any:
        """f_0(X), of the shape of the targets."""

    @abstractmethod
    def stability_bound(self) -> float:
        """2N/λ_max(K(X, X)) at θ_0."""

    def divergence(self, losses: list[float]) -> DivergenceError:
        """The error of a run whose loss has left all bounds."""
        return divergence_error(
            self.optimizer,
            self.loss,
            self.batches is None,
            losses,
            bound=self.stability_bound,
            search=self.search,
        )
