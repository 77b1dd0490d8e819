"""What an object says of itself: once, for the line of a terminal and a notebook's table."""

from dataclasses import fields, is_dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from ntklin.edge.values import said

# Longer texts are shortened, longer sequences counted.
LONGEST, FEW = 200, 4
# Bits of integers that are written out.
WRITTEN = 256
# Inherited colors, so that dark notebooks stay readable.
_CAPTION = "caption-side: top; text-align: left; color: inherit; font-weight: bold"
_CELL = "text-align: left; vertical-align: top"


class Facts(NamedTuple):
    """What there is to say of an object.

    Attributes
    ----------
    title : str
        What it is.
    rows : tuple of (str, str)
        A label and a value each, in the order in which one would ask.
    """

    title: str
    rows: tuple[tuple[str, str], ...] = ()


class Shown:
    """An object whose ``repr`` and whose table in a notebook tell the same facts.

    Neither computes anything, shows the entries of an array, or fails.
    """

    def _facts(self) -> Facts:
        """What there is to say; all fields of a dataclass, where a subclass knows no better."""
        return facts_of(self)

    def _facts_so_far(self) -> Facts:
        """The facts; the title alone of an object that is not made yet, as in a debugger."""
        try:
            return self._facts()
        except Exception:
            return Facts(type(self).__name__)

    def __repr__(self) -> str:
        return line(self._facts_so_far())

    def _repr_html_(self) -> str:
        return table(self._facts_so_far())


def facts_of(thing: Any, **more: Any) -> Facts:
    """The public fields of a dataclass that are not None, and more, in outline.

    Parameters
    ----------
    thing : object
    **more
        Labels, with _ for a space, and what they are of.

    Returns
    -------
    Facts
    """
    found: dict[str, Any] = {}
    if is_dataclass(thing):
        shown = (field.name for field in fields(thing) if field.repr)
        found = {name: getattr(thing, name) for name in shown if not name.startswith("_")}
    return facts(type(thing).__name__, **found | more)


def arguments_of(thing: Any, **more: Any) -> Facts:
    """The fields of a dataclass as its own ``repr`` writes them, and more.

    Parameters
    ----------
    thing : object
    **more
        As for ``facts``.

    Returns
    -------
    Facts
    """
    title, rows = facts(type(thing).__name__, **more)
    own = ((field.name, repr(getattr(thing, field.name))) for field in fields(thing) if field.repr)
    return Facts(title, (*own, *rows))


def facts(title: str, /, **values: Any) -> Facts:
    """Facts of values in outline, without those that are None; labels have _ for a space."""
    rows = ((name.replace("_", " "), value) for name, value in values.items())
    return Facts(title, tuple((name, outline(value)) for name, value in rows if value is not None))


def outline(value: Any) -> str:
    """A value in few words: numbers to four digits, of an array only shape and dtype.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
        Printable, in one line.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value.bit_length() <= WRITTEN:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return value if value.isprintable() and len(value) <= LONGEST else said(value)[:LONGEST]
    if isinstance(value, Shown):
        return type(value).__name__
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{shape} {dtype}"
    if isinstance(value, list | tuple | dict | set | frozenset):
        return _outline_of_several(value)
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return said(value)[:LONGEST]


def _outline_of_several(values: Any) -> str:
    plain = isinstance(values, list | tuple) and len(values) <= FEW
    if plain and all(isinstance(value, int | float | str | np.generic) for value in values):
        return f"({', '.join(map(outline, values))})"
    return "1 entry" if len(values) == 1 else f"{len(values):,} entries"


def line(facts: Facts) -> str:
    """Facts as one line: <Title: label value; label value>."""
    rows = "; ".join(f"{label} {value}" for label, value in facts.rows)
    return f"<{facts.title}: {rows}>" if rows else f"<{facts.title}>"


def table(facts: Facts) -> str:
    """Facts as a table in HTML, without colors, scripts or anything from elsewhere."""
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL}">{escape(label)}</th>'
        f'<td style="{_CELL}">{escape(value)}</td></tr>'
        for label, value in facts.rows
    )
    caption = f'<caption style="{_CAPTION}">{escape(facts.title)}</caption>'
    return f"<table>{caption}<tbody>{rows}</tbody></table>"
