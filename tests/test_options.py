"""An option is declared once: what follows from the declaration, for every command."""

import dataclasses
import inspect
import re
import subprocess
import sys
from typing import Annotated

import pytest
from commands import defaults, invoke, typed

import ntklin
from ntklin.apps.cli.app import COMMANDS
from ntklin.apps.options import shared
from ntklin.apps.options.declared import checked, declarations, read, single_options, told, words
from ntklin.apps.options.mitigation import MitigationSettings
from ntklin.apps.options.option import CHANGED, NEVER, Option
from ntklin.apps.options.scale import ScaleSettings
from ntklin.apps.options.study import StudySettings
from ntklin.apps.study.factors import KINDS

# What has no default.
NEEDED = {"ntklin.apps.cli.figure": {"figures": ["1"]}}
every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


def spelled(options, values, given=("1",)):
    """What would be typed to get these values again, by name of the option."""
    by_flag = {one.option.flag_of(one.name): one for one in single_options(options)}
    found, left = {}, [word for word in words(options, values) if word not in given]
    while left:
        one = by_flag[left.pop(0)]
        found[one.name] = True if one.kind is bool else left.pop(0)
    return found


def as_typed(one, text):
    """A word of the command line as the command gets it."""
    if one.option.read or not isinstance(text, str):
        return text
    return {int: int, float: float}.get(one.kind, str)(text)


@every_command
def test_defaults_repeat_themselves(command):
    """Read, spelled out and read again."""
    once = typed(command.Options, **NEEDED.get(command.__name__, {}))
    by_name = {one.name: one for one in single_options(command.Options)}
    again = {
        name: as_typed(by_name[name], text) for name, text in spelled(command.Options, once).items()
    }
    assert typed(command.Options, **NEEDED.get(command.__name__, {}) | again) == once


@every_command
def test_names_and_flags_are_taken_once(command):
    found = list(single_options(command.Options))
    assert len({one.name for one in found}) == len(found)
    assert len({one.option.flag_of(one.name) for one in found}) == len(found)
    assert "debug" not in {one.name for one in found}


@every_command
def test_values_have_names_in_the_help(command):
    for one in single_options(command.Options):
        name = one.option.metavar
        assert (name == "") == (one.kind is bool), one.name
        assert name == name.upper(), one.name


def test_seeds_of_data_are_checked_where_they_are_declared():
    """Others are by the networks that they draw."""
    (option,) = shared.DataSeed.__metadata__
    with pytest.raises(ValueError, match="data_seed must be at least 0"):
        option.check(-1, "data_seed")


@every_command
def test_defaults_pass_their_checks(command):
    for one in single_options(command.Options):
        if one.option.check is not None and isinstance(one.default, str | int | float):
            one.option.check(one.default, one.name)


@every_command
def test_checks_name_the_option_and_the_value_that_they_refuse(command):
    for one in single_options(command.Options):
        if one.option.check is not None:
            value = (object(),) if "tuple" in str(one.kind) else object()
            with pytest.raises((TypeError, ValueError), match=rf"^{one.name}\b.*\bobject\b"):
                one.option.check(value, one.name)


def test_forms_of_schedules_name_their_numbers():
    for make, numbers in KINDS.values():
        names = re.fullmatch(r"([A-Z]+)\[:([A-Z]+)\]", numbers).groups()
        parameters = list(inspect.signature(make).parameters)
        assert [name.lower() for name in names] == parameters


@pytest.mark.parametrize("settings", [StudySettings, MitigationSettings, ScaleSettings])
def test_no_digit_is_lost_in_the_command_that_repeats_a_run(settings):
    kinds = (float, float | None)
    numbers = {one.name: 0.1234567890123456 for one in declarations(settings) if one.kind in kinds}
    assert numbers.keys() & {"until", "ridge"}
    found = words(settings, settings(**numbers))
    assert found.count("0.1234567890123456") == len(numbers)


