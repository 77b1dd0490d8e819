"""Run the examples of the gallery and write their pages: ``python docs/gallery/build.py [name …]``.

An example is a Python script in the percent format that Jupyter, VS Code and Spyder know. A comment
``# %% [markdown]`` begins a cell of text, each line of it a comment, ``# %%`` one of code; cells
run in one namespace. Its page, ``name.md``, shows text, code, what the code prints and the figures
that a cell has made, each described by its label, ``num=`` of ``plt.subplots``. Whoever changes an
example runs this again.
"""

import argparse
import contextlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).resolve().parent
# In the order of the index.
EXAMPLES = (
    "which_minimizer",
    "sigma_and_depth",
    "adagrad_on_your_data",
    "ten_digits",
    "infinite_width",
    "decay_flip",
    "sgd_bands",
    "pytorch_model",
    "scipy_solvers",
    "certified_digits",
    "many_samples",
    "dask_cluster",
    "grid_search",
)
CELL = re.compile(r"^# %%( \[markdown\])?\n", re.M)
# ``WIDTH = 4000  # in tests: 100`` is a size that tests make smaller.
SIZE = re.compile(r"^(\w[\w, ]* = ).*?  # in tests: (.*)$", re.M)


@dataclass(frozen=True)
class Cell:
    """A cell of an example: Markdown, or code, and the lines of the script before it."""

    is_text: bool
    source: str
    line: int


@dataclass(frozen=True)
class Output:
    """What a cell has left: its printed lines, and the alternative texts of its pictures."""

    printed: str = ""
    pictures: tuple[str, ...] = ()


def cells_of(name: str) -> list[Cell]:
    """The cells of an example."""
    script = (HERE / f"{name}.py").read_text("utf-8")
    marks = list(CELL.finditer(script))
    if not marks or marks[0].start():
        raise ValueError(f"{name}.py begins with something else than a cell")
    ends = [mark.start() for mark in marks[1:]] + [len(script)]
    cells = []
    for mark, end in zip(marks, ends, strict=True):
        body = script[mark.end() : end]
        if mark[1]:
            body = re.sub(r"^# ?", "", body, flags=re.M)
        cells.append(Cell(bool(mark[1]), body.strip(), script.count("\n", 0, mark.end())))
    return cells


def summary(cells: list[Cell]) -> tuple[str, str]:
    """An example's title, and the question that it begins with."""
    title, question = cells[0].source.split("\n\n")[:2]
    return title.removeprefix("# "), question.replace("\n", " ")


def run(
    name: str, save: Callable[[plt.Figure, str], Any], *, small: bool = False
) -> list[tuple[Cell, Output]]:
    """Execute an example, at the size of the tests or its own.

    Parameters
    ----------
    name : str
    save : callable
        Called as ``save(figure, file_name)`` for each picture.
    small : bool

    Returns
    -------
    list of (Cell, Output)
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    numbers = iter(range(1, 100))
    ran = []
    with patch.object(plt, "show"), plt.style.context(HERE / "gallery.mplstyle"):
        for cell in cells_of(name):
            output = Output()
            if not cell.is_text:
                source = SIZE.sub(r"\1\2", cell.source) if small else cell.source
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    # Errors are then told with the lines of the script.
                    code = compile("\n" * cell.line + source, str(HERE / f"{name}.py"), "exec")
                    exec(code, namespace)
                pictures = []
                for figure in map(plt.figure, plt.get_fignums()):
                    save(figure, f"{name}-{next(numbers)}.png")
                    pictures.append(figure.get_label())
                    plt.close(figure)
                output = Output(printed.getvalue(), tuple(pictures))
            ran.append((cell, output))
    return ran


def page(name: str, ran: list[tuple[Cell, Output]]) -> str:
    """An example's page."""
    return "\n\n".join(_blocks(name, ran)) + "\n"


def _blocks(name: str, ran: list[tuple[Cell, Output]]) -> Iterator[str]:
    numbers = iter(range(1, 100))
    for cell, output in ran:
        yield cell.source if cell.is_text else f"```python\n{cell.source}\n```"
        if output.printed:
            yield f"```text\n{output.printed.rstrip()}\n```"
        for description in output.pictures:
            yield f"![{description}](images/{name}-{next(numbers)}.png)"
    yield f"*Made by `build.py` from [{name}.py]({name}.py), which runs as it is.*"


def index() -> str:
    """The page that lists all examples."""
    rows = []
    for name in EXAMPLES:
        title, question = summary(cells_of(name))
        page = (HERE / f"{name}.md").read_text(encoding="utf-8")
        described = re.search(rf"!\[(.*?)\]\(images/{name}-1\.png\)", page)
        alt = escape(described[1]) if described else ""
        picture = f'<img src="images/{name}-1.png" width="260" alt="{alt}">'
        rows.append(f"| {picture} | **[{title}]({name}.md)**<br>{question} |")
    return INDEX + "\n".join(rows) + "\n"


INDEX = """# Gallery

Questions, each answered by a short script, its output and a picture. The scripts lie beside the \
pages and run as they are; tests run them at a smaller size and hold every claim that they check. \
`python docs/gallery/build.py` makes all pages anew, `build.py ten_digits` one of them; some \
need `pip install 'ntklin[dask,sklearn]'`.

| | |
|---|---|
"""


def main() -> None:
    """Write the pages of the named examples, or of all, and the index."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(EXAMPLES))
    names = parser.parse_args().names or EXAMPLES
    if unknown := set(names) - set(EXAMPLES):
        parser.error(f"no example is called {', '.join(sorted(unknown))}")
    images = HERE / "images"
    images.mkdir(exist_ok=True)
    for name in names:
        ran = run(name, lambda figure, file: figure.savefig(images / file, metadata=UNDATED))
        (HERE / f"{name}.md").write_text(page(name, ran), "utf-8")
        print(f"{name}.md")
    (HERE / "index.md").write_text(index(), "utf-8")


# Without matplotlib's version in it a picture changes only where what it shows does.
UNDATED = {"Software": None}

if __name__ == "__main__":
    main()
