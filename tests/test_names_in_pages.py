"""What README and docs/ name is there: commands with their options, files, attributes."""

import functools
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from commands import invoke
from fuzz.words import Reached, no_work, options_of
from packaging.requirements import Requirement
from test_release import PROJECT

import ntklin

ROOT = Path(__file__).resolve().parents[1]
# The changelog is of every version.
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
# What comes from elsewhere, or with an extra of pyproject.toml.
OF_OTHERS = {
    *("basedpyright", "cd", "check-wheel-contents", "dask", "git", "mkdocs", "pre-commit"),
    *("python3", "python3.11", "rattler-build", "ruff", "twine"),
}
OURS = ("ntklin", "pytest", "python", "pip")
# Stands for a name of the reader's, or for more words.
PLACEHOLDER = re.compile(r"…|\.\.\.|\b[A-Z]{3,}\b|^https?:")


def typed():
    """Each command line with the page that has it: of sh blocks, and those within sentences."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.M | re.S):
            for line in block.splitlines():
                for part in line.split("&&"):
                    if words := shlex.split(part, comments=True):
                        yield page.name, tuple(words)
        for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
            if span.startswith(tuple(f"{name} " for name in OURS)):
                yield page.name, tuple(shlex.split(span))


def bare(words):
    """The command line without settings of the environment, ``nice`` and the folder of Python."""
    while "=" in words[0] or words[0] in {"nice", "-n", "19"}:
        words = words[1:]
    return (words[0].removeprefix(".venv/bin/"), *words[1:])


COMMANDS = sorted({(page, bare(words)) for page, words in typed()})


def of(program):
    """The words behind a program's name, wherever it is called."""
    found = {words[1:] for _, words in COMMANDS if words[0] == program}
    return [pytest.param(words, id=" ".join(words) or "alone") for words in sorted(found)]


def test_command_lines_are_found():
    assert ("scale.md", ("ntklin", "scale", "--n", "60000", "--n-test", "10000")) in COMMANDS
    assert ("theory.md", ("ntklin", "mitigate", "--half-life")) in COMMANDS
    assert ("releasing.md", ("twine", "check", "--strict", "dist/*")) in COMMANDS
    assert {words[0] for _, words in COMMANDS} <= OF_OTHERS | set(OURS)


def flags(one):
    return filter(None, (one.option.flag_of(one.name), one.option.also))


def is_whole(command, words):
    """Whether it would run as it stands, anywhere."""
    options = options_of(command)
    valued = {flag for one in options if one.kind is not bool for flag in flags(one)}
    needs_more = words[-1:] and words[-1] in valued  # a sentence about an option
    needs_more = needs_more or (command == "figure" and not words)
    # Pictures that are drawn from what is there, and a card.
    needs_files = {"--plot", "--replot", "gpu"} & set(words)
    return not (needs_more or needs_files or any(map(PLACEHOLDER.search, words)))


@pytest.mark.parametrize("words", of("ntklin"))
def test_ntklin_takes_them(words, monkeypatch):
    command, *rest = words
    if words == ("scale", "--device", "gpu"):
        pytest.skip("the page says that there is no such thing")
    known = {flag for one in options_of(command) for flag in flags(one)} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known
    if not is_whole(command, rest):
        return
    if command == "scale":  # so many samples take seconds
        monkeypatch.setattr("ntklin.data.load_data", Mock(side_effect=Reached))
    with no_work():
        try:
            done = invoke(command, *rest)
        except Reached:
            return
    assert done.exit_code == 0, done.output


@functools.cache
def sources(folder):
    return "".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.py")))


@pytest.mark.parametrize("words", of("python"))
def test_scripts_and_modules_are_there(words):
    if words[0] == "-m":
        name = words[1]
        if name == "build":
            return
        here = ROOT / "tests" / name
        if here.is_dir():
            text = sources(here)
        else:
            spec = find_spec(name)
            assert spec is not None
            text = Path(spec.origin).read_text("utf-8")
        rest = words[2:]
    else:
        script = ROOT / words[0]
        text = sources(script) if script.is_dir() else script.read_text("utf-8")
        rest = words[1:]
    for word in rest:
        if word.startswith("--"):
            assert f'"{word}"' in text, word


@pytest.mark.parametrize("words", of("pytest"))
def test_tests_are_there(words):
    for word in words:
        if word.endswith(".py"):
            assert (ROOT / word).is_file(), word
        for package in re.findall(r"--cov=(\w+)", word):
            assert (ROOT / package).is_dir()


@pytest.mark.parametrize("words", of("pip"))
def test_extras_are_there(words):
    for word in words[1:]:
        if re.match(r"(ntklin|\.)\[", word):
            extras = Requirement(word.replace(".", "ntklin", 1)).extras
            assert extras <= PROJECT["optional-dependencies"].keys()
        elif word.startswith("tests/"):
            assert (ROOT / word).is_file()


NAMED = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|cuh?|toml|yaml|cff)|(?:[\w.-]+/)+)`")
# Of the reader's folders, and of what commands write there.
WRITTEN = {"build/mutation/", "checkpoint/", "runs/", "unfinished/", "verdicts/"}
WRITTEN |= {"ntklin-minimizer/", "peer_torch.py", "peer_jax.py", "peer_numpy.py"}

FILES = {"run.json"}


@functools.cache
def tracked():
    folders = ("docs", "kernels", "ntklin", "recipe", "tests", "validation", ".ci", ".github")
    inner = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {f"/{path.relative_to(ROOT).as_posix()}" for path in (*ROOT.iterdir(), *inner)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_sentences_name_are_there(page):
    for name in set(NAMED.findall(page.read_text("utf-8"))) - WRITTEN:
        ending = f"/{name.rstrip('/')}"
        assert any(path.endswith(ending) for path in tracked()), name


@pytest.fixture(scope="module")
def objects():
    """What pages call ``m``, ``gd`` and the like; several where a name stands for several."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((4, 3)) / 4, rng.standard_normal(4)
    net = ntklin.MLP((3, 20, 1))
    theta = net.init(rng=0)
    lin = ntklin.linearize(net, theta, X)
    gd, moments = lin.gradient_descent(Y), lin.moments(Y, 0.1, batch_size=2)
    adam, data = ntklin.Adam(0.1), ntklin.load_data("mnist01", n_train=2, n_test=2)
    return {
        "ntklin": [ntklin],
        "net": [net],
        "phi": [lin.features],
        "lin": [lin],
        "m": [lin.minimizer(Y)],
        "gd": [gd, gd.by_products(1)],
        "moments": [moments],
        "run": [lin.train(Y, adam, steps=1), ntklin.train(net, theta, X, Y, steps=1)],
        "optimizer": [adam],
        "data": [data],
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_attributes_that_sentences_name_are_there(page, objects):
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text("utf-8"))
    pattern = rf"(?<![\w./\"])({'|'.join(objects)})\.([A-Za-z_]\w*)"
    for owner, name in {found for span in spans for found in re.findall(pattern, span)}:
        if f"{owner}.{name}" in FILES:
            continue
        assert any(hasattr(one, name) for one in objects[owner]), f"{owner}.{name}"
