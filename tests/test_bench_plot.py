"""``ntklin bench --plot``: the picture has the file's numbers, and says what it has none of."""

import json
import re
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from ntklin.apps.cli.bench import Options
from ntklin.apps.plots import speed
from ntklin.edge.files.seal import sealed
from ntklin.validation.benchmarks import standings

# Of ``ntklin bench --quick --works jacobian,gram,gd_step --cases A,A10 --inputs gaussian``.
STORED = Path(__file__).parent / "data" / "bench.json"
ROWS = json.loads(STORED.read_text("utf-8"))["rows"]
NAMES = {"bench.png", "bench.pdf"}
STEP = {"work": "gd_step", "variant": "", "case": "A", "inputs": "gaussian", "dtype": "float64"}
PEERS = ["JAX jit_sgd", "torch eager_sgd", "torch compile_sgd"]
# Each between two of ntklin's turns, of 2, 4 and 1 ms.
COMPARISON = {
    **{"work": "gd_step", "case": "A", "dtype": "float64", "n": 100},
    "own_ms": [{"|gaussian": 2.0}, {"|gaussian": 4.0}, {"|gaussian": 1.0}],
    "own": {"|gaussian": {"median_ms": 2.0, "foreign_cores": 0.5}},
    "peers": [
        {"peer": PEERS[0], "before": 0, "median_s": 0.03, "versions": {"jax": "0.1", "threads": 2}},
        {"peer": PEERS[1], "before": 1, "failed": "stopped with 0.5 GB of memory left"},
        {"peer": PEERS[0], "before": 1, "median_s": 0.05, "foreign_cores": 0.25},
        {"peer": PEERS[0], "before": 2, "median_s": 9.0},  # the run ended before ntklin's turn
        {"peer": "JAX of_another_target", "before": 0, "median_s": 7.0},
    ],
}
TARGET = {**STEP, "n": 100, "against": "peers", "peers": PEERS}


def document(**changes):
    """The stored measurements, changed."""
    values = json.loads(STORED.read_text("utf-8"))
    del values["digest"]
    return values | changes


@pytest.fixture
def write(tmp_path):
    """``write(document)``: it as a file with its digest."""

    def write(values, name="x.json"):
        path = tmp_path / name
        path.write_text(json.dumps(sealed(values)), "utf-8")
        return path

    return write


def figure_of(*paths, **selection):
    found = standings.read(paths).select(standings.selection(Options(**selection)))
    return speed.speed_figure(found)


def marks(figure, marker):
    """All marks of a kind: (label of the nearest line, place of the mark, is it hollow)."""
    (axes,) = figure.axes
    ticks = dict(
        zip(axes.get_yticks(), (t.get_text() for t in axes.get_yticklabels()), strict=True)
    )
    for line in axes.get_lines():
        if line.get_marker() == marker:
            (x,), (y,) = line.get_xdata(), line.get_ydata()
            hollow = line.get_markerfacecolor() == "white"
            yield ticks[min(ticks, key=lambda tick: abs(tick - y))], x, hollow


def texts(figure):
    """What is written beside the axes, and below."""
    (axes,) = figure.axes
    return [t.get_text() for t in axes.texts], figure.get_supxlabel()


def expected(row_of, dtype):
    """The median over the rounds of NumPy's time over ntklin's, from the file's turns."""
    theirs, mine = (row_of[by, dtype]["turns_ms"] for by in ("numpy", "ntklin"))
    pairs = zip(theirs, mine, strict=True)
    return statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs)


def problems():
    """The rows of each problem: {(implementation, dtype): row}."""
    found = {}
    for row in ROWS:
        key = row["work"], row["variant"], row["case"], row["frozen_n"]
        found.setdefault(key, {})[row["implementation"], row["dtype"]] = row
    return found


def test_every_mark_is_a_number_of_the_file():
    drawn = sorted((round(x, 9), hollow) for _, x, hollow in marks(figure_of(STORED), "s"))
    wanted, short = [], 0
    for rows in problems().values():
        for dtype in ("float64", "float32"):
            turns = [t for by in ("numpy", "ntklin") for t in rows[by, dtype]["turns_ms"]]
            if min(map(statistics.median, turns)) > 0:
                wanted.append((round(expected(rows, dtype), 9), dtype == "float32"))
            else:
                short += 1
    assert drawn == sorted(wanted)
    assert len(wanted) > 8
    written, _ = texts(figure_of(STORED))
    assert sum("times" in text for text in written) <= short


