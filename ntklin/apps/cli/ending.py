"""How a command ends: with what is finished written and shown, whatever ended the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ntklin.apps.cli import signals

if TYPE_CHECKING:
    from rich.console import Console

FINISHED, INTERRUPTED, FAILED = "finished", "interrupted", "failed"


@contextmanager
def concluded(conclude: Callable[[str], None]) -> Iterator[None]:
    """Conclude the work inside, however it ends; what ended it goes on after that.

    Parameters
    ----------
    conclude : callable
        Called as ``conclude(ending)`` with "finished", "interrupted" (by Ctrl-C or what counts as
        such) or "failed". An interruption waits for its end, a second one strikes.

    Raises
    ------
    KeyboardInterrupt
        As it came.
    """
    ending = FAILED
    try:
        yield
        ending = FINISHED
    except KeyboardInterrupt:
        ending = INTERRUPTED
        raise
    finally:
        with signals.held(ending == INTERRUPTED):
            conclude(ending)


def deliver(
    console: Console, out: str, write: Callable[[], list[Path]], show: Callable[[], None]
) -> None:
    """Write the files and print the tables; the tables even where the files fail.

    Parameters
    ----------
    console : rich.console.Console
    out : str
        The output folder that was asked for.
    write : callable
        Without arguments; returns the paths.
    show : callable
        Without arguments.
    """
    try:
        paths = write()
    finally:
        console.print()
        show()
    tell_written(console, out, paths)


def tell_written(console: Console, out: str, paths: Sequence[Path]) -> None:
    """Say where a command's files are; an unfinished result may be beside a finished one.

    Parameters
    ----------
    console : rich.console.Console
    out : str
        The folder that was asked for.
    paths : list of pathlib.Path
    """
    from rich.text import Text

    from ntklin.edge.files.names import shown

    folder = out
    if paths[0].parent != Path(out):
        folder = paths[0].parent
        kept = f"The finished result in {shown(out)} stays; this one is not finished."
        console.print(Text(kept), soft_wrap=True)
    names = ", ".join(path.name for path in paths)
    console.print(Text(f"Written to {shown(folder)}: {shown(names)}"), soft_wrap=True)
