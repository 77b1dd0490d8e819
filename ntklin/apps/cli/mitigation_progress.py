"""Progress of a mitigation on the terminal."""

from ntklin.apps.cli.progress import Lines, LossBars, is_live


def progress(console, until):
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    return MitigationBars(console, until) if is_live(console) else MitigationLines(console)


class MitigationBars(LossBars):
    """One bar per network."""

    def __init__(self, console, until):
        super().__init__(console, until)
        self.network = None

    def trained(self, network, step, loss):
        if network is not self.network:
            self._begin(network, loss)
        self.approach(loss, f"loss {loss:.1e}, step {step:,}")

    def finished(self, trial):
        # One run can serve two baselines: the second was never heard of.
        if trial.network is not self.network:
            self._begin(trial.network, trial.training_loss)
        self.end(summary(trial))

    def _begin(self, network, loss):
        self.network, self.start = network, loss
        self.begin(label(network))


class MitigationLines(Lines):
    """One line per trained network."""

    def trained(self, network, step, loss):
        pass

    def finished(self, trial):
        self.say(f"{label(trial.network)}  {summary(trial)}")


def label(network):
    """σ, and for a baseline what it is."""
    kind = {"DoubledNetwork": " doubled", "AntisymmetricPair": " pair"}
    return f"σ = {network.sigma:<6.3g}{kind.get(type(network).__name__, ''):<8}"


def summary(trial):
    """A trained network in a few words."""
    if trial.validation_loss is None:
        return f"diverged after {trial.steps:,} steps"
    end = "" if trial.converged else f", {trial.outcome} at loss {trial.training_loss:.1e}"
    return f"validation loss {trial.validation_loss:.2e} after {trial.steps:,} steps{end}"