def test_a_mark_is_on_the_line_of_its_work():
    figure = figure_of(STORED, works=["jacobian"], dtypes=["float32"], cases=["A"])
    lines = {label: x for label, x, _ in marks(figure, "s")}
    assert len(lines) == 2
    for variant in ("into out", "fresh"):
        rows = problems()["jacobian", variant, "A", 100]
        assert lines[f"Jacobian, {variant}"] == pytest.approx(expected(rows, "float32"), rel=1e-12)
    assert "16–12–1, Gaussian inputs, N = 8, float32" in " ".join(figure.get_supxlabel().split())


def test_bars_are_quartiles_over_rounds(write):
    rows = [r for r in ROWS if r["work"] == "gram" and r["case"] == "A" and r["frozen_n"] == 100]
    rows = [r | {"foreign_cores": 0.125} for r in rows if r["dtype"] == "float64"]
    for row in rows:
        times = [1.0, 2.0, 4.0, 8.0, 3.0] if row["implementation"] == "numpy" else [0.5] * 5
        row["turns_ms"] = [[time] for time in times]
    figure = figure_of(write(document(rows=rows)))
    ((_, middle, _),) = marks(figure, "s")
    assert middle == 6
    bars = {
        (start[0], end[0]): to_hex(collection.get_color()[0])
        for collection in figure.axes[0].collections
        if isinstance(collection, LineCollection)
        for start, end in collection.get_segments()
    }
    (mark,) = (line for line in figure.axes[0].get_lines() if line.get_marker() == "s")
    assert bars[4.0, 8.0] == to_hex(mark.get_color())
    assert "Others used at most 0.12 cores" in figure.get_supxlabel()
    assert "over 5 rounds" in figure.get_supxlabel()


def test_limits_are_fractions_of_the_file(write):
    rows = [r for r in ROWS if r["work"] == "gram" and r["case"] == "A" and r["frozen_n"] == 100]
    rows = [r | {"of_gemm": 0.5, "of_bandwidth": 0.25} for r in rows]
    near = [x for _, x, _ in marks(figure_of(write(document(rows=rows))), "|")]
    assert near == [0.5, 0.5]
    rows = [r | {"of_gemm": 0.05, "of_bandwidth": None} for r in rows]
    assert list(marks(figure_of(write(document(rows=rows))), "|")) == []


def with_peers(**changes):
    comparison = COMPARISON | changes
    rows = [row | {"foreign_cores": 0.125} for row in ROWS if STEP.items() <= row.items()]
    return document(rows=rows, comparisons=[comparison], targets=[TARGET])


def test_peers_are_beside_the_turns_around_them(write):
    figure = figure_of(write(with_peers()))
    assert [x for _, x, _ in marks(figure, "o")] == [pytest.approx((30 / 3 + 50 / 2.5) / 2)]
    written, caption = texts(figure)
    assert r"$\times^{1}$" in written
    assert "×1 torch eager_sgd: stopped with 0.5 GB of memory left" in caption
    assert "jax 0.1" in caption
    assert "threads 2" not in caption  # no version
    assert "Others used at most 0.50 cores" in caption
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert {"NumPy by hand", "JAX", "PyTorch", "ntklin", "no time: see below"} <= set(named)


def test_without_targets_all_peers_count(write):
    figure = figure_of(write(with_peers() | {"targets": []}))
    assert sorted(x for _, x, _ in marks(figure, "o")) == pytest.approx([15, 7000 / 3])
    sizes = {
        line.get_xdata()[0]: line.get_markersize()
        for line in figure.axes[0].get_lines()
        if line.get_marker() == "o"
    }
    assert sizes[15] > sizes[max(sizes)]  # the slower form of the same library


def test_peers_alone_make_a_line(write):
    figure = figure_of(write(with_peers() | {"rows": []}))
    assert list(marks(figure, "s")) == []
    assert [x for _, x, _ in marks(figure, "o")] == [pytest.approx(15)]
    assert "2 ms" in texts(figure)[0]


def test_what_has_no_time_says_why(write):
    rows = [dict(row) for row in ROWS if row["work"] == "gram" and row["case"] == "A10"]
    for row in rows:
        row["failed"] = "relative error 0.001 exceeds" if row["implementation"] == "numpy" else None
        row["skipped"] = "needs 2 GB, $1$ are free" if row["dtype"] == "float32" else None
        del row["turns_ms"], row["median_ms"]
    figure = figure_of(write(document(rows=rows)))
    written, caption = texts(figure)
    assert sum("times" in text for text in written) == 2
    assert "×1 numpy: relative error 0.001 exceeds" in caption
    assert r"×2 ntklin: needs 2 GB, \$1\$ are free" in caption
    figure.canvas.draw()


