"""Progress of a known number of results: a bar on a terminal, lines elsewhere."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class CountingBar:
    """One bar for all results.

    Parameters
    ----------
    console : rich.console.Console
    total : int
    description : str
    """

    def __init__(self, console, total, description=""):
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self.task = self.bars.add_task(description, total=total)

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *exception):
        self.bars.stop()


class CountingLines:
    """Lines, where bars cannot be redrawn; ``count`` is how many results there are so far.

    Parameters
    ----------
    console : rich.console.Console
    total : int
    """

    def __init__(self, console, total):
        self.console, self.total, self.count = console, total, 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def is_live(console):
    """Whether a bar can be redrawn there, and is wanted."""
    return console.is_terminal and not console.is_dumb_terminal and not console.quiet
