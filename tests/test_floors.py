"""tests/floors.txt has the lowest version of each package that pyproject.toml allows."""

import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONSTRAINTS = (ROOT / "tests" / "floors.txt").read_text("utf-8")


def bounds(project):
    """(name, lowest version) of every requirement, those of extras and of the build too."""
    extras = project["project"]["optional-dependencies"].values()
    lists = (project["build-system"]["requires"], project["project"]["dependencies"], *extras)
    for requirement in map(Requirement, chain(*lists)):
        # One lower bound and nothing else: neither pins nor caps, which users could not lift.
        (specifier,) = requirement.specifier
        assert specifier.operator == ">=", requirement
        yield canonicalize_name(requirement.name), Version(specifier.version)


def floors(constraints):
    """(name, version) of every line that is not a comment."""
    lines = (line.partition("#")[0].strip() for line in constraints.splitlines())
    for requirement in map(Requirement, filter(None, lines)):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        yield canonicalize_name(requirement.name), Version(specifier.version)


def differences(project, constraints):
    """What one of the two has and the other one has not."""
    return set(bounds(project)) ^ set(floors(constraints))


def test_the_floors_are_the_lower_bounds():
    assert differences(PROJECT, CONSTRAINTS) == set()


def test_every_package_has_one_floor():
    names = [name for name, _ in floors(CONSTRAINTS)]
    assert len(set(names)) == len(names)


def test_a_bound_that_moved_is_seen():
    assert differences(PROJECT, CONSTRAINTS.replace("numpy==2.0.0", "numpy==2.0.1")) == {
        ("numpy", Version("2.0")),
        ("numpy", Version("2.0.1")),
    }
    assert differences(PROJECT, CONSTRAINTS.replace("rich==13.0.0", "")) == {
        ("rich", Version("13"))
    }


def test_checks_and_types_are_those_of_the_lowest_python():
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert PROJECT["tool"]["pyright"]["pythonVersion"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")
