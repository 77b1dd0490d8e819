"""Names of files as texts that can be shown, whatever bytes they are made of.

A name may hold bytes that are no UTF-8, which Python keeps as lone surrogates, line ends, escape
sequences for the terminal, and marks that turn the direction of writing.
"""

import os
import re
import shlex
from collections.abc import Iterable

FIRST_BYTE, LAST_BYTE = 0xDC80, 0xDCFF  # bytes that are no UTF-8, as ``os.fsdecode`` keeps them
BYTE_OFFSET = 0xDC00
ELLIPSIS = "…"
LONGEST_NAME = 60  # characters in a title
# What spreadsheets take for the start of a formula.
FORMULA = tuple("=+-@\t\r")


def shown(name: str | bytes | os.PathLike[str], longest: int | None = None) -> str:
    r"""A name with an escape, such as ``\xff`` or ``\n``, for each character that does not print.

    Parameters
    ----------
    name : str or path
    longest : int, optional
        Characters to keep, of the beginning and of the end; all when not given.

    Returns
    -------
    str
        Of printable characters, which UTF-8 can encode.
    """
    whole = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    text = "".join(c if c.isprintable() else _escape(c) for c in whole)
    if longest is None or len(text) <= longest:
        return text
    start = longest // 3
    return text[:start] + ELLIPSIS + text[len(text) - (longest - start - 1) :]


def at_home(path: str | os.PathLike[str]) -> str:
    """A path as text, with ``~`` for the user's folder unless there is a file of that very name."""
    path = os.fsdecode(path)
    return path if os.path.lexists(path) else os.path.expanduser(path)


def printable(text: str) -> str:
    """A text of several lines, escaped as :func:`shown` does."""
    return "\n".join(shown(line) for line in text.split("\n"))


def _escape(character: str) -> str:
    code = ord(character)
    if FIRST_BYTE <= code <= LAST_BYTE:
        return f"\\x{code - BYTE_OFFSET:02x}"
    return character.encode("unicode_escape").decode()


def without_math(text: str) -> str:
    """A text for matplotlib, in which ``$`` begins no formula."""
    return text.replace("$", r"\$")


def as_cell(text: str) -> str:
    """A text for CSV, which no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def command_line(words: Iterable[str]) -> str:
    """Words as a line for bash or zsh that gives them back, of printable characters only."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if not word.isprintable():
        content = os.fsencode(word) if _is_name(word) else word.encode("utf-8", "backslashreplace")
        return "$'" + "".join(_shell_byte(b) for b in content) + "'"
    # zsh takes a word that begins with = for the path of a command.
    return f"'{word}'" if re.fullmatch(r"=[\w=./-]*", word) else shlex.quote(word)


def _is_name(word: str) -> bool:
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        return False
    return True


def _shell_byte(b: int) -> str:
    if 0x20 <= b < 0x7F and chr(b) not in "'\\":
        return chr(b)
    return f"\\x{b:02x}"
