"""The bars of ``progress=True``, in a terminal or a notebook; Rich loads with the first one."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from ntklin.edge.errors import MissingPackageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

# Seconds between two pictures of a bar, and its width.
OFTEN, WIDTH = 0.1, 24


def rich_bars(
    console: Console, width: int, *columns: ProgressColumn | str, **options: Any
) -> Progress:
    """Rich's bars with a name before and the time behind, of the command line's kind, too.

    Parameters
    ----------
    console : rich.console.Console
    width : int
        Of a bar.
    *columns : rich.progress.ProgressColumn or str
        Between a bar and its time.
    **options
        Rich's.

    Returns
    -------
    rich.progress.Progress
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    name, bar = TextColumn("{task.description}"), BarColumn(bar_width=width)
    return Progress(name, bar, *columns, TimeElapsedColumn(), console=console, **options)


def share(start: float, loss: float, target: float) -> float:
    """How much of the way from the first loss to the target is done, in decades: 0 … 1."""
    if not target < start or not math.isfinite(loss) or loss <= 0:
        return 0.0
    return min(max(math.log(start / loss) / math.log(start / target), 0.0), 1.0)


@contextmanager
def followed(progress: Any, meter: Callable[[], Meter]) -> Iterator[Any]:
    """What work is to call: the caller's function, or a bar that is there meanwhile; or None.

    Parameters
    ----------
    progress : callable, True or None
        As ``ntklin.edge.checks.as_progress`` returns it.
    meter : callable
        Returns the bar for True; called only where it will be seen.

    Yields
    ------
    callable or None

    Raises
    ------
    MissingPackageError
        For True, if Rich is not installed.
    """
    if progress is not True:
        yield progress
        return
    _require_rich()
    if not (is_notebook() or is_terminal()):
        yield None
    else:
        with meter() as bar:
            yield bar


def _require_rich() -> None:
    try:
        import rich  # noqa: F401
    except ModuleNotFoundError as e:
        raise MissingPackageError("progress=True", "rich", "rich") from e


def is_terminal() -> bool:
    """Whether a bar can be redrawn on stderr."""
    from rich.console import Console

    try:
        return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal
    except (AttributeError, ValueError):  # there is no stderr, or it is closed
        return False


def is_notebook() -> bool:
    """Whether what is shown appears below a notebook's cell."""
    from rich.console import Console

    return "IPython" in sys.modules and Console().is_jupyter


def _console() -> Console:
    """Rich's console on stderr, for which a reader that left is no reason to end the process."""
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Lasting(stderr=True)


class Meter:
    """A bar inside ``with``; subclasses are called as the work that they are for tells.

    It never ends the work: if it cannot be drawn, it is not there.

    Parameters
    ----------
    name : str
        Of the work's first part.
    """

    def __init__(self, name: str) -> None:
        from rich.progress import TextColumn, TimeRemainingColumn

        self._name, self._shown, self._told = name, 0.0, False
        self._bars: Any = _Text()
        if not is_notebook() or find_spec("ipywidgets"):
            state, left = TextColumn("{task.fields[state]}", markup=False), TextColumn("left,")
            columns = state, TimeRemainingColumn(compact=True), left
            # No thread that draws: none is left behind, and what it met would be lost.
            self._bars = rich_bars(_console(), WIDTH, *columns, auto_refresh=False)

    def __enter__(self) -> Self:
        try:
            self._bars.start()
            self._task = self._bars.add_task(self._name, total=None, state="")
            self._bars.refresh()
        except (OSError, ValueError):
            self._bars = None
        return self

    def __exit__(self, *exception: object) -> None:
        bars, self._bars = self._bars, None
        for end in () if bars is None else (bars.refresh, bars.stop):
            with suppress(OSError, ValueError):
                end()

    def show(self, state: str, done: float | None = None, *, name: str | None = None) -> None:
        """Draw the bar, unless that was just done.

        Parameters
        ----------
        state : str
            Where the work is, in words.
        done : float, optional
            How much of it is done, 0 … 1, if that is known.
        name : str, optional
            Of this part of the work; another one has a bar of its own.
        """
        if self._bars is None:  # a solver keeps what it was told to call
            return
        with suppress(OSError, ValueError):
            if name not in (None, self._name):
                self._begin(name)
            total, self._told = None if done is None else 1.0, True
            self._bars.update(self._task, state=state, total=total, completed=done or 0.0)
            if time.monotonic() >= self._shown + OFTEN:
                self._bars.refresh()
                self._shown = time.monotonic()

    def _begin(self, name: str) -> None:
        """Another part; the first one that anything is told of takes the bar that is there."""
        self._name, self._shown = name, 0.0
        if self._told:
            self._bars.stop_task(self._task)
            self._task = self._bars.add_task(name, total=None, state="")
        else:
            self._bars.update(self._task, description=name)


