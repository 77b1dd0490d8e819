"""Texts of the command line as values, and back; every refusal names its flag."""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

Number = TypeVar("Number", int, float)

NONE = "none"
LABEL = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)')
# 0-9, but not 01-02, a date, nor -1-2.
RANGE = re.compile(r"(0|[1-9]\d*)-(0|[1-9]\d*)")
LONGEST_RANGE = 1000
QUOTES = "A label with a comma goes in double quotes: '\"cat, black\",dog'"


def parts(text: str, flag: str) -> list[str]:
    """The non-empty parts of a comma-separated list."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise ValueError(f"{flag} is empty; write a comma-separated list")
    return found


def numbers(text: str, flag: str) -> tuple[float, ...]:
    """A comma-separated list of numbers."""
    return tuple(_read(part, flag, float, "a number", "0.5,1,2") for part in parts(text, flag))


def integers(text: str, flag: str) -> tuple[int, ...]:
    """A comma-separated list of integers."""
    return tuple(_read(part, flag, int, "an integer", "1,2,3") for part in parts(text, flag))


def _read(part: str, flag: str, kind: Callable[[str], Number], what: str, example: str) -> Number:
    try:
        return kind(part)
    except ValueError:
        raise ValueError(
            f"{flag}: {part!r} is not {what}; write a comma-separated list such as {example}"
        ) from None


def names(text: str, flag: str) -> tuple[str, ...]:
    """The parts of a comma-separated list of lower-case words, which "none" leaves empty."""
    words = [part.strip().lower() for part in text.split(",") if part.strip()]
    return () if words == [NONE] else tuple(words)


def labels(text: str, flag: str = "--classes") -> tuple[str, ...]:
    """Two or more labels as they are written, which finds numbers too.

    0-9 stands for the labels 0, 1, …, 9. A label in double quotes may hold commas, or be what would
    be a range; other dashes are the label's own.

    Parameters
    ----------
    text : str
    flag : str

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        For fewer than two labels, and for ranges that go down or have too many.
    """
    found = _labels(text, flag)
    if len(found) < 2:
        raise ValueError(
            f"{flag} needs two labels or more, such as 0,1 or 0-9; got {text!r}. {QUOTES}"
        )
    return found


def two_labels(text: str, flag: str = "--classes") -> tuple[str, ...]:
    """The same, where there have to be two."""
    found = _labels(text, flag)
    if len(found) != 2:
        raise ValueError(f"{flag} needs two labels, such as 0,1; got {text!r}. {QUOTES}")
    return found


def _labels(text: str, flag: str) -> tuple[str, ...]:
    found: list[str] = []
    for label in LABEL.finditer(text):
        quoted, plain = label.groups()
        if quoted is not None:
            found.append(quoted.replace('""', '"'))
        elif written := RANGE.fullmatch(plain.strip()):
            found += _range(written, flag)
        elif plain.strip():
            found.append(plain.strip())
    return tuple(found)


def _range(written: re.Match[str], flag: str) -> list[str]:
    first, last = map(int, written.groups())
    if not first <= last < first + LONGEST_RANGE:
        why = "goes down" if last < first else f"has more than {LONGEST_RANGE} labels"
        raise ValueError(
            f"{flag}: the range {written[0]} {why}; a label of this name goes in double quotes: "
            f"'\"{written[0]}\"'"
        )
    return [str(label) for label in range(first, last + 1)]


def number(value: float) -> str:
    """A number as it would be typed: 1 for 1.0, and all digits."""
    return repr(value).removesuffix(".0")


def listed(values: Iterable[float]) -> str:
    """Numbers as a comma-separated list."""
    return ",".join(map(number, values))


def listed_names(values: Iterable[str]) -> str:
    """Words as a comma-separated list, or "none"."""
    return ",".join(values) or NONE
