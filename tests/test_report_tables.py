"""A report's tables are the same on the terminal and on the page, and have what they are of."""

import csv
import io
import os
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from rich.console import Console
from test_looks import size
from test_report import COMPARED, PROVENANCE, make_result
from test_report_mitigation import CONFIG, STEP_LIMIT, baselines, decayed, mitigation

from ntklin.apps.report import mitigation_columns, scale_columns, study_columns
from ntklin.apps.report.html import formulas, legend, number_table
from ntklin.apps.report.mitigation_page import mitigation_page
from ntklin.apps.report.mitigation_table import print_mitigation
from ntklin.apps.report.plan_table import plan_table
from ntklin.apps.report.scale import sizes_csv
from ntklin.apps.report.scale_page import scale_page
from ntklin.apps.report.scale_table import print_sizes
from ntklin.apps.report.study_page import study_page
from ntklin.apps.report.study_tables import print_study
from ntklin.apps.scale.clock import PHASES, Phase

SCALE = {
    "data": "mnist_like",
    "provenance": "not mnist itself",
    "n": 400,
    "n_test": 1000,
    "classes": ["0", "1"],
    "widths": [4, 3, 1],
    "sigma": 0.5,
    "dtype": "float32",
}


class Page(HTMLParser):
    """The tables of a page with the headings above them, its legends, its text."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.legends, self.text, self.heading = {}, [], "", ""
        self.within, self.rows = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag in ("br", "small"):
            self.handle_data("\n")
        if tag not in ("br", "img", "meta"):
            self.within.append(tag)
        if tag == "h2":
            self.heading = ""
        if tag == "table":
            self.rows = self.tables[self.heading] = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "dt":
            self.legends.append(["", ""])

    def handle_endtag(self, tag):
        assert self.within.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "h2" in self.within:
            self.heading += data
        if {"td", "th"} & set(self.within):
            self.rows[-1][-1] += data
        for k, tag in enumerate(("dt", "dd")):
            if tag in self.within:
                self.legends[-1][k] += data


class Kept:
    """A console that keeps what it is told to print."""

    def __init__(self):
        self.things = []

    def print(self, thing, **options):
        self.things.append(thing)

    def tables(self):
        """Headings and rows by title, without signs of style."""
        found = {}
        for thing in self.things:
            if hasattr(thing, "columns"):
                rows = zip(*(column.cells for column in thing.columns), strict=True)
                headings = [column.header for column in thing.columns]
                found[thing.title] = [headings, *map(list, rows)]
        return found


def bare(text):
    """A text without what marks subscripts and superscripts, and without its line breaks."""
    return " ".join(re.sub(r"[_^{}]", "", text).replace("\u2011", "-").split())


def same(page, printed):
    assert [[bare(cell) for cell in row] for row in page] == [
        [bare(cell) for cell in row] for row in printed
    ]


def legend_of(*tables):
    return [(bare(c.heading), bare(c.meaning)) for columns in tables for c in columns]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_study(seeds):
    result = make_result(seeds=seeds, optimizers=COMPARED)
    console = Kept()
    print_study(console, result)
    page = Page(study_page(result, b"", PROVENANCE))
    printed = console.tables()
    assert list(printed) == list(page.tables)[: len(printed)]
    assert len(printed) == 6
    for title, rows in printed.items():
        same(page.tables[title], rows)
    names = "DYNAMICS", "TEST", "TERM", "TRAINING", "ENDS", "ACCURACIES"
    expected = legend_of(*(getattr(study_columns, name) for name in names))
    assert [tuple(map(bare, pair)) for pair in page.legends] == expected
    dynamics = printed["Gradient descent to loss 1e-05"]
    assert dynamics[1][0] == "0.5"
    if len(seeds) == 1:
        assert dynamics[1] == ["0.5", "0.125", "1234", "0.0405", "1,000", "1,100"]
    else:
        assert dynamics[1][-1] == "1,100\n± 0"


def test_a_study_s_other_sentences():
    page = Page(study_page(make_result(activation="erf"), b"", PROVENANCE))
    assert "grows with the initialization scale σ." in bare(page.text)
    assert "would grow" not in page.text
    page = Page(study_page(make_result(), b"", PROVENANCE))
    assert "grows like σL with the initialization scale σ and the number of layers L." in bare(
        page.text
    )
    assert "would grow" in page.text
    assert "1 initialization\n" in page.text
    assert "gauss, 4 training points, L = 2, widths 4–3–1, 1 initialization" in page.text
    facts = dict(page.tables["Configuration"])
    assert facts["widths"] == "4, 3, 1"
    assert facts["n_parameters"] == "19"
    assert facts["classes"] == "not known"
    assert dict(page.tables["Versions and machine"]) == {
        **{"ntklin": "0.0", "python": "3", "cpu": "Abacus <2>"},
    }
    assert "Written 2021-05-03T10:00:00+00:00, 12 s after the start." in page.text


def test_a_mitigation():
    last = {"outcome": STEP_LIMIT, "validation_loss": 0.02, "training_loss": 0.5}
    found = mitigation(last=last, baselines=baselines(), decayed=decayed())
    console = Kept()
    print_mitigation(console, found, CONFIG)
    page = Page(mitigation_page(found, CONFIG, b"", PROVENANCE))
    ((title, printed),) = console.tables().items()
    assert title == "Gradient descent to training loss 1e-05"
    rows = page.tables[title]
    left_out = [bare(heading) for heading in rows[0]].index("distance to fint")
    same([row[1:left_out] + row[left_out + 1 :] for row in rows], [row[1:] for row in printed])
    assert [row[left_out] for row in rows[1:]] == [
        *("2.0e-01", "9.8e-02", "4.8e-02", "2.4e-02", "2.0e-01", "2.0e-01", "6.2e-02")
    ]
    beside = "doubled network", "antisymmetrical pair", "network with weight decay\nhalf-life"
    assert [row[0] for row in rows] == [
        *("σ", "1", "0.7", "0.49\nbest", "0.343\nstep limit"),
        *beside,
    ]
    assert [row[0] for row in printed] == [
        *("\nσ", "1", "0.7", "best 0.49", "0.343\nstep limit"),
        *("doubled", "pair", "decay\nhalf-life"),
    ]
    assert [tuple(map(bare, pair)) for pair in page.legends] == legend_of(
        mitigation_columns.COLUMNS
    )
    facts = dict(page.tables["Configuration"])
    assert (facts["widths"], facts["max_steps"]) == ("3, 4, 1", "100,000")
    assert "gauss, 3 training, 4 validation and 5 test points, L = 2, widths 3–4–1" in page.text


def test_minimizers_of_more_and_more_samples():
    results = [size(n) for n in (100, 400)]
    console = Kept()
    print_sizes(console, results)
    page = Page(scale_page(results, SCALE, True, b"", PROVENANCE))
    printed = console.tables()
    assert list(printed) == ["On the test points", "The solutions", "Time by phase"]
    for title in list(printed)[:2]:
        columns = [bare(heading) for heading in page.tables[title][0]]
        places = [columns.index(bare(heading)) for heading in printed[title][0]]
        same([[row[k] for k in places] for row in page.tables[title]], printed[title])
    assert [bare(heading) for heading in page.tables["The solutions"][0]] == [
        *("N", "solver", "residual", "iterations", "error of α", "time", "memory")
    ]
    assert printed["Time by phase"] == [
        ["\nN", "\nkernel", "\nCholesky factor", "\nsolution"],
        ["100", "0.1 s", "1.0 s", "0 s"],
        ["400", "0.4 s", "4.0 s", "0 s"],
    ]
    assert [tuple(map(bare, pair)) for pair in page.legends] == legend_of(scale_columns.COLUMNS)
    assert "mnist_like, 400 training and 1,000 test points, widths 4–3–1, σ = 0.5" in page.text
    assert "The exact minimizer of 400 samples" in page.text
    assert "The data is not mnist itself." in page.text
    assert "not finished" not in page.text
    facts = dict(page.tables["Configuration"])
    assert (facts["widths"], facts["classes"]) == ("4, 3, 1", "0, 1")
    unfinished = Page(scale_page(results, SCALE | {"data": "gauss"}, False, b"", PROVENANCE))
    assert "The run is not finished: the same command goes on with it." in unfinished.text
    assert "The data is" not in unfinished.text


def test_columns_without_a_number_are_left_out():
    results = [size(100, test_accuracy=None, interpolator_accuracy=None)]
    console = Kept()
    print_sizes(console, results)
    assert [bare(h) for h in console.tables()["On the test points"][0]] == [
        *("N", "test loss f∞", "test loss fint", "size of finit")
    ]


def test_phases_on_a_page():
    phases = (
        Phase("kernel", 12.34, restored=2.0, peak_memory=2500),
        Phase("solve", 0.5),
    )
    page = Page(scale_page([size(1000, phases=phases)], SCALE, True, b"", PROVENANCE))
    assert page.tables["Time and memory by phase, N = 1,000"] == [
        ["phase", "time", "of it in\nearlier runs", "memory,\nat most so far"],
        ["kernel", "12.3 s", "2.0 s", "2.5 kB"],
        ["solution", "0.5 s", "–", "–"],
    ]
    console = Kept()
    some = [size(1000, phases=phases), size(2000, phases=phases[:1])]
    print_sizes(console, some)
    assert console.tables()["Time by phase"][2] == ["2,000", "12.3 s", "–"]


def test_phases_are_called_by_one_or_two_words():
    assert len(set(PHASES.values())) == len(PHASES)
    for words in PHASES.values():
        assert re.fullmatch(r"(Cholesky|[a-z]+)( [a-z]+)?", words), words


def test_numbers_of_sizes_as_csv():
    results = [size(100), size(400, test_accuracy=None)]
    rows = list(csv.DictReader(io.StringIO(sizes_csv(results))))
    names = [column.name for column in scale_columns.COLUMNS]
    assert list(rows[0]) == ["n", *names, *(f"seconds_{name}" for name in PHASES)]
    for row, one in zip(rows, results, strict=True):
        assert int(row["n"]) == one.n
        assert float(row["residual"]) == one.residual
        assert float(row["seconds_kernel"]) == one.phases[0].seconds
        assert row["seconds_data"] == ""
    assert [row["test_accuracy"] for row in rows] == ["0.99", ""]
    assert "\r" not in sizes_csv(results)


def test_a_plan():
    phases = [
        SimpleNamespace(name="kernel", seconds=60.0),
        SimpleNamespace(name="factor", seconds=365.0),
    ]
    plan = SimpleNamespace(memory=2.5e9, flops=1.234e15, seconds=425.0, phases=phases)
    planned = [
        SimpleNamespace(n=1000, solver="packed", disk=8_000_000, plan=plan),
        SimpleNamespace(n=2000, solver="pcg+ntk", disk=0, plan=plan),
    ]
    table = plan_table(SCALE, planned)
    console = Kept()
    console.print(table)
    assert console.tables() == {
        "Plan: mnist_like, widths 4–3–1, float32": [
            ["N", "solver", "memory", "disk", "operations", "time", "of it"],
            [
                *("1,000", "packed", "2.5 GB", "8 MB", "1.2e+15", "7 min 5 s"),
                "kernel 60.0 s, factor 6 min 5 s",
            ],
            [
                *("2,000", "pcg+ntk", "2.5 GB", "none", "1.2e+15", "7 min 5 s"),
                "kernel 60.0 s, factor 6 min 5 s",
            ],
        ]
    }


def tables_of_all():
    console = Kept()
    print_study(console, make_result(optimizers=COMPARED))
    print_mitigation(console, mitigation(baselines=baselines()), CONFIG)
    print_sizes(console, [size(100)])
    console.print(plan_table(SCALE, []))
    return [thing for thing in console.things if hasattr(thing, "columns")]


@pytest.mark.parametrize("table", tables_of_all(), ids=lambda table: table.title)
def test_numbers_stand_on_the_right_and_titles_on_the_left(table):
    assert (table.title_justify, table.title_style) == ("left", "bold")
    assert {column.justify for column in table.columns} == {"right"}
    assert all(column.no_wrap or column.overflow == "fold" for column in table.columns)


def test_rows_that_stand_out():
    console = Kept()
    print_mitigation(console, mitigation(baselines=baselines()), CONFIG)
    table = console.things[0]
    assert [bool(row.style) for row in table.rows] == [False, False, True, False, False]
    assert [row.end_section for row in table.rows] == [False, False, True, False, False]
    wide = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    wide.print(table)
    assert "best 0.49" in wide.export_text()


def test_formulas_in_text():
    assert formulas("a_b") == "a_b"
    assert formulas("f_int, f_{lin}, x^2 and (y)^T") == (
        "f<sub>int</sub>, f<sub>lin</sub>, x<sup>2</sup> and (y)<sup>T</sup>"
    )
    assert formulas("‖X‖_F and σ^{2L}") == "‖X‖<sub>F</sub> and σ<sup>2L</sup>"
    assert formulas("1e-5 < 2") == "1e\u20115 &lt; 2"
    for name in ("int", "init", "lin", "min", "max", "val", "∞", "0", "t", "T", "F", "B", "L"):
        assert formulas(f"x_{name}") == f"x<sub>{name}</sub>"
    assert legend([("a\nb_0", "c^2")]) == (
        "<dl>\n<dt>a b<sub>0</sub></dt><dd>c<sup>2</sup></dd>\n</dl>"
    )
    table = number_table(["a\nb", "f_0"], [["<b>1</b>", "2"]])
    assert "<th>a<br>b</th><th>f<sub>0</sub></th>" in table
    assert "<tr><th><b>1</b></th><td>2</td></tr>" in table
