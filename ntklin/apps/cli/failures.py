"""Errors that users meet, as one red line instead of a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

from ntklin.apps.cli import threads
from ntklin.apps.cli.signals import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console

USAGE_ERROR = 2


@contextmanager
def reported(debug: bool = False) -> Iterator[None]:
    """Print errors that the user can act upon and exit with code 2; Ctrl-C exits with 130.

    Parameters
    ----------
    debug : bool
        Let errors pass, with their traceback.

    Raises
    ------
    typer.Exit
        In the place of an error that the user can act upon.
    """  # noqa: DOC501
    from rich.text import Text

    from ntklin.apps.cli.console import Console
    from ntklin.edge.errors import NtklinError
    from ntklin.edge.files.names import printable

    try:
        require_folder()
        threads.require_number(os.environ)
        yield
    except (NtklinError, ValueError, TypeError, OSError, MemoryError) as e:
        if debug:
            raise
        message = printable(str(e) or type(e).__name__)
        Console(stderr=True).print(Text(f"error: {message}", style="bold red"), soft_wrap=True)
        raise typer.Exit(USAGE_ERROR) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def require_folder() -> None:
    """Refuse a current folder that was deleted: Numba cannot be loaded there.

    Raises
    ------
    FileNotFoundError
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise FileNotFoundError(
            "the current folder has been deleted; change to another and start again"
        ) from None


@contextmanager
def warnings_on(console: Console) -> Iterator[None]:
    """Print warnings as one yellow line each, without the place in the code they come from.

    Parameters
    ----------
    console : rich.console.Console
    """
    import warnings

    from rich.text import Text

    from ntklin.edge.files.names import printable

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        console.print(Text(f"warning: {printable(str(message))}", style="yellow"), soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
