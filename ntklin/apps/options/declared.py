"""What follows from the declarations: values of what was typed, checks, a command that repeats.

A field of a dataclass of options is one option, or a group of them: a field whose type is another
such dataclass, or whose annotation names one. Of the latter kind is a value that takes several
options to type, as the widths of the layers do. Its group makes the value of what was typed
(``value()``), checks it (``check(value, name)``) and makes words of it (``words(value)``).
"""

from dataclasses import MISSING, dataclass, fields
from typing import Annotated, get_args, get_origin, get_type_hints

from ntklin.apps.options.option import Option


@dataclass(frozen=True)
class Declaration:
    """A field: an option or a group of options.

    Attributes
    ----------
    name : str
    kind : type
        Of the value.
    default : object
        ``dataclasses.MISSING`` where one has to be typed.
    option : Option or None
    group : type or None
    """

    name: str
    kind: object
    default: object
    option: Option | None
    group: type | None


def declarations(options):
    """The fields of a dataclass of options, as Declarations."""
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        kind, *extras = hints[field.name], hints[field.name]
        if get_origin(kind) is Annotated:
            kind, *extras = get_args(kind)
        option = next((extra for extra in extras if isinstance(extra, Option)), None)
        group = None if option else next(extra for extra in extras if isinstance(extra, type))
        yield Declaration(field.name, kind, field.default, option, group)


def single_options(options):
    """The declarations of all options, those of groups in their places."""
    for one in declarations(options):
        if one.option:
            yield one
        else:
            yield from single_options(one.group)


def typed_default(one):
    """What would be typed for the default of an option."""
    unread = one.option.read is None or one.default in (None, MISSING)
    return one.default if unread else one.option.write(one.default)


def read(options, typed):
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


def _value(one, typed):
    if one.option is None:
        group = read(one.group, typed)
        return group if one.group is one.kind else group.value()
    value = typed[one.name]
    if one.option.read is None or value is None:
        return value
    return one.option.read(value, one.option.flag_of(one.name))


def words(options, values):
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
    found = []
    for one in declarations(options):
        value = getattr(values, one.name)
        if one.option:
            found += one.option.words(one.name, value, one.default)
        elif one.group is one.kind:
            found += words(one.group, value)
        else:
            found += one.group.words(value)
    return found


def checked(options, values, *, by_flag=False):
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
        check = (one.option or one.group).check
        if check is not None:
            name = one.option.flag_of(one.name) if by_flag else one.name
            found[one.name] = check(getattr(values, one.name), name)
    return found


def told(options, values):
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
    names = {one.name: one.option for one in declarations(options)}
    return {
        name: _told(value, names[name]) if name in names else value
        for name, value in values.items()
    }


def _told(value, option):
    if value is None:
        return option.unset
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        texts = (item if isinstance(item, str) else format(item, "g") for item in value)
        return ", ".join(texts) or "none"
    return value
