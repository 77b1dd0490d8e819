"""Rules for all dataclasses of the library, public or not."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ntklin
from ntklin.edge.arrays import Array
from ntklin.runs.optimizer import Optimizer

CHANGING = {"Rates"}  # keeps what it has measured
# Public ones that users make, where the order of the fields is clear; all others are results,
# which may get more fields between those that they have.
MADE_BY_USERS = {"MLP", "InfiniteMLP", "Activation", "Batches", "Dataset", "LowRank"}
# Made by names so far, but short.
MAYBE_BY_ORDER = {"Columns", "Remote"}


def classes():
    """All dataclasses, by module and name."""
    found = {}
    for info in pkgutil.walk_packages(ntklin.__path__, "ntklin."):
        if info.name.startswith(("ntklin.validation", "ntklin.kernels.gpu", "ntklin.__main__")):
            continue
        module = importlib.import_module(info.name)
        for name, thing in inspect.getmembers(module, inspect.isclass):
            if thing.__module__ == info.name and "__dataclass_params__" in vars(thing):
                found[f"{info.name}.{name}"] = thing
    return found


CLASSES = classes()


def holds_arrays(cls):
    """Whether a field that ``==`` looks at is an array or may be one."""
    kinds = [str(field.type) for field in dataclasses.fields(cls) if field.compare]
    values = [kind for kind in kinds if "Callable" not in kind]
    return any(re.search(r"NDArray|ndarray|\bArray\b", kind) for kind in values)


def by_name():
    return pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)


@by_name()
def test_nothing_changes_once_it_is_made(cls):
    assert cls.__dataclass_params__.frozen or cls.__name__ in CHANGING


@by_name()
def test_flags_are_booleans(cls):
    params = cls.__dataclass_params__
    names = [name for name in params.__slots__ if isinstance(getattr(params, name), bool)]
    assert {"init", "repr", "eq", "order", "unsafe_hash", "frozen"} <= set(names)
    assert all(isinstance(field.kw_only, bool) for field in dataclasses.fields(cls))


@by_name()
def test_what_is_kept_for_later_is_nobodys_argument(cls):
    kept = (f for f in dataclasses.fields(cls) if f.default_factory is not dataclasses.MISSING)
    for field in kept:
        if field.name.startswith("_") and cls.__name__ not in CHANGING:
            assert field.init is False, field.name
            assert not field.repr, field.name


@by_name()
def test_what_holds_arrays_is_compared_as_an_object(cls):
    """Their ``==`` is an array, of which no ``bool`` can be taken, and they have no hash."""
    if holds_arrays(cls):
        assert not cls.__dataclass_params__.eq
        one = object.__new__(cls)
        assert one == one
        assert hash(one) is not None


@by_name()
def test_defaults_are_of_their_fields_types(cls):
    for field in dataclasses.fields(cls):
        kind = field.type if isinstance(field.type, str) else repr(field.type)
        if kind.startswith("shared."):  # an option that several commands have
            continue
        if field.default is None:
            assert "None" in kind or "Any" in kind, field.name
        elif isinstance(field.default, str) and not field.default:
            assert "str" in kind, field.name
        elif isinstance(field.default, bool):
            assert "bool" in kind, field.name


def test_public_results_are_made_by_names_alone():
    public = {name: getattr(ntklin, name) for name in ntklin.__all__}
    results = {
        name: thing
        for name, thing in public.items()
        if dataclasses.is_dataclass(thing) and inspect.isclass(thing)
    }
    bases = (ntklin.MLP, Optimizer, ntklin.Schedule, ntklin.Stop)
    for name, cls in results.items():
        if name not in MADE_BY_USERS and not issubclass(cls, bases):
            kinds = [field.kw_only for field in dataclasses.fields(cls) if field.init]
            assert all(kinds), name


CLASS_OR_CALL = re.compile(
    r"^class (\w+)|\b(type\(self\)|\w+)\((?!\s*(\w+=[^=]|\*\*|\)))", re.MULTILINE
)


def made_by_order():
    """What the library calls with a first argument that has no name."""
    for path in Path(ntklin.__file__).parent.rglob("*.py"):
        owner = None
        for found in CLASS_OR_CALL.finditer(path.read_text("utf-8")):
            owner = found[1] or owner
            yield owner if found[2] in ("cls", "type(self)") else found[2]


def test_what_is_always_made_by_names_can_be_made_by_names_alone():
    free = {*made_by_order(), *ntklin.__all__, *MAYBE_BY_ORDER}
    for where, cls in CLASSES.items():
        if cls.__name__ not in free:
            assert all(field.kw_only for field in dataclasses.fields(cls) if field.init), where


def test_the_rule_about_arrays_sees_what_it_forbids():
    @dataclasses.dataclass(frozen=True)
    class Held:
        values: np.ndarray

    @dataclasses.dataclass(frozen=True)
    class Named:
        values: "Array | None"

    @dataclasses.dataclass(frozen=True)
    class Computed:
        values: "Callable[[Array], Array]"

    assert [holds_arrays(cls) for cls in (Held, Named, Computed)] == [True, True, False]
    with pytest.raises(TypeError, match="unhashable"):
        hash(Held(np.ones(2)))
