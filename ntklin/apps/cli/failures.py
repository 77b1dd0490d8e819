"""Errors that users meet, as one red line instead of a traceback."""

import os
from contextlib import contextmanager

import typer

from ntklin.apps.cli import threads
from ntklin.apps.cli.signals import INTERRUPTED

USAGE_ERROR = 2


@contextmanager
def reported(debug=False):
    """Print errors that the user can act upon and exit with code 2; Ctrl-C exits with 130.

    Parameters
    ----------
    debug : bool
        Let errors pass, with their traceback.
    """
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


def require_folder():
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
def warnings_on(console):
    """Print warnings as one yellow line each, without the place in the code they come from.

    Parameters
    ----------
    console : rich.console.Console
    """
    import warnings

    from rich.text import Text

    from ntklin.edge.files.names import printable

    def show(message, category, filename, lineno, file=None, line=None):
        console.print(Text(f"warning: {printable(str(message))}", style="yellow"), soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
