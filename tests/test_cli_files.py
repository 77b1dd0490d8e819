"""What the commands' files are called after, and when they replace those of an earlier run."""

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from commands import invoke
from rich.console import Console

import ntklin
from ntklin.apps.cli.bench import Options
from ntklin.apps.plots import png, study_figure
from ntklin.apps.report.study import NAMES
from ntklin.apps.study import StudyConfig, StudyResult, scale_results
from ntklin.edge.files.seal import read_sealed
from ntklin.recipes.mitigation import MitigationInterrupted, mitigate_initialization
from ntklin.validation import theorems
from ntklin.validation.benchmarks import benchmark, gemm
from ntklin.validation.benchmarks.options import as_options
from ntklin.validation.figures.output import points, stem
from ntklin.validation.figures.panel import Panel, Series

TINY = ("--n-train", "4", "--n-test", "3", "--width", "20", "--until", "0.01", "--sigma")


def printed(*words, status=0):
    done = invoke(*words)
    assert done.exit_code == status, done.output
    return done.output


def contents(folder, names):
    return {name: (folder / name).read_bytes() for name in names}


def finished_stays(out, names, run_again, output):
    """Run what is interrupted, then again to its end, and compare."""
    before = contents(out, names)
    text = output(run_again(130))
    assert contents(out, names) == before
    assert contents(out / "unfinished", names) != before
    assert not read_sealed(out / "unfinished" / "results.json")["complete"]
    assert f"The finished result in {out} stays; this one is not finished." in text
    assert f"Written to {out / 'unfinished'}: " in text


def test_an_unfinished_study_goes_beside_a_finished_one(tmp_path, monkeypatch):
    words = ("minimizer", *TINY, "1,2", "--optimizer", "none", "--no-train", "--out", tmp_path)

    def interrupted(config, observer):
        yield next(scale_results(config, observer))
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr("ntklin.apps.study.scale_results", interrupted)
        printed(*words, status=130)
        assert not read_sealed(tmp_path / "results.json")["complete"]
        assert {path.name for path in tmp_path.iterdir()} == set(NAMES)
    printed(*words)  # a finished one replaces it
    assert read_sealed(tmp_path / "results.json")["complete"]
    with monkeypatch.context() as m:
        m.setattr("ntklin.apps.study.scale_results", interrupted)
        finished_stays(tmp_path, NAMES, lambda status: printed(*words, status=status), str)
    before = (tmp_path / NAMES[2]).stat().st_ino
    printed(*words)
    assert (tmp_path / NAMES[2]).stat().st_ino != before  # written anew


def test_an_unfinished_search_goes_beside_a_finished_one(tmp_path, monkeypatch):
    words = ("mitigate", *TINY, "2", "--n-val", "3", "--min-sigma", "1", "--no-baselines")
    words += ("--out", tmp_path)
    names = ("mitigate.png", "report.html", "results.json", "network.npz")
    printed(*words)
    ntklin.load_run(tmp_path / "network.npz")

    def interrupted(*arguments, **options):
        found = mitigate_initialization(*arguments, **options)
        raise MitigationInterrupted(replace(found, stopped="interrupted"))

    monkeypatch.setattr("ntklin.recipes.mitigation.mitigate_initialization", interrupted)
    before = contents(tmp_path, names)
    text = printed(*words, status=130)
    assert contents(tmp_path, names) == before
    assert {path.name for path in (tmp_path / "unfinished").iterdir()} == set(names)
    assert f"The finished result in {tmp_path} stays" in text


def test_an_unfinished_verification_goes_beside_a_finished_one(tmp_path, monkeypatch):
    statement = next(s for s in theorems.STATEMENTS if s.key == "theorem1")
    first, second, *_ = (c for c in statement.checks if c.strength == "exact")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    words = ("verify", "theorem1", "--quick", "--exact", "--out", tmp_path)
    monkeypatch.setattr(theorems, "STATEMENTS", (replace(statement, checks=(first, second)),))
    printed(*words)
    other = replace(second, name="another", measure=interrupted)
    monkeypatch.setattr(theorems, "STATEMENTS", (replace(statement, checks=(first, other)),))
    names = ("report.html", "results.json")
    finished_stays(tmp_path, names, lambda status: printed(*words, status=status), str)


def rows_of(path):
    return read_sealed(path)["rows"]


class Row:
    """As much of a benchmark's row as is written."""

    failed = ""

    def __init__(self, k):
        self.k = k

    def record(self, limits):
        return {"k": self.k}


