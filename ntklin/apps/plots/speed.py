"""How fast others are beside ntklin: works on one axis, times over ntklin's on the other."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ntklin.apps.plots.speed_lines import INPUTS, Line, facts, lines_of, shared
from ntklin.edge.faces.pictures import GUIDE_COLOR
from ntklin.edge.files.names import shown, without_math
from ntklin.validation.benchmarks.standings import OWN, Ratio, Standing, Standings

# A name and how it looks.
Look = tuple[str, dict[str, Any]]
# Okabe and Ito's palette; the marks differ without color, too.
LIBRARIES: dict[str, Look] = {
    "numpy": ("NumPy by hand", {"color": "#E69F00", "marker": "s"}),
    "jax": ("JAX", {"color": "#0072B2", "marker": "o"}),
    "torch": ("PyTorch", {"color": "#D55E00", "marker": "^"}),
    "neural-tangents": ("neural-tangents", {"color": "#009E73", "marker": "D"}),
    "cupy": ("CuPy by hand", {"color": "#CC79A7", "marker": "v"}),
    OWN: (OWN, {"color": "#000000", "marker": "x"}),
}
# Of libraries that nobody has thought of.
FURTHER = ({"color": "#56B4E9", "marker": "P"}, {"color": "#7A3E9D", "marker": "X"})
LIMIT: dict[str, Any] = {"color": GUIDE_COLOR, "marker": "|", "markersize": 8, "markeredgewidth": 2}
# The best form of a library in one work and dtype, and its others.
BEST, SLOWER = 6.5, 3.5
# Limits that ntklin is further from than this bind nothing.
FAR = 0.1
DTYPES = ("float64", "float32")
ASIDE = {"float64": -0.17, "float32": 0.17}
# Points from the frame to what is beside it, and of each cross and column there.
EDGE, CROSS, COLUMN = 5, 17, 45
WIDTH = 8.6  # inches
LINE_HEIGHT, FRAME_HEIGHT = 0.22, 1.15
CAPTION_SIZE, CAPTION_LINE, CAPTION_CHARACTERS = 7.5, 0.135, 150
LONGEST_REASON = 110


def speed_figure(found: Standings) -> Figure:
    """A line for each work and problem, a mark for each implementation and dtype.

    A mark is the median over the rounds of a time over ntklin's beside it, its bar the quartiles;
    filled in float64, hollow in float32. What has no time has a numbered cross at the edge, and its
    reason below.

    Parameters
    ----------
    found : Standings
        At least one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    lines = list(lines_of(found))
    notes = _notes(lines)
    caption = _caption(found, notes)
    height = max(line.place for line in lines) + 1
    inches = FRAME_HEIGHT + LINE_HEIGHT * height + CAPTION_LINE * len(caption)
    figure = Figure(figsize=(WIDTH, inches), layout="constrained")
    axes = figure.add_subplot()
    dtypes = [d for d in DTYPES if any(d in line.standings for line in lines)]
    looks = _looks(lines)
    axes.set_xscale("log")
    axes.axvline(1, color="#000000", linewidth=1.2, zorder=2)
    for line in lines:
        for heading in line.headings:
            place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
            weight = "bold" if heading.is_kind else "normal"
            axes.text(-0.012, heading.place, heading.text, weight=weight, fontsize=9, **place)
        for dtype, standing in line.standings.items():
            _draw(axes, standing, line.place + (ASIDE[dtype] if len(dtypes) > 1 else 0), looks)
    _draw_edge(axes, lines, notes, dtypes, looks)
    _finish(axes, lines, height)
    figure.legend(
        handles=list(_handles(lines, looks, dtypes, notes)),
        loc="outside upper center",
        ncols=5,
        frameon=False,
        fontsize=8.5,
    )
    figure.supxlabel("\n".join(caption), fontsize=CAPTION_SIZE, color="#3A3A3A", ha="left", x=0.012)
    return figure


def _library(ratio: Ratio) -> str:
    """The library that a mark is of: settings and forms of one share it."""
    first = ratio.library.partition(",")[0].partition(" ")[0].lower()
    return first if first in LIBRARIES else ratio.library


