"""Settings in the environment that are meant for other programs, or for other windows."""

import sys
from contextlib import contextmanager

# More columns than anybody has; Rich fills lines up to there.
MOST_COLUMNS = 1000
# With fewer, typer's help cuts the names of options.
HELP_COLUMNS = 60


@contextmanager
def harmless(environ, columns):
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


def changed(environ, columns, has_matplotlib):
    """What to set, and what to remove: that is None.

    Parameters
    ----------
    environ : mapping
    columns : int
    has_matplotlib : bool
        Whether matplotlib is loaded: it has then chosen already, and others may rely on that.
    """
    changes = {}
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
    return changes


def _count(text):
    try:
        number = int(text)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None


def _set(environ, values):
    for name, value in values.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
