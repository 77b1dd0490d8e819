"""Progress of a verification on the terminal."""

from rich.text import Text

from ntklin.apps.cli.counting import CountingBar, CountingLines, is_live


def progress(console, n_checks):
    """A bar on a terminal, lines elsewhere."""
    return (LiveProgress if is_live(console) else LineProgress)(console, n_checks)


class LiveProgress(CountingBar):
    """One bar for all checks, with the name of the one that runs; a line for each that fails."""

    def started(self, statement, check):
        self.bars.update(self.task, description=f"{statement.title}, {check.name}")

    def finished(self, judged):
        self.bars.advance(self.task)
        if not judged.verdict.passed:
            self.bars.console.print(Text(line(judged), style="red"), soft_wrap=True)


class LineProgress(CountingLines):
    """One line per check, where bars cannot be redrawn."""

    def started(self, statement, check):
        pass

    def finished(self, judged):
        self.count += 1
        text = Text(f"{self.count}/{self.total}  {line(judged)}")
        self.console.print(text, soft_wrap=True)


def line(judged):
    """A check and its verdict."""
    return f"{judged.statement.title}, {judged.check.name}: {judged.word} ({judged.reason})"