@pytest.mark.parametrize("settings", [StudySettings, MitigationSettings, ScaleSettings])
@pytest.mark.parametrize("name", ["dtype", "activation", "scaling"])
def test_words_are_some_of_a_few(settings, name):
    with pytest.raises(ValueError, match=rf"^{name} must be one of .*, got 'float16'"):
        checked(settings, settings(**{name: "float16"}))


@pytest.mark.parametrize("settings", [StudySettings, MitigationSettings, ScaleSettings])
def test_what_is_not_typed_is_the_default(settings):
    assert read(settings, defaults(settings)) == settings()


@pytest.mark.parametrize(
    ("settings", "functions"),
    [
        (StudySettings, [ntklin.MLP]),
        (MitigationSettings, [ntklin.MLP, ntklin.mitigate_initialization]),
        (ScaleSettings, [ntklin.MLP]),
    ],
)
def test_defaults_are_those_of_the_library(settings, functions):
    known = [inspect.signature(function).parameters for function in functions]
    library = {name: one.default for parameters in known for name, one in parameters.items()}
    own = {field.name: field.default for field in dataclasses.fields(settings)}
    both = own.keys() & library.keys()
    assert {"activation", "scaling", "bias"} <= both
    assert {name: own[name] for name in both} == {name: library[name] for name in both}


@pytest.mark.parametrize("settings", [StudySettings, MitigationSettings, ScaleSettings])
def test_what_a_result_depends_on_has_a_panel_in_the_help(settings):
    assert [one.name for one in single_options(settings) if not one.option.panel] == []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Warmed(StudySettings):
    """A study with one option more."""

    warm_up: Annotated[
        int | None,
        Option(
            metavar="N",
            panel="Training",
            help="Steps before the first.",
            check=lambda value, name: abs(value),
            unset="no warm-up",
        ),
    ] = None


def test_one_declaration_is_all_that_an_option_needs():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        study: Warmed

    options = typed(Options, warm_up=-3)
    assert options.study.warm_up == -3
    assert words(Options, options)[-2:] == ["--warm-up", "-3"]
    assert checked(Warmed, options.study)["warm_up"] == 3
    assert told(Warmed, {"warm_up": None, "other": None}) == {
        "warm_up": "no warm-up",
        "other": None,
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Few:
    """One option of each kind."""

    names: Annotated[list | None, Option(help="", is_argument=True)] = None
    fast: Annotated[bool, Option(help="")] = False
    train: Annotated[bool, Option(help="", also="--no-train")] = True
    device: Annotated[str, Option(help="", repeated=CHANGED)] = "cpu"
    threads: Annotated[int | None, Option(help="", repeated=NEVER)] = None
    limit: Annotated[int | None, Option(help="", flag="--most")] = None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"names": ["a", "b"], "fast": True}, ["a", "b", "--fast"]),
        ({"train": False, "device": "gpu", "threads": 3}, ["--no-train", "--device", "gpu"]),
        ({"limit": 7}, ["--most", "7"]),
    ],
)
def test_what_the_command_that_repeats_a_run_spells_out(values, expected):
    assert words(Few, Few(**values)) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (False, "no"),
        ((0.5, 2.0), "0.5, 2"),
        (["a", "b"], "a, b"),
        ((), "none"),
        (3, 3),
    ],
)
def test_what_a_page_says_of_a_value(value, text):
    assert told(Few, {"limit": value}) == {"limit": text}


def test_declarations_load_nothing_heavy(tmp_path):
    script = """
import sys
import ntklin.apps.options.declared, ntklin.apps.options.mitigation, ntklin.apps.options.study
print([name for name in ("numpy", "numba", "typer", "rich") if name in sys.modules])
"""
    shown = subprocess.check_output([sys.executable, "-c", script], text=True, cwd=tmp_path)
    assert shown == "[]\n"


@every_command
def test_every_option_is_in_the_help(command):
    name = command.__name__.rpartition(".")[2]
    shown = invoke(name, "--help").output
    for one in single_options(command.Options):
        flag = one.option.metavar if one.option.is_argument else one.option.flag_of(one.name)
        assert flag in shown, flag
