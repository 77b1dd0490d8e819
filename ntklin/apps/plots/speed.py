"""How fast others are beside ntklin: works on one axis, times over ntklin's on the other."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ntklin.apps.plots.axes import GUIDE_COLOR
from ntklin.edge.files.names import shown, without_math
from ntklin.validation.benchmarks.standings import OWN, Ratio, Standing, Standings

KINDS = {
    "kernels": ("jacobian", "gram", "weighted_gram", "infinite"),
    "training": ("gd_step", "ensemble_step", "adagrad_step", "adam_step"),
    "linearized network": ("linearized_step", "split", "closed_form"),
}
TITLES = {
    "jacobian": "Jacobian",
    "gram": "Gram matrix",
    "weighted_gram": "weighted Gram matrix",
    "infinite": "infinite-width kernel",
    "gd_step": "step of gradient descent",
    "ensemble_step": "the same, one of ten networks",
    "adagrad_step": "step of AdaGrad",
    "adam_step": "step of Adam",
    "linearized_step": "step of AdaGrad",
    "split": "split of an end state",
    "closed_form": "closed form",
}
OTHER_KIND = "other works"
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
LIMIT = {"color": GUIDE_COLOR, "marker": "|", "markersize": 11, "markeredgewidth": 2}
# The best form of a library in one work and dtype, and its others.
BEST, SLOWER = 6.5, 3.5
# Limits that ntklin is further from than this bind nothing.
FAR = 0.1
DTYPES = ("float64", "float32")
ASIDE = {"float64": -0.17, "float32": 0.17}
INPUTS = {"gaussian": "Gaussian", "mnist": "MNIST"}
WIDTH = 8.6  # inches
LINE_HEIGHT, FRAME_HEIGHT = 0.25, 1.15
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
    lines = list(_lines(found))
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
        if line.heading:
            place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
            axes.text(-0.012, line.place - 1, line.heading, weight="bold", fontsize=9, **place)
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


@dataclass(frozen=True)
class Line:
    """A work on one problem.

    Attributes
    ----------
    place : float
        On the axis, downwards.
    label : str
    heading : str
        Of the kind of work that begins here, or empty.
    standings : dict
        By dtype.
    """

    place: float
    label: str
    heading: str
    standings: dict[str, Standing]


def _lines(found: Standings) -> Iterator[Line]:
    """The lines in the order of the kinds and works, labelled by what tells them apart."""
    groups: dict[tuple[Any, ...], dict[str, Standing]] = {}
    for one in found.standings:
        groups.setdefault(one.key[:-1], {})[one.dtype] = one
    order = [work for works in KINDS.values() for work in works]
    problems = [next(iter(group.values())) for group in groups.values()]
    works = [*order, *(one.work for one in problems if one.work not in order)]
    cases = list(found.networks)
    names = list(dict.fromkeys((one.work, one.variant) for one in problems))

    def rank(key: tuple[Any, ...]) -> tuple[Any, ...]:
        one = next(iter(groups[key].values()))
        place = works.index(one.work), names.index((one.work, one.variant))
        return *place, one.frozen_n, cases.index(one.case), one.inputs

    varying = {
        name for name in ("case", "inputs", "n") if len({getattr(o, name) for o in problems}) > 1
    }
    place, kind, title = 0.0, "", ""
    for key in sorted(groups, key=rank):
        standings = groups[key]
        one = next(iter(standings.values()))
        heading, before = _kind(one.work), (kind, title)
        kind, title = heading, _title(one)
        place += 1.15 if kind != before[0] else 0.25 if title != before[1] else 0
        facts = " · ".join(_facts(one, found.networks, varying))
        named = title if (kind, title) != before or not facts else ""
        label = ":  ".join(filter(None, (named, facts)))
        yield Line(place, without_math(label), kind if kind != before[0] else "", standings)
        place += 1


def _kind(work: str) -> str:
    return next((kind for kind, works in KINDS.items() if work in works), OTHER_KIND)


def _title(one: Standing) -> str:
    title = TITLES.get(one.work, one.work)
    return f"{title}, {one.variant}" if one.variant else title


def _facts(one: Standing, networks: Any, names: Any) -> Iterator[str]:
    """What a line's problem is, as far as its names are asked for."""
    texts = {
        "case": networks[one.case],
        "inputs": INPUTS.get(one.inputs, one.inputs),
        "n": f"N = {one.n:,}",
    }
    return (text for name, text in texts.items() if name in names)


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
    hollow = {"markerfacecolor": "white"} if standing.dtype == "float32" else {}
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
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
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
            axes.text(1.012 + 0.042 * k, line.place, text, color=color, fontsize=10, **place)
    start = 1.085 + 0.042 * most
    for k, dtype in enumerate(dtypes):
        column = start + 0.115 * k
        axes.text(column, -0.1, f"{OWN},\n{dtype}", ha="right", fontsize=7.5, **place)
        for line in lines:
            if (standing := line.standings.get(dtype)) is not None:
                text = _duration(standing.own_ms)
                axes.text(column, line.place, text, ha="right", fontsize=8, **place)


def _duration(ms: float | None) -> str:
    """A time to three digits; nothing where none was measured."""
    if ms is None or not ms > 0:
        return ""
    for unit, size in (("s", 1e3), ("ms", 1.0)):
        if ms >= size:
            return f"{ms / size:.3g} {unit}"
    return f"{1e3 * ms:.3g} µs"


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
    shared = {
        name
        for name in ("case", "inputs", "n")
        if len({getattr(one, name) for one in standings}) == 1
    }
    facts = list(_facts(standings[0], found.networks, shared))
    if len({one.dtype for one in standings}) == 1:
        facts.append(standings[0].dtype)
    device = machine["gpu"]["name"] if machine.get("gpu") else machine["cpu"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''}"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    sentences = []
    if found.quick:
        sentences.append("A quick run of tiny sizes: it shows that all works, and no speed")
    if rounds:
        span = f"{min(rounds)} to {max(rounds)}" if min(rounds) < max(rounds) else f"{rounds[0]}"
        sentences.append(
            f"Medians and quartiles over {span} round{'s' if max(rounds) > 1 else ''} of one run, "
            f"each beside {OWN}'s own turn"
        )
    sentences += [", ".join(facts)] if facts else []
    sentences.append(f"{shown(device, 60)}, {threads}; {versions}")
    foreign = [r.foreign_cores for one in standings for r in one.ratios]
    known = [cores for cores in foreign if cores is not None]
    if known:
        sentences.append(f"Others used at most {max(known):.2f} cores meanwhile")
    if not found.complete:
        sentences.append("The run was not finished")
    paragraphs = [". ".join(sentences) + "."]
    for (name, reason), number in notes.items():
        text = f"{shown(name, 40)}: {shown(reason, LONGEST_REASON)}"
        paragraphs.append(f"×{number} {text}")
    wrapped = [textwrap.wrap(text, CAPTION_CHARACTERS) for text in paragraphs]
    return [without_math(line) for lines in wrapped for line in lines]
