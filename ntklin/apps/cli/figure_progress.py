"""Progress of a figure on the terminal."""

from ntklin.apps.cli.progress import CountingBar, CountingLines, is_live

# Without a terminal: a line for every so many results.
EVERY = 20


def progress(console, plan):
    """A bar on a terminal, lines elsewhere."""
    title = f"Figure {plan.figure.number}, {plan.scale_name}"
    return (FigureBar if is_live(console) else FigureLines)(console, plan.n_tasks, title)


class FigureBar(CountingBar):
    """One bar for all runs and searches of a figure."""

    def finished(self):
        self.bars.advance(self.task)


class FigureLines(CountingLines):
    """A line now and then."""

    def __init__(self, console, total, title):
        super().__init__(console, total)
        self.title = title

    def finished(self):
        self.count += 1
        if self.count % EVERY == 0 or self.count == self.total:
            self.say(f"{self.title}: {self.count}/{self.total}")