def _looks(lines: Sequence[Line]) -> dict[str, Look]:
    """Of every library that there is something of, in the order of the legend."""
    ratios = (r for line in lines for one in line.standings.values() for r in one.ratios)
    found = dict.fromkeys(map(_library, ratios))
    further = (library for library in found if library not in LIBRARIES)
    named = {
        library: (without_math(shown(library, 30)), look)
        for library, look in zip(further, cycle(FURTHER), strict=False)
    }
    return {k: look for k, look in LIBRARIES.items() if k in found} | named


def _draw(axes: Axes, standing: Standing, height: float, looks: dict[str, Look]) -> None:
    """The marks of one dtype; the fastest form of a library is large, and has the quartiles."""
    hollow: dict[str, Any] = {"markerfacecolor": "white"} if standing.dtype == "float32" else {}
    best: dict[str, float] = {}
    timed = sorted(
        (ratio for ratio in standing.ratios if ratio.rounds), key=lambda r: r.quartiles[1]
    )
    for ratio in timed:
        low, middle, high = ratio.quartiles
        library = _library(ratio)
        _, look = looks[library]
        fastest = best.setdefault(library, middle) == middle
        if fastest:
            axes.hlines(height, low, high, color=look["color"], linewidth=1.3, zorder=3)
        size = BEST if fastest else SLOWER
        axes.plot([middle], [height], linestyle="none", markersize=size, **look, **hollow, zorder=4)
    if standing.limit is not None and standing.limit >= FAR:
        axes.plot([standing.limit], [height], linestyle="none", **LIMIT, zorder=3)


def _notes(lines: Sequence[Line]) -> dict[tuple[str, str], int]:
    """Numbers for what has no time: (name, reason) → number."""
    missing = dict.fromkeys(
        (ratio.name, ratio.reason)
        for line in lines
        for standing in line.standings.values()
        for ratio in standing.ratios
        if not ratio.rounds
    )
    return {note: k for k, note in enumerate(missing, 1)}


def _draw_edge(
    axes: Axes,
    lines: Sequence[Line],
    notes: dict[tuple[str, str], int],
    dtypes: Sequence[str],
    looks: dict[str, Look],
) -> None:
    """Beside the frame: crosses for what has no time, and ntklin's own times."""
    most = 0
    for line in lines:
        missing = {
            notes[ratio.name, ratio.reason]: looks[_library(ratio)][1]["color"]
            for standing in line.standings.values()
            for ratio in standing.ratios
            if not ratio.rounds
        }
        most = max(most, len(missing))
        for k, (number, color) in enumerate(missing.items()):
            text = rf"$\times^{{{number}}}$"
            _beside(axes, text, line.place, EDGE + CROSS * k, color=color, fontsize=10)
    for k, dtype in enumerate(dtypes, 1):
        column = EDGE + CROSS * most + COLUMN * k
        _beside(axes, f"{OWN},\n{dtype}", -0.1, column, ha="right", fontsize=7.5)
        for line in lines:
            if (standing := line.standings.get(dtype)) is not None:
                text = _duration(standing.own_ms)
                _beside(axes, text, line.place, column, ha="right", fontsize=8)


