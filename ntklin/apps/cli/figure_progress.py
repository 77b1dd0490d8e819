"""Progress of a figure on the terminal."""

from ntklin.apps.cli.counting import CountingBar, CountingLines, is_live

# Without a terminal: a line for every so many results.
EVERY = 20


def progress(console, plan):
    """A bar on a terminal, lines elsewhere."""
    title = f"Figure {plan.figure.number}, {plan.scale_name}"
    return (LiveProgress if is_live(console) else LineProgress)(console, plan.n_tasks, title)


class LiveProgress(CountingBar):
    """One bar for all runs and searches of a figure."""

    def finished(self, task, record):
        self.bars.advance(self.task)


class LineProgress(CountingLines):
    """A line now and then, where bars cannot be redrawn."""

    def __init__(self, console, total, title):
        super().__init__(console, total)
        self.title = title

    def finished(self, task, record):
        self.count += 1
        if self.count % EVERY == 0 or self.count == self.total:
            self.console.print(f"{self.title}: {self.count}/{self.total}", soft_wrap=True)
