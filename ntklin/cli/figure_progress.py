"""Progress of a figure on the terminal."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

# Without a terminal: a line for every so many results.
EVERY = 20


def progress(console, plan):
    """A bar on a terminal, lines elsewhere."""
    live = console.is_terminal and not console.quiet
    return (LiveProgress if live else LineProgress)(console, plan)


class LiveProgress:
    """One bar for all runs and searches of a figure."""

    def __init__(self, console, plan):
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self.task = self.bars.add_task(title(plan), total=plan.n_tasks)

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *exception):
        self.bars.stop()

    def finished(self, task, record):
        self.bars.advance(self.task)


class LineProgress:
    """A line now and then, where bars cannot be redrawn."""

    def __init__(self, console, plan):
        self.console, self.plan, self.count = console, plan, 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def finished(self, task, record):
        self.count += 1
        if self.count % EVERY == 0 or self.count == self.plan.n_tasks:
            text = f"{title(self.plan)}: {self.count}/{self.plan.n_tasks}"
            self.console.print(text, soft_wrap=True)


def title(plan):
    """Which figure, at which scale."""
    return f"Figure {plan.figure.number}, {plan.scale_name}"
