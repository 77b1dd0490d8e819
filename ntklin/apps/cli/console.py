"""Where commands print: nothing that they show is cut, however narrow the terminal."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any

import rich.console
from rich.cells import cell_len
from rich.console import ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import StyleType
from rich.table import Column, Table
from rich.text import Text

from ntklin.apps.cli.spelling import as_shown

# Of a file, which has no edge: enough for every table.
FILE_COLUMNS = 200
# More than any table needs, to ask it what it needs.
NO_EDGE = 100_000
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Console(rich.console.Console):
    """Rich's console, which shows names as they are and tables whole.

    A table that would lose digits, or break words, becomes a list with a line for each number.

    Parameters
    ----------
    **settings
        Rich's.
    """

    def __init__(self, **settings: Any) -> None:
        # ``a:dog:`` is the name of a folder.
        settings.setdefault("emoji", False)
        super().__init__(**settings)
        if "width" in settings:
            return
        if not self.is_terminal:
            if "COLUMNS" not in os.environ:
                self.width = FILE_COLUMNS
        elif self.is_dumb_terminal:  # Rich would take it for 80 columns wide
            self.size = shutil.get_terminal_size()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does, but crop nothing, and leave it to the terminal to break lines."""
        texts = bool(objects) and all(isinstance(thing, str | Text) for thing in objects)
        options.setdefault("crop", False)
        options.setdefault("soft_wrap", texts)
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's way from texts to their styles: control signs are escaped."""
        return super().render_str(escaped(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Rich's way to everything that is shown: tables are fitted, control signs escaped."""
        options = options or self.options
        if isinstance(renderable, Table):
            renderable = fitted(self, options, renderable)
        elif isinstance(renderable, Text) and CONTROLS.search(renderable.plain):
            renderable = Text(escaped(renderable.plain), renderable.style, end=renderable.end)
        return super().render(renderable, options)


def escaped(text: str) -> str:
    """``text`` in which signs that would control the terminal are shown."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def fitted(console: rich.console.Console, options: ConsoleOptions, table: Table) -> Table | Listing:
    """What shows a table in this width: itself, with widths that break no word, or a list.

    Parameters
    ----------
    console : rich.console.Console
    options : rich.console.ConsoleOptions
    table : rich.table.Table

    Returns
    -------
    Table or Listing
    """
    table = _spelled(console, table)
    wide = options.update(max_width=NO_EDGE, no_wrap=False)
    ranges = [_range(console, wide, column) for column in table.columns]
    natural = Measurement.get(console, wide, table).maximum
    if natural <= options.max_width:
        return table
    spare = options.max_width - natural + sum(high - low for low, high in ranges)
    if spare < 0:
        return Listing(table)
    # What needs least gets all of it; what is left is shared by the others.
    order = sorted(range(len(ranges)), key=lambda i: ranges[i][1] - ranges[i][0])
    for place, i in enumerate(order):
        low, high = ranges[i]
        width = min(high, low + spare // (len(order) - place))
        table.columns[i].width = width
        spare -= width - low
    return table


def _spelled(console: rich.console.Console, table: Table) -> Table:
    """A copy, whose texts are as they will be written: what spells a sign takes its room."""
    new = copy(table)
    new.columns, new.rows = [column.copy() for column in table.columns], []
    for column in new.columns:
        column.header = _shown(console, column.header)
    for row, cells in zip(table.rows, _rows(table), strict=True):
        texts = (_shown(console, cell) for cell in cells)
        new.add_row(*texts, style=row.style, end_section=row.end_section)
    new.title, new.caption = (_shown(console, text) for text in (table.title, table.caption))
    return new


def _rows(table: Table) -> Iterable[tuple[Any, ...]]:
    """The cells of a table, row by row."""
    return zip(*(column.cells for column in table.columns), strict=True)


def _shown(console: rich.console.Console, cell: Any) -> Any:
    if isinstance(cell, str):
        return as_shown(cell, console.file)
    if isinstance(cell, Text) and (shown := as_shown(cell.plain, console.file)) != cell.plain:
        return Text(shown, cell.style, justify=cell.justify)
    return cell


def _range(
    console: rich.console.Console, options: ConsoleOptions, column: Column
) -> tuple[int, int]:
    """The widths of a column without its padding: that of its longest word, and of its text."""
    parts = [column.header, *column.cells]
    sizes = [Measurement.get(console, options, part) for part in parts]
    high = max(size.maximum for size in sizes)
    return (high if column.no_wrap else max(size.minimum for size in sizes)), high


class Listing:
    """A table as a list: each row's first cell, and below it a line for every other.

    Parameters
    ----------
    table : rich.table.Table
    """

    INDENT = 2

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_measure__(
        self, console: rich.console.Console, options: ConsoleOptions
    ) -> Measurement:
        return Measurement(1, options.max_width)

    def __rich_console__(
        self, console: rich.console.Console, options: ConsoleOptions
    ) -> RenderResult:
        table, width = self.table, options.max_width
        headings = [_text(console, column.header) for column in table.columns]
        yield from _lines(_text(console, table.title, table.title_style), width)
        for row, cells in zip(table.rows, _rows(table), strict=True):
            first, *others = (_text(console, cell, row.style) for cell in cells)
            if not table.show_header:
                yield from _lines(Text(" ").join(filter(None, (first, *others))), width)
                continue
            first.stylize("bold")
            yield from _lines(_named(headings[0], first), width)
            for heading, text in zip(headings[1:], others, strict=True):
                yield from _lines(_named(heading, text), width, self.INDENT)
        yield from _lines(_text(console, table.caption, table.caption_style), width)


def _text(console: rich.console.Console, cell: Any, style: StyleType | None = None) -> Text:
    """A cell's words in one line; none for what is no text, such as a bar."""
    if isinstance(cell, str):
        cell = console.render_str(cell)
    if not isinstance(cell, Text):
        return Text()
    lines = (line[len(line) - len(line.plain.lstrip()) :] for line in cell.split("\n"))
    text = Text(" ").join(line for line in lines if line)
    text.stylize_before(style or "")
    return text


def _named(heading: Text, text: Text) -> Text:
    return Text.assemble(heading, ": ", text) if heading and text else text


def _lines(text: Text, width: int, indent: int = 0) -> Iterator[Text]:
    """A text in lines that end between words; a word that is too long sticks out."""
    ends, used = [], indent
    for word in re.finditer(r"\S+\s*", text.plain):
        size = cell_len(word[0].rstrip())
        if used + size > width and word.start() > 0:
            ends.append(word.start())
            used = 2 * indent
        used += cell_len(word[0])
    for i, line in enumerate(text.divide(ends) if text else ()):
        line.rstrip()
        line.pad_left(indent * (1 + (i > 0)))
        line.no_wrap, line.overflow = True, "ignore"
        yield line
