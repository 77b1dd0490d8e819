"""The README's commands and example, and the links of all pages."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ntklin
from ntklin.apps.cli.app import app
from ntklin.validation.benchmarks import standings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
TOP = ("README.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
SMALLER = {
    "n_train=100, n_test=100": "n_train=4, n_test=3",
    "(784, 4000, 1)": "(784, 20, 1)",
    "1e-5": "1e-2",
    "AdaGrad(1e-3)": "AdaGrad(1e-2)",
}


def blocks(language):
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def run_example(source):
    """What the example prints, and its variables."""
    variables = {}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "README.md", "exec"), variables)
    return output.getvalue().splitlines(), variables


def test_the_two_commands_stand_alone():
    assert blocks("sh") == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/ntklin minimizer\n",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest -n 2\n",
    ]


def numbers(lines):
    """Their numbers, and the lines without them."""
    found = [re.findall(r"\d+\.\d+|\d{2,}", line) for line in lines]
    return [float(n) for line in found for n in line], [
        re.sub(r"\d+\.\d+|\d{2,}", "#", line) for line in lines
    ]


def test_the_example_runs():
    (source,) = blocks("python")
    assert len([line for line in source.splitlines() if line]) == 12
    for original, smaller in SMALLER.items():
        assert original in source
        source = source.replace(original, smaller)
    printed, variables = run_example(source)
    assert numbers(printed)[1] == numbers(blocks("text")[0].splitlines())[1]
    run, gd = variables["run"], variables["gd"]
    assert run.ended_by == "until"
    assert printed[0].startswith(f"{gd.steps_to(1e-2)} ")
    assert printed[1].startswith(f"{run.steps} ")


@pytest.mark.slow
def test_the_example_prints_what_the_page_shows():
    """To a per cent: another machine rounds otherwise."""
    (source,), (shown,) = blocks("python"), blocks("text")
    printed, _ = run_example(source)
    found, expected = numbers(printed), numbers(shown.splitlines())
    assert found[1] == expected[1]
    assert found[0] == pytest.approx(expected[0], rel=0.01)


def test_its_factors_of_speed_are_those_of_the_files():
    found = standings.read(sorted((ROOT / "docs" / "bench").glob("*.json")))
    best = {
        (one.work, one.n): min(ratio.quartiles[1] for ratio in one.ratios if ratio.rounds)
        for one in found.standings
        if (one.dtype, one.inputs) == ("float64", "gaussian")
    }
    pattern = (
        r"takes (\d+) times as long for a step .*, (\d+) times for the .* factor of ([\d.]+)\."
    )
    step, weighted, plain = map(float, re.search(pattern, README).groups())
    assert step == round(best["gd_step", 100])
    assert weighted == round(best["weighted_gram", 100])
    assert plain == round(best["gram", 1000], 1)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`ntklin (\w+)", README))))
def test_every_command_it_names_exists(command):
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0


@pytest.mark.parametrize("name", sorted(set(re.findall(r"ntklin\.([A-Za-z_]+)\b", README))))
def test_every_name_it_mentions_is_public(name):
    assert name in ntklin.__all__


def anchors(page):
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page):
    """Relative links of a page that lead nowhere; `f[n](x)` is code."""
    text = re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert list(broken_links(page)) == []


def test_the_link_check_sees_broken_links(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A & B\n[a](#a--b) [b](#c) [c](missing.md) [d](page.md#a--b) `e[n](f)`", "utf-8"
    )
    assert list(broken_links(page)) == ["#c", "missing.md"]


def test_every_page_is_reachable():
    reachable = set(re.findall(r"\]\((docs/\w+\.md)", README))
    assert reachable == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
