"""An option: how it is typed, shown, read, checked and repeated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ALWAYS, CHANGED, NEVER = "always", "changed", "never"


@dataclass(frozen=True, kw_only=True)
class Option:
    r"""All that is said of an option beside its name, its type and its default.

    Those are the field's that is annotated with it: ``until: Annotated[float, Option(…)] = 1e-5``.

    Attributes
    ----------
    help : str
        A sentence or two. ``[…]`` is markup, ``\[`` a bracket.
    metavar : str
        What stands for the value in the help; none for what is on or off.
    panel : str, optional
        Under which heading of the help; under "Options" when not given.
    flag : str, optional
        ``--n-train`` for a field ``n_train``, when not given.
    also : str
        Another flag: a short one, or one that turns off what is on by default.
    is_argument : bool
        Whether it is typed without a flag.
    read : callable, optional
        ``read(text, flag)`` makes the value of the text that was typed, or refuses it with a
        ValueError. When not given, numbers and texts are taken as they are.
    write : callable
        ``write(value)`` is the text that would be read as this value.
    check : callable, optional
        ``check(value, name)`` returns the value that counts, or refuses it. It may load anything:
        it is called when a command runs.
    unset : str
        What None means, on a report's page.
    repeated : {"always", "changed", "never"}
        Whether the command that repeats a run spells it out: always, even by default; if it is
        not the default; never, as what changes no result. None is never spelled out.
    """

    help: str
    metavar: str = ""
    panel: str | None = None
    flag: str | None = None
    also: str = ""
    is_argument: bool = False
    read: Callable[[str, str], object] | None = None
    write: Callable[[Any], str] = str
    check: Callable[[Any, str], object] | None = None
    unset: str = ""
    repeated: Literal["always", "changed", "never"] = ALWAYS

    def flag_of(self, name: str) -> str:
        """The flag of a field of this name."""
        return self.flag or f"--{name.replace('_', '-')}"

    def words(self, name: str, value: Any, default: object) -> list[str]:
        """The words of the command line that give this value again.

        Parameters
        ----------
        name : str
            The field's.
        value, default : object

        Returns
        -------
        list of str
        """
        if value is None or self.repeated == NEVER:
            return []
        if isinstance(value, bool):
            on_or_off = self.flag_of(name) if value else self.also
            return [] if value == default else [on_or_off]
        if self.repeated == CHANGED and value == default:
            return []
        return list(value) if self.is_argument else [self.flag_of(name), self.write(value)]
