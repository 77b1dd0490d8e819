"""The gallery: every example runs and holds what it claims; pages are those of the scripts."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery"
PAGES = {path.stem for path in GALLERY.glob("*.md")} - {"index"}
NEEDS = {"dask_cluster": "distributed", "grid_search": "sklearn", "ten_digits": "sklearn"}
MOST_BYTES = 100_000


def builder():
    """The module docs/gallery/build.py, which no package holds."""
    spec = importlib.util.spec_from_file_location("gallery_builder", GALLERY / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


build = builder()


def fences(text, language):
    return re.findall(rf"^```{language}\n(.*?)\n```$", text, re.M | re.S)


def pictures(text):
    return re.findall(r"^!\[(.*)\]\((.*)\)$", text, re.M)


def page(name):
    return (GALLERY / f"{name}.md").read_text("utf-8")


@pytest.mark.compiled
@pytest.mark.parametrize("name", build.EXAMPLES)
def test_an_example_holds_what_it_claims(name):
    """At the size of the tests; the assertions are its own."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    drawn = []
    ran = build.run(name, lambda figure, file: drawn.append(file), small=True)
    found = build.page(name, ran)
    assert [f"images/{file}" for file in drawn] == [path for _, path in pictures(found)]
    # Sizes change numbers, not what is said.
    assert pictures(found) == pictures(page(name))
    assert len(fences(found, "text")) == len(fences(page(name), "text"))


@pytest.mark.parametrize("name", build.EXAMPLES)
def test_a_page_is_that_of_its_script(name):
    text, cells = page(name), build.cells_of(name)
    assert fences(text, "python") == [cell.source for cell in cells if not cell.is_text]
    written = [cell.source for cell in cells if cell.is_text]
    assert all(f"{source}\n" in text for source in written)
    ran = [(cell, build.Output()) for cell in cells]
    assert build.page(name, ran).splitlines()[-1] == text.splitlines()[-1]


@pytest.mark.parametrize("name", build.EXAMPLES)
def test_an_example_asks_answers_and_checks(name):
    cells = build.cells_of(name)
    first, *_, check, last = cells
    assert first.is_text
    assert build.summary(cells)[1].endswith("?")
    assert check.source.startswith("**Check**: ")
    assert "assert" in last.source
    lines = [line for cell in cells if not cell.is_text for line in cell.source.splitlines()]
    assert 15 <= len([line for line in lines if line.strip()]) <= 80


@pytest.mark.parametrize("name", build.EXAMPLES)
def test_sizes_of_the_tests_differ_from_those_of_the_page(name):
    sizes = [size for cell in build.cells_of(name) for size in build.SIZE.finditer(cell.source)]
    assert sizes
    assert all(size[0].count("# in tests: ") == 1 for size in sizes)


@pytest.mark.parametrize("name", build.EXAMPLES)
def test_pictures_are_there_described_and_small(name):
    found = pictures(page(name))
    assert found
    for description, path in found:
        assert len(description) > 20
        assert 0 < (GALLERY / path).stat().st_size < MOST_BYTES


def test_no_picture_is_left_over():
    named = {path for name in build.EXAMPLES for _, path in pictures(page(name))}
    assert named == {f"images/{path.name}" for path in (GALLERY / "images").iterdir()}


def test_the_index_lists_all_examples_and_the_readme_the_index():
    scripts = {path.stem for path in GALLERY.glob("*.py")} - {"build"}
    assert sorted(build.EXAMPLES) == sorted(scripts) == sorted(PAGES)
    assert (GALLERY / "index.md").read_text("utf-8") == build.index()
    assert "(docs/gallery/index.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Writes an example; a script of its own."""
    monkeypatch.setattr(build, "HERE", tmp_path)
    (tmp_path / "gallery.mplstyle").write_text("", "utf-8")

    def write(text):
        (tmp_path / "mine.py").write_text(text, "utf-8")

    return write


def test_a_false_claim_is_seen_and_told_with_its_line(example):
    example(
        "# %%\nn = 3  # in tests: 2\nprint(n)\n\n# %% [markdown]\n# text\n# %%\nassert n == 3\n"
    )
    ran = build.run("mine", None)
    assert [output.printed for _, output in ran] == ["3\n", "", ""]
    with pytest.raises(AssertionError) as caught:
        build.run("mine", None, small=True)
    assert caught.traceback[-1].lineno + 1 == 8


def test_text_before_the_first_cell_is_refused(example):
    example("import numpy\n# %%\nprint(1)\n")
    with pytest.raises(ValueError, match=r"mine\.py begins with something else than a cell"):
        build.cells_of("mine")


NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def numbers(text):
    return np.array([float(number) for number in NUMBER.findall(text)])


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("name", build.EXAMPLES)
def test_a_page_comes_out_as_it_is(name):
    """In full, up to what another machine rounds otherwise: a last digit, two at most."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    made = build.page(name, build.run(name, lambda figure, file: None))
    assert NUMBER.sub("0", made) == NUMBER.sub("0", page(name))
    for here, there in zip(fences(made, "text"), fences(page(name), "text"), strict=True):
        np.testing.assert_allclose(numbers(here), numbers(there), rtol=0.05, atol=0.002)
