"""Values that no argument expects, by what is expected in their place."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

from fuzz.forms import FORMS
from fuzz.tables import ANYTHING, FUNCTIONS, NUMBERS


class Hostile(NamedTuple):
    """A value, made when it is needed, and how it is called in reports."""

    label: str
    make: Any


@dataclass(frozen=True, eq=False)
class Argument:
    """What is expected in an argument's place.

    Attributes
    ----------
    make : callable
        Without arguments; returns a value that is as it should be.
    kind : str
        "array", "count", "number", "text", "function" or "thing".
    words : tuple
        Other values that may be right.
    most, again : int or None
        Integers between are left out: they would be right, and only long work. From ``again`` on
        they have to be refused at once.
    unless : callable
        Values for which it holds are left out, for the same reason.
    """

    make: Callable[[], Any]
    kind: str = "thing"
    words: tuple = ()
    most: int | None = None
    again: int | None = None
    unless: Callable[[Any], bool] | None = None


def is_long(value, argument):
    """Whether a value is taken for an integer of long work, if it is taken for one at all."""
    if argument.most is None:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size = value if isinstance(value, int) else float(value)
            return bool(argument.most < size) and not (
                argument.again is not None and size >= argument.again
            )
    except Exception:
        return False


def _admitted(argument, label, make):
    """A hostile value, unless it asks for long work."""
    if argument.most is None and argument.unless is None:
        return Hostile(label, make)
    try:
        value = make()
        refused = is_long(value, argument) or (
            argument.unless is not None and bool(argument.unless(value))
        )
    except Exception:
        refused = False
    return None if refused else Hostile(label, make)


def _else_none(argument, label, make):
    """A hostile value, or None in the place of one that asks for long work."""
    return _admitted(argument, label, make) or Hostile("None", lambda: None)


def _pool(choices, argument):
    found = (_admitted(argument, label, make) for label, make in choices.items())
    return st.sampled_from([one for one in found if one is not None])


def _formed(argument, forms, name):
    def form(change):
        label, convert = change
        return _else_none(argument, f"{name}: {label}", lambda: convert(argument.make()))

    return st.sampled_from(sorted(forms)).map(lambda label: form((label, forms[label])))


def _twice_formed(argument):
    """Two changes, one after the other, as of the type and of the shape."""
    kinds = st.lists(st.sampled_from(sorted(FORMS)), min_size=2, max_size=2, unique=True)

    def pair(names):
        one, two = (FORMS[name] for name in names)
        return st.tuples(st.sampled_from(sorted(one)), st.sampled_from(sorted(two))).map(
            lambda both: _else_none(
                argument,
                f"{both[0]}, then {both[1]}",
                lambda: two[both[1]](one[both[0]](argument.make())),
            )
        )

    return kinds.flatmap(pair)


def _drawn(strategy, argument):
    return strategy.map(lambda value: _else_none(argument, repr(value)[:60], lambda: value))


@functools.cache
def values(argument):
    """Hostile values in an argument's place.

    Parameters
    ----------
    argument : Argument

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Hostile
    """
    found = [_pool(ANYTHING, argument)]
    if argument.kind == "array":
        found += [_formed(argument, forms, name) for name, forms in FORMS.items()]
        found += [_twice_formed(argument)] * 2
    if argument.kind in ("number", "count"):
        found += [_pool(NUMBERS, argument)] * 2
        found += [_drawn(st.floats(), argument), _drawn(st.integers(), argument)]
    if argument.kind == "text":
        found += [_drawn(st.text(max_size=8), argument)]
    if argument.kind == "function":
        found += [_pool(FUNCTIONS, argument)] * 2
    if argument.words:
        found += [_pool(_labelled(argument.words), argument)] * 2
    return st.one_of(found)


def each(argument):
    """All hostile values in an argument's place that are listed, each changed in one way alone.

    Parameters
    ----------
    argument : Argument

    Yields
    ------
    Hostile
    """
    listed = ANYTHING | (_labelled(argument.words) if argument.words else {})
    if argument.kind == "array":
        for name, forms in FORMS.items():
            for label, convert in forms.items():
                listed[f"{name}: {label}"] = lambda convert=convert: convert(argument.make())
    for label, make in listed.items():
        found = _admitted(argument, label, make)
        if found is not None:
            yield found


def _labelled(words):
    """Values by their labels; those that are Hostile already have one."""
    found = {}
    for k, word in enumerate(words):
        label, make = repr(word)[:60], lambda word=word: word
        if isinstance(word, Hostile):
            label, make = word
        found[f"{label} ({k})" if label in found else label] = make
    return found
