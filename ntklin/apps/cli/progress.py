"""Progress of a study on the terminal."""

import math

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text


class LiveProgress:
    """One bar per record: the loss on a logarithmic scale, from its start to the target.

    This and LineProgress have the methods of ``ntklin.apps.study.Observer``.
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

    def started(self, sigma, seed):
        self.task = self.bars.add_task(
            label(self.config, sigma, seed), total=None, state="kernel and closed form"
        )

    def predicted(self, initial_loss, steps):
        self.start, self.expected = initial_loss, steps
        if self.config.train:
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


class LineProgress:
    """One line per finished record, where bars cannot be redrawn."""

    def __init__(self, console, config):
        self.console, self.config = console, config

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def started(self, sigma, seed):
        pass

    def predicted(self, initial_loss, steps):
        pass

    def trained(self, step, loss):
        pass

    def finished(self, record):
        name = label(self.config, record.sigma, record.seed)
        self.console.print(Text(f"{name}  {summary(record)}"), soft_wrap=True)


def label(config, sigma, seed):
    """What a record is called; the seed only where there are several."""
    return f"σ = {sigma:<4g}" + (f" seed {seed}" if len(config.seeds) > 1 else "")


def share(start, loss, target):
    """How much of the way from the first loss to the target is done, in decades: 0 … 1."""
    if not target < start or not math.isfinite(loss) or loss <= 0:
        return 0.0
    return min(max(math.log(start / loss) / math.log(start / target), 0.0), 1.0)


def summary(record):
    """A finished record in a few words."""
    from ntklin.apps.study import CONVERGED

    if record.steps_taken is None:
        return f"{record.steps_predicted:,} steps expected, not trained"
    steps = f"{record.steps_taken:,} steps ({record.steps_predicted:,} expected)"
    return steps if record.outcome == CONVERGED else f"{record.outcome} after {steps}"