def _beside(axes: Axes, text: str, height: float, points: float, **look: Any) -> None:
    """A text so many points right of the frame."""
    axes.annotate(
        text,
        xy=(1, height),
        xycoords=("axes fraction", "data"),
        xytext=(points, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
        **look,
    )


def _duration(ms: float | None) -> str:
    """A time to three digits; nothing where none was measured."""
    if ms is None or not ms > 0:
        return ""
    for unit, size in (("s", 1e3), ("ms", 1.0)):
        if ms >= size:
            return f"{ms / size:.3g} {unit}"
    return f"{1e3 * ms:.3g} μs"


def _finish(axes: Axes, lines: Sequence[Line], height: float) -> None:
    """Scale, labels and grid."""
    values = [1.0, 2.0]
    for standing in (one for line in lines for one in line.standings.values()):
        values += [q for ratio in standing.ratios if ratio.rounds for q in ratio.quartiles]
        values += [standing.limit] if standing.limit is not None and standing.limit >= FAR else []
    low, high = min(values) / 1.3, max(values) * 1.3
    axes.set_xlim(low, high)
    axes.set_ylim(height - 0.3, -0.4)
    axes.axvspan(low, 1, color="#F2F2F2", zorder=0)
    few = high / low < 3000
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.tick_params(axis="x", labelsize=8.5)
    axes.tick_params(axis="y", labelsize=8.5, length=0)
    axes.set_yticks([line.place for line in lines], [line.label for line in lines])
    if any(not heading.is_kind for line in lines for heading in line.headings):
        axes.tick_params(axis="y", labelsize=8, labelcolor=GUIDE_COLOR)
    axes.grid(True, axis="x", color="#DDDDDD", linewidth=0.7)
    axes.hlines([line.place for line in lines], low, high, color="#E6E6E6", linewidth=0.7, zorder=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(f"time over that of {OWN}; right of 1, {OWN} is faster", fontsize=9)


def _handles(
    lines: Sequence[Line],
    looks: dict[str, Look],
    dtypes: Sequence[str],
    notes: dict[tuple[str, str], int],
) -> Iterator[Line2D]:
    """What the legend explains, of what there is."""
    standings = [one for line in lines for one in line.standings.values()]

    def mark(label: str, **look: Any) -> Line2D:
        return Line2D([], [], linestyle="none", label=label, **look)

    for library, (label, look) in looks.items():
        if library != OWN:
            yield mark(label, markersize=BEST, **look)
    timed = [[_library(r) for r in one.ratios if r.rounds] for one in standings]
    if any(len(set(libraries)) < len(libraries) for libraries in timed):
        yield mark("slower forms", marker="o", markersize=SLOWER, color=GUIDE_COLOR)
    if len(dtypes) > 1:
        yield mark("float64", marker="o", markersize=BEST, color=GUIDE_COLOR)
        hollow = {"markerfacecolor": "white", "color": GUIDE_COLOR}
        yield mark("float32", marker="o", markersize=BEST, **hollow)
    yield Line2D([], [], color="#000000", linewidth=1.2, label=OWN)
    if any(one.limit is not None and one.limit >= FAR for one in standings):
        yield mark("the machine's limit", **LIMIT)
    if notes:
        yield mark("no time: see below", marker="x", color=GUIDE_COLOR)


def _caption(found: Standings, notes: dict[tuple[str, str], int]) -> list[str]:
    """What was measured, where, and what has no time: lines of text."""
    standings, machine = found.standings, found.machine
    rounds = [len(r.rounds) for one in standings for r in one.ratios if r.rounds]
    same = [
        f"{fact} inputs" if fact in INPUTS.values() else fact
        for fact in facts(standings[0], found.networks, shared(standings))
    ]
    if len({one.dtype for one in standings}) == 1:
        same.append(standings[0].dtype)
    device = machine["gpu"]["name"] if machine.get("gpu") else machine["cpu"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''}"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    sentences = []
    if found.quick:
        sentences.append("A quick run of tiny sizes: it shows that all works, and no speed")
    if rounds:
        span = f"{min(rounds)} to {max(rounds)}" if min(rounds) < max(rounds) else f"{rounds[0]}"
        span += " rounds" if max(rounds) > 1 else " round"
        runs = "one run" if found.runs == 1 else f"{found.runs} runs"
        sentences.append(
            f"Medians and quartiles over {span} of {runs}, each beside {OWN}'s own turn"
        )
    sentences += [", ".join(same)] if same else []
    sentences.append(f"{shown(device, 60)}, {threads}; {versions}")
    foreign = [r.foreign_cores for one in standings for r in one.ratios]
    known = [cores for cores in foreign if cores is not None]
    if known:
        sentences.append(f"Others used at most {max(known):.2f} cores meanwhile")
    if not found.complete:
        sentences.append(f"{'The run' if found.runs == 1 else 'A run'} was not finished")
    paragraphs = [". ".join(sentences) + "."]
    for (name, reason), number in notes.items():
        text = f"{shown(name, 40)}: {shown(reason, LONGEST_REASON)}"
        paragraphs.append(f"×{number} {text}")
    wrapped = [textwrap.wrap(text, CAPTION_CHARACTERS) for text in paragraphs]
    return [without_math(line) for lines in wrapped for line in lines]
