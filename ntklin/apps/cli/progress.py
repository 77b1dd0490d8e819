"""Progress on the terminal: bars where they can be redrawn, lines elsewhere."""

from typing import Any, Self

from rich.console import Console
from rich.progress import MofNCompleteColumn, ProgressColumn, TaskID, TextColumn
from rich.text import Text


def is_live(console: Console) -> bool:
    """Whether a bar can be redrawn there, and is wanted."""
    return console.is_terminal and not console.is_dumb_terminal and not console.quiet


class Bars:
    """Bars that are redrawn inside ``with``.

    Parameters
    ----------
    console : rich.console.Console
    width : int
        Of a bar.
    *columns : rich.progress.ProgressColumn or str
        Between a bar and its time.
    """

    def __init__(self, console: Console, width: int, *columns: ProgressColumn | str) -> None:
        from ntklin.edge.faces.bars import rich_bars

        self.bars = rich_bars(console, width, *columns)

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()


class LossBars(Bars):
    """One bar per run: the loss on a logarithmic scale, from its start to the target.

    Parameters
    ----------
    console : rich.console.Console
    until : float
        The target.

    Attributes
    ----------
    task : TaskID
        Of the latest run that has begun.
    start : float
        The loss that it came from; to be set before ``approach``.
    """

    task: TaskID
    start: float

    def __init__(self, console: Console, until: float) -> None:
        super().__init__(console, 16, TextColumn("{task.fields[state]}"))
        self.until = until

    def begin(self, name: str, state: str = "") -> None:
        """A run begins, with a bar that does not know yet how long it is."""
        self.task = self.bars.add_task(name, total=None, state=state)

    def tell(self, state: str, **changes: Any) -> None:
        """Show in words what the run does."""
        self.bars.update(self.task, state=state, **changes)

    def approach(self, loss: float, state: str) -> None:
        """The run's loss is this; ``start`` is the loss that it came from."""
        from ntklin.edge.faces.bars import share

        self.tell(state, total=1.0, completed=share(self.start, loss, self.until))

    def end(self, summary: str) -> None:
        """The run is over."""
        self.tell(summary, total=1.0, completed=1.0)
        self.bars.stop_task(self.task)


class CountingBar(Bars):
    """One bar for a known number of results.

    Parameters
    ----------
    console : rich.console.Console
    total : int
    description : str
    """

    def __init__(self, console: Console, total: int, description: str = "") -> None:
        super().__init__(console, 24, MofNCompleteColumn())
        self.task = self.bars.add_task(description, total=total)


class Lines:
    """Lines, where bars cannot be redrawn.

    Parameters
    ----------
    console : rich.console.Console
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(Text(text), soft_wrap=True)


class CountingLines(Lines):
    """Lines of a known number of results; ``count`` is how many there are so far.

    Parameters
    ----------
    console : rich.console.Console
    total : int
    """

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console)
        self.total, self.count = total, 0