def test_what_a_clock_cannot_tell_has_no_mark(write):
    rows = [dict(row) for row in ROWS if STEP.items() <= row.items()]
    for row in rows:
        row["turns_ms"] = [[-0.1 if row["implementation"] == "ntklin" else 1.0]] * 2
    figure = figure_of(write(document(rows=rows)))
    assert list(marks(figure, "s")) == []
    assert "numpy: too short for this clock" in figure.get_supxlabel()


def test_libraries_that_nobody_thought_of_are_drawn(write):
    rows = [dict(row) for row in ROWS if STEP.items() <= row.items()]
    mine, theirs = sorted(rows, key=lambda row: row["implementation"])
    mine["turns_ms"] = theirs["turns_ms"] = [[1.0]]
    rows += [theirs | {"implementation": name} for name in ("a $new$ one", "another")]
    figure = figure_of(write(document(rows=rows)))
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[:3] == ["NumPy by hand", r"a \$new\$ one", "another"]
    assert [x for marker in "sPX" for _, x, _ in marks(figure, marker)] == [1, 1, 1]
    figure.canvas.draw()


@pytest.mark.parametrize("name", ["numpy", "NumPy blocked", "numpy, blocked", "numpy,blocked"])
def test_forms_of_a_library_look_alike(name, write):
    rows = [dict(row) for row in ROWS if STEP.items() <= row.items()]
    mine, theirs = sorted(rows, key=lambda row: row["implementation"])
    mine["turns_ms"], theirs["turns_ms"] = [[1.0]], [[3.0]]
    figure = figure_of(write(document(rows=[mine, theirs | {"implementation": name}])))
    assert [x for _, x, _ in marks(figure, "s")] == [3]
    assert "NumPy by hand" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_long_names_are_shortened(write):
    rows = [dict(row) for row in ROWS if STEP.items() <= row.items()]
    mine, theirs = sorted(rows, key=lambda row: row["implementation"])
    mine["turns_ms"] = theirs["turns_ms"] = [[1.0]]
    timed = theirs | {"implementation": "x" * 90 + "a"}
    failed = theirs | {"implementation": "x" * 90 + "b", "failed": "y" * 200 + "z"}
    del failed["turns_ms"], failed["median_ms"]
    figure = figure_of(write(document(rows=[mine, timed, failed])))
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(map(len, (name for name in named if name.startswith("x")))) == [30, 30]
    caption = " ".join(figure.get_supxlabel().split())
    name, reason = re.search(r"×1 (x+…x+b): (y+…y+z)", caption).groups()
    assert (len(name), len(reason)) == (40, 110)


def test_a_quick_or_unfinished_run_says_so(write):
    assert "A quick run of tiny sizes" in figure_of(STORED).get_supxlabel()
    caption = figure_of(write(document(quick=False, complete=False))).get_supxlabel()
    assert "quick" not in caption
    assert "The run was not finished" in caption


@pytest.mark.parametrize(("count", "told"), [(1, ", 1 thread;"), (2, ", 2 threads;")])
def test_threads_are_counted(count, told, write):
    machine = document()["machine"] | {"threads": count}
    assert told in figure_of(write(document(machine=machine))).get_supxlabel()


def test_inputs_that_nobody_thought_of_have_their_own_name(write):
    rows = [row for row in ROWS if row["work"] == "gram" and row["dtype"] == "float64"]
    other = [row | {"inputs": "sparse"} for row in rows]
    found = standings.read([write(document(rows=[*rows, *other]))])
    (axes,) = speed.speed_figure(found).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert sum("Gaussian" in label for label in labels) == len(labels) / 2
    assert sum("sparse" in label for label in labels) == len(labels) / 2
    assert "sparse inputs" not in texts(axes.figure)[1]


def test_what_is_beside_the_frame_is_as_high_as_its_line():
    (axes,) = figure_of(STORED).axes
    assert {text.xyann[1] for text in axes.texts if hasattr(text, "xyann")} == {0}


@pytest.mark.parametrize(
    ("slowest", "expected"),
    [(1000, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]), (2000, [1, 10, 100, 1000])],
)
def test_an_axis_of_many_decades_has_a_tick_for_each(slowest, expected, write):
    rows = [dict(row) for row in ROWS if STEP.items() <= row.items()]
    for row in rows:
        row["turns_ms"] = [[1.0 if row["implementation"] == "ntklin" else slowest]]
    (axes,) = figure_of(write(document(rows=rows))).axes
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert shown == pytest.approx(expected)