def test_a_benchmark_is_replaced_by_no_lesser_one(tmp_path):
    def bench(n):
        b = benchmark.Benchmark(
            as_options(Options(out=tmp_path, quick=True)),
            Console(file=io.StringIO()),
        )
        b.rows = [Row(k) for k in range(n)]
        return b

    out, beside = tmp_path / "bench.json", tmp_path / "unfinished" / "bench.json"
    bench(3).save()
    bench(2).save()
    assert len(rows_of(out)) == 3  # neither is finished, and the first had come further
    bench(4).save(complete=True)
    bench(1).save()
    stopped = bench(5)
    assert (len(rows_of(out)), len(rows_of(beside))) == (4, 1)
    stopped.interrupted = True
    stopped.save()
    assert stopped.written == beside
    bench(2).save()
    assert (len(rows_of(out)), len(rows_of(beside))) == (4, 5)
    bench(0).save(complete=True)
    assert rows_of(out) == []
    assert not beside.parent.exists()


def test_a_benchmark_that_is_killed_leaves_the_finished_one(tmp_path, monkeypatch):
    monkeypatch.setattr(gemm, "core_types", lambda: ())
    console, out = Console(file=io.StringIO(), width=200), tmp_path / "out"
    options = {"quick": True, "out": out, "threads": 1, "works": ["infinite"], "cases": ["A"]}
    options |= {"dtypes": ["float64"], "inputs": ["gaussian"]}
    assert benchmark.main(Options(**options), console) == 0
    assert read_sealed(out / "bench.json")["complete"]
    before = (out / "bench.json").read_bytes()

    def fail(*arguments, **settings):
        raise ZeroDivisionError("amid")

    monkeypatch.setattr(benchmark.Benchmark, "problem", fail)
    with pytest.raises(ZeroDivisionError, match="amid"):
        benchmark.main(Options(**options), console)
    assert (out / "bench.json").read_bytes() == before


# Names


ODD = (
    *("\udcff.npz", "$a_{$b}\\x$.npz", "a\nb\x1b[31m.npz", "[red]x[bold].npz", "=1+1.npz"),
    *("<b>'\"&amp;.npz", "~nobody-of-that-name.npz", "x" * 250 + ".npz"),
)


class Text(HTMLParser):
    """Text of a page, outside its style."""

    def __init__(self):
        super().__init__()
        self.text = ""

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_shown_in_every_file(name, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    with open(name, "wb") as f:
        np.savez(f, images=rng.standard_normal((30, 5)), labels=np.arange(30) % 2)
    words = ("minimizer", *TINY, "1", "--optimizer", "none", "--no-train", "--out", "out")
    output = printed(*words, "--data", name)
    assert "\x1b" not in output
    shown = ntklin.load_data(name, 4, 3).name
    assert shown.isprintable()
    assert read_sealed(tmp_path / "out" / "results.json")["config"]["data"] == shown
    page = Text()
    page.feed((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert page.text.count(shown) >= 3  # the title, the subtitle and the configuration
    assert "\x1b" not in page.text


@pytest.mark.parametrize("name", ["$a_{$", "$x$", "\udcff", "a\nb", "日本"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_odd_names_are_drawn_as_they_are(name):
    data = replace(ntklin.load_data("mnist01", 4, 3), name=name)
    config = StudyConfig(data=data, hidden_widths=(8,), sigmas=(1.0,), train=False, optimizers=())
    result = StudyResult(config, tuple(scale_results(config)), ())
    figure = study_figure(result)
    title = figure.get_suptitle()
    assert title.replace(r"\$", "").count("$") == 0
    assert title.isprintable()
    assert png(figure).startswith(b"\x89PNG")
    values = json.dumps(config.describe(), ensure_ascii=False).encode()
    assert json.loads(values)["data"].isprintable()


@pytest.mark.parametrize("name", ["\udcff\x1b[31m", "[red]", "[/red]", ":bomb:"])
def test_odd_folders_are_told(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = name.replace("\udcff", "\\xff").replace("\x1b", "\\x1b")
    output = printed("verify", "lemma3", "--quick", "--exact", "--out", name.replace("/", ""))
    assert f"Written to {shown.replace('/', '')}: report.html, results.json" in output


def test_odd_names_in_errors_reach_no_terminal(tmp_path):
    name = str(tmp_path / "a\x1b[2J\udcff.npz")
    output = printed("minimizer", "--data", name, status=2)
    assert "a\\x1b[2J\\xff.npz: no such file or folder" in output.replace("\n", "")
    assert "\x1b" not in output


def test_figures_of_odd_data_have_plain_names():
    class Planned:
        class figure:
            name, dataset = 2, "mnist01"

        dataset, scale_name = "/data/" + "x\n$" * 80 + ".npz", "quick"
        runs = (type("Run", (), {"digest": "0123456789"}),)

    name = stem(Planned)
    assert name.isprintable()
    assert len(name.encode()) < 100
    assert "$" not in name


def test_no_cell_is_a_formula():
    series = Series(name="=1+1", look="gd", x=(1,), draws=((1.0,),))
    panel = Panel(title="+a", x_label="@b", y_label="-c", series=(series,))
    row = list(csv.reader(io.StringIO(points([[panel]]))))[1]
    assert [row[k] for k in (0, 1, 2, 4)] == ["'+a", "'=1+1", "'@b", "'-c"]
