"""Who is told how a study goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ntklin.apps.study.optimizer_result import OptimizerResult
    from ntklin.apps.study.scale_result import ScaleResult


class StudyObserver(Protocol):
    """Is told how a study's runs go on; those who inherit it need not listen to everything.

    A run is of one scale σ in the sweep, and of one optimizer in the comparison.
    """

    def started(self, subject: float | str, seed: int) -> None:
        """Work begins on this scale σ, or on the optimizer of this name."""

    def searched(self, learning_rate: float, step: int, loss: float) -> None:
        """A trial of this learning rate is at ``step`` of the linearized network."""

    def linearized(self, step: int, loss: float) -> None:
        """The linearized network is at ``step``."""

    def predicted(self, initial_loss: float, steps: int) -> None:
        """The linearized network is done: the real one starts at this loss and may take these."""

    def trained(self, step: int, loss: float) -> None:
        """The real network is at ``step``; called about ten times a second."""

    def finished(self, result: ScaleResult | OptimizerResult) -> None:
        """The result is complete, and whoever runs the study has it."""


class Unobserved(StudyObserver):
    """Nobody is told."""