class _Text:
    """A line that is written again, where a notebook has no widgets; as Rich's bars, for Meter."""

    def __init__(self) -> None:
        self._line, self._name, self._long = "", "", 0

    def start(self) -> None:
        """Nothing: the first line begins it."""

    def add_task(self, name: str, **fields: Any) -> int:
        """Begin another part."""
        self._name, self._line = name, name
        return 0

    def stop_task(self, task: int) -> None:
        """End a part's line."""
        self.refresh()
        self.stop()

    def update(self, task: int, *, description: str = "", **told: Any) -> None:
        """Take down the part's name, or how far it is."""
        self._name = description or self._name
        done = "" if told.get("total") is None else f" {told['completed']:4.0%}"
        self._line = f"{self._name}{done} {told.get('state', '')}"

    def refresh(self) -> None:
        """Write the line over the one before."""
        print(f"\r{self._line:<{self._long}}", end="", file=sys.stderr, flush=True)
        self._long = len(self._line)

    def stop(self) -> None:
        """End the line."""
        print(file=sys.stderr, flush=True)
        self._long = 0


class LossMeter(Meter):
    """Of training, by steps or by decades of the loss, whichever is further.

    Parameters
    ----------
    name : str
    steps : int or None
        The number of the last one.
    until : float or None
        The loss at which training ends.
    """

    def __init__(self, name: str, steps: int | None, until: float | None) -> None:
        super().__init__(name)
        self._steps, self._until, self._start = steps, until, math.nan

    def __call__(self, step: int, loss: float) -> None:
        """After so many steps the loss is this."""
        if math.isnan(self._start):
            self._start = loss
        done = 0.0 if self._until is None else share(self._start, loss, self._until)
        if self._steps:
            done = max(done, step / self._steps)
        self.show(f"step {step:,}, loss {loss:.3g}", min(done, 1.0))


class NetworkMeter(Meter):
    """Of the training of one network after another, each with a bar.

    Parameters
    ----------
    steps : int
        At most for each.
    until : float
        The loss at which training ends.
    """

    def __init__(self, steps: int, until: float) -> None:
        super().__init__("mitigation")
        self._steps, self._until = steps, until
        self._network: Any = None

    def __call__(self, network: Any, step: int, loss: float) -> None:
        """After so many steps this network's loss is this."""
        if network is not self._network:
            self._network, self._start = network, loss
            self._label = f"{type(network).__name__}, sigma {network.sigma:.3g}"
        done = max(share(self._start, loss, self._until), step / self._steps)
        self.show(f"step {step:,}, loss {loss:.3g}", min(done, 1.0), name=self._label)


class SolverMeter(Meter):
    """Of a solver, phase by phase; iterations by decades of the residual.

    Parameters
    ----------
    tolerance : float
        The residual at which iterations end.
    """

    def __init__(self, tolerance: float) -> None:
        super().__init__("solving")
        self._tolerance = tolerance

    def __call__(self, told: Any) -> None:
        """A solver's ``SolverProgress``."""
        state, done = f"{told.done:,}", None
        if told.total:
            state, done = f"{told.done:,} of {told.total:,}", told.done / told.total
        if told.residual is not None:
            state += f", residual {told.residual:.2g}"
            done = share(1.0, told.residual, self._tolerance)
        self.show(state, done, name=told.phase)


class IterationMeter(Meter):
    """Of iterations, by decades of an error.

    Parameters
    ----------
    name : str
    tolerance : float
        The error at which they end.
    """

    def __init__(self, name: str, tolerance: float) -> None:
        super().__init__(name)
        self._tolerance, self._start = tolerance, math.nan

    def __call__(self, iteration: int, error: float) -> None:
        """After so many iterations the error is this."""
        if math.isnan(self._start):
            self._start = error
        done = share(self._start, error, self._tolerance)
        self.show(f"iteration {iteration:,}, error {error:.2g}", done)


class CountMeter(Meter):
    """Of a known number of things.

    Parameters
    ----------
    name : str
    total : int, optional
        How many; may be told with each call instead.
    """

    def __init__(self, name: str, total: int | None = None) -> None:
        super().__init__(name)
        self._total = total

    def __call__(self, done: int, total: int | None = None) -> None:
        """So many are done."""
        total = self._total if total is None else total
        self.show(f"{done:,} of {total:,}", done / total) if total else self.show(f"{done:,}")


class TrialMeter(Meter):
    """Of a search whose number of trials nobody knows."""

    def __init__(self) -> None:
        super().__init__("searching")
        self._count = 0

    def __call__(self, trial: Any) -> None:
        """A trial of a learning rate is over."""
        self._count += 1
        loss = "" if trial.final_loss is None else f", loss {trial.final_loss:.3g}"
        verdict = "falls" if trial.monotone else "rises"
        self.show(f"trial {self._count}: {verdict} at rate {trial.learning_rate:.3g}{loss}")
