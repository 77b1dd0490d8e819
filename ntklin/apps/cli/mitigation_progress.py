"""Progress of a mitigation on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntklin.apps.cli.progress import Lines, LossBars, is_live

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.networks.mlp import MLP
    from ntklin.networks.symmetrized import AntisymmetricPair
    from ntklin.recipes.mitigation import Trial


def progress(console: Console, until: float) -> MitigationBars | MitigationLines:
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    return MitigationBars(console, until) if is_live(console) else MitigationLines(console)


class MitigationBars(LossBars):
    """One bar per network."""

    def __init__(self, console: Console, until: float) -> None:
        super().__init__(console, until)
        self.network: MLP | AntisymmetricPair | None = None

    def trained(self, network: MLP | AntisymmetricPair, step: int, loss: float) -> None:
        """The network is at ``step``."""
        if network is not self.network:
            self._begin(network)
            self.start = loss
        self.approach(loss, f"loss {loss:.1e}, step {step:,}")

    def finished(self, trial: Trial) -> None:
        """The network is trained."""
        # One run can serve two baselines: the second was never heard of.
        if trial.network is not self.network:
            self._begin(trial.network)
        self.end(summary(trial))
        self.network = None  # the same one may be trained again, with weight decay

    def _begin(self, network: MLP | AntisymmetricPair) -> None:
        self.network = network
        self.begin(label(network))


class MitigationLines(Lines):
    """One line per trained network."""

    def trained(self, network: MLP | AntisymmetricPair, step: int, loss: float) -> None:
        """Nothing: only what is finished has a line."""

    def finished(self, trial: Trial) -> None:
        """The network is trained."""
        self.say(f"{label(trial.network, trial.weight_decay)}  {summary(trial)}")


def label(network: MLP | AntisymmetricPair, weight_decay: float = 0.0) -> str:
    """σ, and for what stands beside the search what it is."""
    kinds = {"DoubledNetwork": " doubled", "AntisymmetricPair": " pair"}
    kind = " decay" if weight_decay else kinds.get(type(network).__name__, "")
    return f"σ = {network.sigma:<6.3g}{kind:<8}"


def summary(trial: Trial) -> str:
    """A trained network in a few words."""
    if trial.validation_loss is None:
        return f"diverged after {trial.steps:,} steps"
    end = "" if trial.converged else f", {trial.outcome} at loss {trial.training_loss:.1e}"
    return f"validation loss {trial.validation_loss:.2e} after {trial.steps:,} steps{end}"
