"""Progress of a verification on the terminal."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text


class LiveProgress:
    """One bar for all checks, with the name of the one that runs; a line for each that fails."""

    def __init__(self, console, n_checks):
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self.task = self.bars.add_task("", total=n_checks)

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *exception):
        self.bars.stop()

    def started(self, statement, check):
        self.bars.update(self.task, description=f"{statement.title}, {check.name}")

    def finished(self, judged):
        self.bars.advance(self.task)
        if not judged.verdict.passed:
            self.bars.console.print(Text(line(judged), style="red"), soft_wrap=True)


class LineProgress:
    """One line per check, where bars cannot be redrawn."""

    def __init__(self, console, n_checks):
        self.console, self.n_checks, self.count = console, n_checks, 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def started(self, statement, check):
        pass

    def finished(self, judged):
        self.count += 1
        text = Text(f"{self.count}/{self.n_checks}  {line(judged)}")
        self.console.print(text, soft_wrap=True)


def line(judged):
    """A check and its verdict."""
    return f"{judged.statement.title}, {judged.check.name}: {judged.word} ({judged.reason})"
