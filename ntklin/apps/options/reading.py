"""Texts of the command line as values, and back; every refusal names its flag."""

import re

NONE = "none"
LABEL = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)')


def parts(text, flag):
    """The non-empty parts of a comma-separated list."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise ValueError(f"{flag} is empty; write a comma-separated list")
    return found


def numbers(text, flag, kind=float):
    """A comma-separated list of numbers as a tuple of ``kind``."""
    values = []
    for part in parts(text, flag):
        try:
            values.append(kind(part))
        except ValueError:
            what = "an integer" if kind is int else "a number"
            example = "1,2,3" if kind is int else "0.5,1,2"
            raise ValueError(
                f"{flag}: {part!r} is not {what}; write a comma-separated list such as {example}"
            ) from None
    return tuple(values)


def integers(text, flag):
    """A comma-separated list of integers."""
    return numbers(text, flag, int)


def names(text, flag):
    """The parts of a comma-separated list of lower-case words, which "none" leaves empty."""
    words = [part.strip().lower() for part in text.split(",") if part.strip()]
    return () if words == [NONE] else tuple(words)


def labels(text, flag="--classes"):
    """Two labels as they are written, which finds numbers too; one in quotes may hold commas."""
    found = []
    for label in LABEL.finditer(text):
        quoted, plain = label.groups()
        if quoted is not None:
            found.append(quoted.replace('""', '"'))
        elif plain.strip():
            found.append(plain.strip())
    if len(found) != 2:
        raise ValueError(
            f"{flag} needs two labels, such as 0,1; got {text!r}. A label with a comma goes in "
            "double quotes: '\"cat, black\",dog'"
        )
    return tuple(found)


def number(value):
    """A number as it would be typed: 1 for 1.0, and all digits."""
    return repr(value).removesuffix(".0")


def listed(values):
    """Numbers as a comma-separated list."""
    return ",".join(map(number, values))


def listed_names(values):
    """Words as a comma-separated list, or "none"."""
    return ",".join(values) or NONE
