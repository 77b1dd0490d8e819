"""A number that a report shows for each row of a table."""

from collections.abc import Callable
from dataclasses import dataclass

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """One number per row.

    Attributes
    ----------
    name : str
        Of the number in the rows' results.
    heading : str
        Short, for the table's head; a newline where the terminal breaks it.
    meaning : str
        One line, for the report's legend.
    style : str
        Its format.
    show : callable, optional
        ``show(number)`` makes a text of it, where no format does.
    """

    name: str
    heading: str
    meaning: str
    style: str = ""
    show: Callable[[float], str] | None = None

    @property
    def two_lines(self) -> str:
        """The heading in two lines, of which the first may be empty."""
        return self.heading if "\n" in self.heading else f"\n{self.heading}"

    def text(self, number: float) -> str:
        """The number as it is shown."""
        return format(number, self.style) if self.show is None else self.show(number)
