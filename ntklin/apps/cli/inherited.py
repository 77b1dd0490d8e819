"""Settings in the environment that are meant for other programs, or for other windows."""

import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

# More columns than anybody has; Rich fills lines up to there.
MOST_COLUMNS = 1000
# With fewer, typer's help cuts the names of options.
HELP_COLUMNS = 64
EPOCH = "SOURCE_DATE_EPOCH"


@contextmanager
def harmless(environ: MutableMapping[str, str], columns: int) -> Iterator[None]:
    """Change what would harm inside, for this process and those that it starts.

    Parameters
    ----------
    environ : mutable mapping
    columns : int
        Of the terminal, where the environment does not say.
    """
    changes = changed(environ, columns, "matplotlib" in sys.modules)
    before = {name: environ.get(name) for name in changes}
    _set(environ, changes)
    try:
        yield
    finally:
        _set(environ, before)


@contextmanager
def shown_warnings(options: list[str]) -> Iterator[None]:
    """Show the warnings that ``-W error`` or PYTHONWARNINGS would make errors.

    They are for those who test a program. Here one would end the work of hours, of which it only
    has something to say.

    Parameters
    ----------
    options : list of str
        ``sys.warnoptions``; processes that are started inside do not inherit these.
    """
    before = options[:]
    options[:] = [option for option in options if not _makes_errors(option)]
    with warnings.catch_warnings():
        if options != before:
            filters = cast("list[Any]", warnings.filters)
            filters[:] = [
                ("default", *rest) if action == "error" else (action, *rest)
                for action, *rest in warnings.filters
            ]
            # Changes nothing but tells the module that its list has changed.
            warnings.simplefilter("default", append=True)
        try:
            yield
        finally:
            options[:] = before


def _makes_errors(option: str) -> bool:
    action = option.partition(":")[0].strip().lower()
    return bool(action) and "error".startswith(action)


def changed(
    environ: Mapping[str, str], columns: int, has_matplotlib: bool
) -> dict[str, str | None]:
    """What to set, and what to remove: that is None.

    Parameters
    ----------
    environ : mapping
    columns : int
    has_matplotlib : bool
        Whether matplotlib is loaded: it has then chosen already, and others may rely on that.

    Returns
    -------
    dict of str to str or None
    """
    changes: dict[str, str | None] = {}
    if not has_matplotlib:
        # Pictures are written without any backend, and a notebook's may not be installed here.
        changes["MPLBACKEND"] = "agg"
    for name in ("COLUMNS", "LINES"):
        if name in environ:
            number = _count(environ[name])
            changes[name] = None if number is None else str(min(number, MOST_COLUMNS))
    columns = _count(changes.get("COLUMNS")) or columns
    if columns < HELP_COLUMNS or "TERMINAL_WIDTH" in environ:
        chosen = _count(environ.get("TERMINAL_WIDTH")) or columns
        changes["TERMINAL_WIDTH"] = str(min(max(chosen, HELP_COLUMNS), MOST_COLUMNS))
    if EPOCH in environ and not _is_time(environ[EPOCH]):
        # For reproducible packages; NumPy and matplotlib read it when they are loaded.
        changes[EPOCH] = None
    return changes


def _is_time(text: str) -> bool:
    try:
        datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _count(text: str | None) -> int | None:
    try:
        number = int(text or "")
    except ValueError:
        return None
    return number if number > 0 else None


def _set(environ: MutableMapping[str, str], values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