def test_kinds_of_works_stand_out_among_their_works():
    (axes,) = figure_of(STORED).axes
    headings = [text for text in axes.texts if not hasattr(text, "xyann")]
    weights = {text.get_text(): text.get_weight() for text in headings}
    assert {text for text, weight in weights.items() if weight == "bold"} == {"kernels", "training"}
    assert {"Jacobian, fresh", "Gram matrix"} < weights.keys()


def test_of_two_files_the_last_counts(write):
    def gram(factor, dtype):
        rows = [dict(r) for r in ROWS if r["work"] == "gram" and r["dtype"] == dtype]
        for row in rows:
            by_hand = row["implementation"] == "numpy"
            row["turns_ms"] = [[factor if by_hand else 1.0]]
        return document(rows=rows)

    first, second = write(gram(2.0, "float64")), write(gram(3.0, "float64"), "y.json")
    third = write(gram(5.0, "float32"), "z.json")
    found = {(x, hollow) for _, x, hollow in marks(figure_of(first, second, third), "s")}
    assert found == {(3.0, False), (5.0, True)}
    assert "round of 3 runs, each beside" in figure_of(first, second, third).get_supxlabel()
    assert "round of one run, each beside" in figure_of(first).get_supxlabel()


# The command


def plot(*words):
    return invoke("bench", "--plot", *words)


def test_the_picture_goes_beside_the_measurements(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ntklin.validation.benchmarks.main", lambda *a: pytest.fail("it is measuring")
    )
    shutil.copy(STORED, tmp_path / "bench.json")
    done = plot("--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert done.output == f"Written to {tmp_path}: bench.png, bench.pdf\n"
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", *NAMES}
    assert (tmp_path / "bench.json").read_bytes() == STORED.read_bytes()
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    before = (tmp_path / "bench.pdf").read_bytes()
    assert before.startswith(b"%PDF")
    assert plot(STORED, "--out", tmp_path).exit_code == 0
    assert (tmp_path / "bench.pdf").read_bytes() == before


def test_a_file_of_elsewhere_is_drawn_into_the_output_folder(tmp_path):
    done = plot(STORED, "--works", "gram", "--dtypes", "float64", "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == NAMES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench", "x.json"], "FILES are what --plot draws; add --plot, or leave them out"),
        (["bench", "--plot", "--rounds", "2"], "--plot measures nothing; leave out --rounds"),
        (["bench", "--plot", "--quick"], "--plot measures nothing; leave out --quick"),
        (["bench", "--plot", "--peer-scripts", "x"], "nothing; leave out --peer-scripts"),
        (["bench", "--plot", "--works", "sorting"], "works must be from jacobian, gram"),
        (["bench", "--plot", "--sizes", "7"], "sizes must be from 100, 1000, got 7"),
        (["bench", "--plot"], "there is no ntklin-bench to draw; ntklin bench measures"),
        (["bench", "--plot", "absent.json"], "there is no absent.json to draw"),
        (["bench", "--plot", STORED, "--works", "infinite"], "nothing to draw: of what is asked"),
    ],
)
def test_what_cannot_be_drawn_is_refused(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*words)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert message in done.output
    assert list(tmp_path.iterdir()) == []


def spoiled(**changes):
    return json.dumps(sealed(document(**changes)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no JSON that could be read: JSONDecodeError"),
        ("[1]", "carries no digest of its contents"),
        (STORED.read_text("utf-8").replace("gaussian", "mnist"), "contents have another digest"),
        (spoiled(schema="ntklin-verify/1"), "its schema is 'ntklin-verify/1', not 2"),
        (spoiled(rows=None), r"is no result of ntklin bench (TypeError: "),
        (spoiled(rows=[{"work": "gram"}]), r"is no result of ntklin bench (KeyError: 'variant')"),
        (spoiled(machine=None), "has no measurements: the run ended before the first"),
    ],
    ids=["nothing", "list", "changed", "schema", "rows", "row", "unbegun"],
)
def test_bad_files_are_named(text, reason, tmp_path):
    path = tmp_path / "b.json"
    path.write_text(text, "utf-8")
    done = plot(path, "--out", tmp_path)
    assert done.exit_code == 2
    assert done.output.startswith(f"error: {path} ")
    assert reason in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_another_machine_is_refused(write):
    machine = document()["machine"]
    other = write(document(machine=machine | {"threads": 64}))
    with pytest.raises(ValueError, match=r"x\.json is of another machine .*: its threads is 64, "):
        standings.read([STORED, other])
    both = standings.read([STORED, STORED])
    assert both.runs == 2
    assert replace(both, versions={}, runs=1) == replace(standings.read([STORED]), versions={})
    assert np.isfinite(
        [q for s in both.standings for r in s.ratios if r.rounds for q in r.quartiles]
    ).all()
