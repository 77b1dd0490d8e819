"""Progress of a comparison of optimizers on the terminal."""

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ntklin.apps.cli.progress import share


class LiveComparison:
    """One bar per record, which runs through the loss's decades for the real network.

    This and LineComparison have the methods of ``ntklin.apps.study.ComparisonObserver``.
    """

    def __init__(self, console, config):
        self.config = config
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

    def started(self, optimizer, seed):
        name = label(self.config, optimizer, seed)
        self.task = self.bars.add_task(name, total=None, state="linearized network")

    def searched(self, learning_rate, step, loss):
        self._tell(f"learning rate {learning_rate:.2g}? loss {loss:.1e}, step {step:,}")

    def linearized(self, step, loss):
        self._tell(f"linearized, loss {loss:.1e}, step {step:,}")

    def predicted(self, initial_loss, steps):
        self.start, self.expected = initial_loss, steps
        self.trained(0, initial_loss)

    def trained(self, step, loss):
        self.bars.update(
            self.task,
            total=1.0,
            completed=share(self.start, loss, self.config.until),
            state=f"loss {loss:.1e}, step {step:,} of ≈ {self.expected:,}",
        )

    def finished(self, record):
        self.bars.update(self.task, total=1.0, completed=1.0, state=summary(record))
        self.bars.stop_task(self.task)

    def _tell(self, state):
        self.bars.update(self.task, state=state)


class LineComparison:
    """One line per finished record, where bars cannot be redrawn."""

    def __init__(self, console, config):
        self.console, self.config = console, config

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def started(self, optimizer, seed):
        pass

    def searched(self, learning_rate, step, loss):
        pass

    def linearized(self, step, loss):
        pass

    def predicted(self, initial_loss, steps):
        pass

    def trained(self, step, loss):
        pass

    def finished(self, record):
        name = label(self.config, record.optimizer, record.seed)
        self.console.print(Text(f"{name}  {summary(record)}"), soft_wrap=True)


def label(config, optimizer, seed):
    """What a record is called; the seed only where there are several."""
    from ntklin.apps.study import METHODS

    width = max(len(METHODS[name].label) for name in config.optimizers)
    name = f"{METHODS[optimizer].label:<{width}}"
    return name + (f" seed {seed}" if len(config.seeds) > 1 else "")


def summary(record):
    """A finished record in a few words."""
    ends = [_end(record.steps_linearized, record.outcome_linearized, " linearized")]
    if record.steps_taken is not None:
        ends.insert(0, _end(record.steps_taken, record.outcome, ""))
    return ", ".join(ends)


def _end(steps, outcome, kind):
    from ntklin.apps.study import CONVERGED

    return f"{steps:,} steps{kind}" + ("" if outcome == CONVERGED else f" ({outcome})")
