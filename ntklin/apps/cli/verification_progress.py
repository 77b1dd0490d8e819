"""Progress of a verification on the terminal."""

from rich.text import Text

from ntklin.apps.cli.progress import CountingBar, CountingLines, is_live


def progress(console, n_checks):
    """A bar on a terminal, lines elsewhere."""
    return (VerificationBar if is_live(console) else VerificationLines)(console, n_checks)


class VerificationBar(CountingBar):
    """One bar for all checks, with the name of the one that runs; a line for each that fails."""

    def started(self, statement, check):
        self.bars.update(self.task, description=f"{statement.title}, {check.name}")

    def finished(self, judged):
        self.bars.advance(self.task)
        if not judged.verdict.passed:
            self.bars.console.print(Text(line(judged), style="red"), soft_wrap=True)


class VerificationLines(CountingLines):
    """One line per check."""

    def started(self, statement, check):
        pass

    def finished(self, judged):
        self.count += 1
        self.say(f"{self.count}/{self.total}  {line(judged)}")


def line(judged):
    """A check and its verdict."""
    return f"{judged.statement.title}, {judged.check.name}: {judged.word} ({judged.reason})"
