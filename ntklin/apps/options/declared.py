"""What follows from the declarations: values of what was typed, checks, a command that repeats.

A field of a dataclass of options is one option, or a group of them: a field whose type is another
such dataclass, or whose annotation names one. Of the latter kind is a value that takes several
options to type, as the widths of the layers do. Its group makes the value of what was typed
(``value()``), checks it (``check(value, name)``) and makes words of it (``words(value)``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ntklin.apps.options.option import Option


@dataclass(frozen=True)
class Single:
    """A field that is an option.

    Attributes
    ----------
    name : str
    kind : type
        Of the value.
    default : object
        ``dataclasses.MISSING`` where one has to be typed.
    option : Option
    """

    name: str
    kind: Any
    default: Any
    option: Option


@dataclass(frozen=True)
class Group:
    """A field that is a group of options.

    Attributes
    ----------
    name : str
    kind : type
        Of the value: the group itself, or what it makes of the texts.
    options : type
        The group's dataclass.
    """

    name: str
    kind: Any
    options: Any


def declarations(options: type) -> Iterator[Single | Group]:
    """The fields of a dataclass of options."""
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        kind, *extras = hints[field.name], hints[field.name]
        if get_origin(kind) is Annotated:
            kind, *extras = get_args(kind)
        option = next((extra for extra in extras if isinstance(extra, Option)), None)
        if option is None:
            yield Group(field.name, kind, next(one for one in extras if isinstance(one, type)))
        else:
            yield Single(field.name, kind, field.default, option)


def single_options(options: type) -> Iterator[Single]:
    """The declarations of all options, those of groups in their places."""
    for one in declarations(options):
        if isinstance(one, Single):
            yield one
        else:
            yield from single_options(one.options)


def typed_default(one: Single) -> Any:
    """What would be typed for the default of an option."""
    unread = one.option.read is None or one.default in (None, MISSING)
    return one.default if unread else one.option.write(one.default)


def read(options: type, typed: Mapping[str, Any]) -> Any:
    """The options that were typed.

    Parameters
    ----------
    options : type
        A dataclass of options.
    typed : dict
        By the names of the options' fields: texts for those that are read, else values.

    Returns
    -------
    options

    Raises
    ------
    ValueError
        For a text that cannot be read.
    """
    return options(**{one.name: _value(one, typed) for one in declarations(options)})


def _value(one: Single | Group, typed: Mapping[str, Any]) -> Any:
    if isinstance(one, Group):
        group = read(one.options, typed)
        return group if one.options is one.kind else group.value()
    value = typed[one.name]
    if one.option.read is None or value is None:
        return value
    return one.option.read(value, one.option.flag_of(one.name))


def words(options: type, values: object) -> list[str]:
    """The words of the command line that give these values again, defaults spelled out.

    Parameters
    ----------
    options : type
        A dataclass of options.
    values : object
        With its fields' values as attributes.

    Returns
    -------
    list of str
    """
    found: list[str] = []
    for one in declarations(options):
        value = getattr(values, one.name)
        if isinstance(one, Single):
            found += one.option.words(one.name, value, one.default)
        elif one.options is one.kind:
            found += words(one.options, value)
        else:
            found += one.options.words(value)
    return found


def checked(options: type, values: object, *, by_flag: bool = False) -> dict[str, Any]:
    """The values after their checks, by name; those without a check are left out.

    Parameters
    ----------
    options : type
        A dataclass of options.
    values : object
        With its fields' values as attributes.
    by_flag : bool
        Whether messages shall name the flag, and not the field.

    Returns
    -------
    dict of str to object
    """
    found = {}
    for one in declarations(options):
        single = isinstance(one, Single)
        check = one.option.check if single else one.options.check
        if check is not None:
            name = one.option.flag_of(one.name) if single and by_flag else one.name
            found[one.name] = check(getattr(values, one.name), name)
    return found


def told(options: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as texts for a report's page.

    Parameters
    ----------
    options : type
        A dataclass of options.
    values : dict
        By name; others than the options' are left as they are.

    Returns
    -------
    dict of str to object
    """
    known = {one.name: one.option for one in declarations(options) if isinstance(one, Single)}
    return {
        name: _told(value, known[name]) if name in known else value
        for name, value in values.items()
    }


def _told(value: Any, option: Option) -> Any:
    if value is None:
        return option.unset
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        texts = (item if isinstance(item, str) else format(item, "g") for item in value)
        return ", ".join(texts) or "none"
    return value
