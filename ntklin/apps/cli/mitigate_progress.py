"""Progress of a mitigation on the terminal."""

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ntklin.apps.cli.progress import share


class LiveProgress:
    """One bar per network: the loss on a logarithmic scale, from its start to the target."""

    def __init__(self, console, until):
        self.until = until
        self.network = self.task = None
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *exception):
        self.bars.stop()

    def trained(self, network, step, loss):
        if network is not self.network:
            self._begin(network, loss)
        self.bars.update(
            self.task,
            completed=share(self.start, loss, self.until),
            state=f"loss {loss:.1e}, step {step:,}",
        )

    def finished(self, trial):
        # One run can serve two baselines: the second was never heard of.
        if trial.network is not self.network:
            self._begin(trial.network, trial.training_loss)
        self.bars.update(self.task, completed=1.0, state=summary(trial))
        self.bars.stop_task(self.task)

    def _begin(self, network, loss):
        self.network, self.start = network, loss
        self.task = self.bars.add_task(label(network), total=1.0, state="")


class LineProgress:
    """One line per trained network, where bars cannot be redrawn."""

    def __init__(self, console):
        self.console = console

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def trained(self, network, step, loss):
        pass

    def finished(self, trial):
        self.console.print(Text(f"{label(trial.network)}  {summary(trial)}"), soft_wrap=True)


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
