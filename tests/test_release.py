"""What surrounds a release says one thing: versions, dependencies, citation, recipe, workflows."""

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest
from conftest import POSIX_ONLY
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import ntklin

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PAPER = "https://arxiv.org/abs/2011.02408"
# Conda's names of the same packages.
ON_CONDA = {"matplotlib": "matplotlib-base"}


NOT_ON_WINDOWS = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}


def read(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def headings():
    """The versions of the changelog, the newest first: (version, date), None where undated."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = re.findall(r"^## (.*)$", text, re.M)
    return [(name, date or None) for name, _, date in (line.partition(" - ") for line in found)]


def test_the_newest_heading_is_undated_or_of_this_version():
    (newest, date), *others = headings()
    assert (newest, date) == ("Unreleased", None) or newest == ntklin.__version__
    days = [day for _, day in headings() if day is not None]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days)
    assert days == sorted(days, reverse=True)
    assert len(others) == sum(1 for name, day in others if day and re.fullmatch(r"[\d.]+", name))


def test_the_version_is_the_same_everywhere():
    recipe = read("recipe/recipe.yaml")
    assert read("CITATION.cff")["version"] == ntklin.__version__
    assert recipe["context"]["version"] == ntklin.__version__
    assert recipe["package"]["version"] == "${{ version }}"


def test_the_citation_is_complete():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    (paper,) = citation["references"]
    assert [person["family-names"] for person in paper["authors"]] == [
        "Nonnenmacher",
        "Reeb",
        "Steinwart",
    ]
    assert paper["url"] == PROJECT["urls"]["Paper"] == PAPER
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"({PAPER}) ({paper['year']})" in readme
    assert PAPER.rpartition("/")[2].startswith(f"{paper['year'] % 100}")  # the year of its number
    assert paper["title"] in readme


def test_the_recipe_needs_what_the_project_needs():
    recipe = read("recipe/recipe.yaml")
    wanted = {"python": SpecifierSet(PROJECT["requires-python"])}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        wanted[ON_CONDA.get(requirement.name, requirement.name)] = requirement.specifier
    found = (line.split() for line in recipe["requirements"]["run"])
    assert {name: SpecifierSet(versions) for name, versions in found} == wanted
    (script,) = recipe["build"]["python"]["entry_points"]
    assert script.split(" = ") == [*PROJECT["scripts"], *PROJECT["scripts"].values()]
    assert recipe["about"]["license_file"] == PROJECT["license-files"]
    assert recipe["about"]["summary"] == PROJECT["description"]


def test_extras_name_packages_and_the_least_version():
    for requirements in PROJECT["optional-dependencies"].values():
        for requirement in map(Requirement, requirements):
            assert [spec.operator for spec in requirement.specifier] == [">="], requirement


def test_what_error_messages_tell_to_install_is_there():
    texts = [path.read_text("utf-8") for path in (ROOT / "ntklin").rglob("*.py")]
    named = {extra for text in texts for extra in re.findall(r"ntklin\[(\w+)\]", text)}
    assert named
    assert named <= PROJECT["optional-dependencies"].keys()


def test_the_workflow_runs_in_a_fork():
    text = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert "secrets." not in text
    assert workflow["permissions"] == {"contents": "read"}
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert f">={matrix['python'][0]}" == PROJECT["requires-python"]
    assert all(isinstance(version, str) for version in matrix["python"])  # 3.10 is no number
    extras = set(re.findall(r'"\.\[(\w+)\]"', text))
    assert extras <= PROJECT["optional-dependencies"].keys()


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_templates_ask_each_thing_once(name):
    template = read(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= template.keys()
    fields = [field["id"] for field in template["body"]]
    assert len(fields) == len(set(fields))
    assert all(field["attributes"]["label"] for field in template["body"])


def test_hooks_are_pinned():
    for repository in read(".pre-commit-config.yaml")["repos"]:
        assert re.fullmatch(r"v\d+\.\d+\.\d+", repository["rev"])


def imported(path):
    """The modules that a file imports when it is loaded."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@functools.cache
def needs_posix(path):
    """Whether a file, or one of the tests' own that it imports, needs what Windows lacks."""
    here = path.parents[len(path.relative_to(ROOT).parts) - 2]
    names = imported(path)
    files = (here / f"{name.replace('.', '/')}.py" for name in names)
    return not names.isdisjoint(NOT_ON_WINDOWS) or any(
        needs_posix(file) for file in files if file.is_file()
    )


@pytest.mark.once
def test_windows_leaves_out_the_tests_that_it_cannot_load():
    tests = sorted((ROOT / "tests").glob("test_*.py"))
    assert [path.name for path in tests if needs_posix(path)] == POSIX_ONLY


@pytest.mark.parametrize("folder", ["ntklin", "kernels", "validation"])
def test_the_library_can_be_loaded_on_windows(folder):
    needing = {path for path in (ROOT / folder).rglob("*.py") if needs_posix(path)}
    # A script for the Python of another environment.
    assert needing <= {ROOT / "validation/benchmarks/jax_forms.py"}
