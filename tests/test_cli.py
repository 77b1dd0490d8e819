"""The command line: options, errors, interruptions, and what it chooses before NumPy is loaded."""

import io
import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import ntklin
from ntklin.cli import arguments, blas, comparison_progress, environment, minimizer, threads
from ntklin.cli.app import app
from ntklin.cli.comparison_progress import LineComparison, LiveComparison
from ntklin.cli.progress import LineProgress, LiveProgress, label, share, summary
from ntklin.report import NAMES
from ntklin.study import ComparisonObserver, Observer
from ntklin.study import optimizer_records as study_optimizer_records
from ntklin.study import records as study_records

TINY = ("--n-train", "4", "--n-test", "3", "--width", "20", "--until", "0.01", "--sigma", "1,2")
SMALL = (*TINY, "--optimizer", "none")


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="ntklin")


def in_process(*words, cwd, **settings):
    """The command in a Python of its own."""
    command = [sys.executable, "-m", "ntklin.cli", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | settings, capture_output=True, text=True, timeout=300
    )


def results(folder):
    return json.loads((folder / "results.json").read_text("utf-8"))


def test_commands_are_listed():
    done = invoke("--help")
    assert done.exit_code == 0
    for name in ("minimizer", "mitigate", "verify", "figure", "bench", "info"):
        assert name in done.output


def test_without_a_command_there_is_help():
    assert "Usage: ntklin" in invoke().output


def test_the_version():
    assert invoke("--version").output == f"ntklin {ntklin.__version__}\n"


@pytest.mark.parametrize("command", ["minimizer", "mitigate", "verify", "figure", "bench"])
def test_help_has_examples(command):
    done = invoke(command, "--help")
    assert done.exit_code == 0
    assert "Examples" in done.output
    assert f"ntklin {command}" in done.output


def test_a_run_prints_its_tables_and_writes_its_files(tmp_path):
    out = tmp_path / "new" / "out"
    done = invoke("minimizer", *SMALL, "--out", out)
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == set(NAMES)
    for wanted in ("σ = 1", "σ = 2", "λ_max", "f_int", "theory: 2", f"Written to {out}"):
        assert wanted in done.output
    values = results(out)
    assert values["complete"]
    assert [record["sigma"] for record in values["records"]] == [1.0, 2.0]
    assert {record["outcome"] for record in values["records"]} == {"converged"}
    assert values["config"]["widths"] == [784, 20, 1]
    versions = values["provenance"]["versions"]
    assert versions["ntklin"] == ntklin.__version__
    assert versions["numpy"] == np.__version__


def test_by_default_optimizers_are_compared(tmp_path):
    done = invoke("minimizer", *TINY, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    for wanted in ("Optimizers at σ = 0.5", "AdaGrad", "Adam", "Where they end", "theory: 2"):
        assert wanted in done.output
    values = results(tmp_path)
    assert values["complete"]
    found = values["optimizers"]["records"]
    assert [record["optimizer"] for record in found] == ["gd", "adagrad", "adam"]
    assert {record["sigma"] for record in found} == {0.5}
    assert {record["outcome"] for record in found} == {"converged"}
    assert "Where they end" in (tmp_path / "report.html").read_text("utf-8")


def test_optimizers_are_chosen_by_name(tmp_path):
    flags = ("--optimizer", "SGD, gd,adam-sgd", "--split", 0.5, "--optimizer-sigma", 2)
    done = invoke("minimizer", *TINY, *flags, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    values = results(tmp_path)
    found = values["optimizers"]["records"]
    assert [record["optimizer"] for record in found] == ["gd", "sgd", "adam-sgd"]
    assert [record["split"] for record in found] == [None, 0.5, 0.5]
    # Gradient descent's network is the sweep's.
    (swept,) = (record for record in values["records"] if record["sigma"] == 2)
    assert found[0]["distance"] == swept["distance"]
    gd, sgd, adam = (record["minimizer_distance_linearized"] for record in found)
    assert 2 * max(gd, sgd) < adam


@pytest.mark.parametrize("nothing", ["none", "", " None "])
def test_no_optimizers_are_compared_where_none_are_wanted(nothing, tmp_path):
    done = invoke("minimizer", *TINY, "--optimizer", nothing, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Optimizers" not in done.output
    values = results(tmp_path)
    assert values["optimizers"] == {"summary": [], "records": []}
    assert "--optimizer none" in values["provenance"]["command"]
    assert values["complete"]


def test_the_reported_command_repeats_the_run(tmp_path):
    flags = (
        *TINY,
        *("--optimizer", "gd,adam-sgd", "--optimizer-sigma", 1.5, "--split", 0.25),
        *("--data", "fashion01", "--depth", 3, "--bias", "normal", "--scaling", "fan_in"),
        *("--seed", 3, "--seeds", 2, "--data-seed", 5, "--dtype", "float32", "--max-steps", 7),
    )
    assert invoke("minimizer", *flags, "--out", tmp_path / "a").exit_code == 0
    first = results(tmp_path / "a")
    words = shlex.split(first["provenance"]["command"])
    assert words[0] == "ntklin"
    assert invoke(*words[1:], "--out", tmp_path / "b").exit_code == 0
    second = results(tmp_path / "b")
    assert second["config"] == first["config"]
    assert second["config"]["seeds"] == [3, 4]
    # A second process may run other vector kernels on arrays that are aligned differently.
    for old, new in zip(first["records"], second["records"], strict=True):
        assert old.pop("outcome") == new.pop("outcome")
        assert new == pytest.approx(old, rel=1e-3)
    for old, new in zip(*(r["optimizers"]["records"] for r in (first, second)), strict=True):
        assert old["optimizer"] == new["optimizer"]
        names = ("learning_rate", "test_loss_linearized", "test_loss_network")
        assert [new[n] for n in names] == pytest.approx([old[n] for n in names], rel=1e-3)
    assert words == shlex.split(second["provenance"]["command"])


def test_one_seed_of_several_repeats_as_a_list(tmp_path):
    assert invoke("minimizer", *SMALL, "--no-train", "--seed", 7, "--out", tmp_path).exit_code == 0
    command = results(tmp_path)["provenance"]["command"]
    assert "--seeds 7, " in command
    assert "--no-train" in command


def test_no_train_trains_nothing(tmp_path):
    done = invoke("minimizer", *SMALL, "--no-train", "--out", tmp_path)
    assert "not trained" in done.output
    assert {record["outcome"] for record in results(tmp_path)["records"]} == {"not trained"}


def test_quiet_says_nothing_and_writes_all(tmp_path):
    done = invoke("minimizer", *SMALL, "--quiet", "--out", tmp_path)
    assert (done.exit_code, done.output) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


@pytest.mark.parametrize(
    ("names", "written"),
    [
        ([1, 2, 3], "1,3"),
        (["1", "2", "3"], "1,3"),
        ([b"1", b"2", b"3"], "1,3"),
        (["T-shirt, top", "dress", "<bag> [red]"], '"T-shirt, top",<bag> [red]'),
    ],
)
def test_data_of_the_users_own(tmp_path, names, written):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    labels = np.array(names)[np.arange(30) % 3]
    np.savez(path, images=rng.standard_normal((30, 5)), labels=labels)
    out = tmp_path / "out"
    chosen = ("--data", path, "--classes", written)
    done = invoke("minimizer", *SMALL, "--no-train", *chosen, "--out", out)
    assert done.exit_code == 0, done.output
    assert results(out)["config"]["widths"] == [5, 20, 1]
    assert results(out)["config"]["data"] == str(path)
    words = shlex.split(results(out)["provenance"]["command"])
    assert words[words.index("--classes") + 1] == written


ERRORS = [
    (("--data", "mnst01"), "no data set or path is called 'mnst01'.*Did you mean"),
    (("--data", "/no/such/file.npz"), "/no/such/file.npz: no such file or folder"),
    (("--classes", "1"), "--classes needs two labels, such as 0,1; got '1'"),
    (("--classes", "1,1"), "classes must be two different labels"),
    (("--classes", "1,7"), "no samples of class 7; it has 0, 1"),
    (("--n-train", "5000"), "n_train . n_test = 5003, but mnist01 has 2128 samples"),
    (("--n-train", "0"), "n_train must be at least 1, got 0"),
    (("--n-test", "0"), "it needs at least one test sample"),
    (("--sigma", "1,x"), "--sigma: 'x' is not a number; write a comma-separated list"),
    (("--sigma", ","), "--sigma is empty"),
    (("--sigma", "1,0"), "must be positive and finite, got 0.0"),
    (("--sigma", "nan"), "must be positive and finite, got nan"),
    (("--sigma", "1,2,1.0"), "sigmas contains 1 more than once"),
    (("--depth", "0"), "depth must be at least 1, got 0"),
    (("--width", "wide"), "--width: 'wide' is not an integer"),
    (("--width", "4.5"), "--width: '4.5' is not an integer"),
    (("--width", "0"), "must be at least 1, got 0"),
    (("--width", "3,4"), "--width lists 2 layers, but --depth 2 has 1 hidden layer"),
    (("--scaling", "he"), "scaling must be one of 'fan_out', 'fan_in', 'eq1', got 'he'"),
    (("--bias", "yes"), "bias must be one of 'zero', 'none', 'normal', got 'yes'"),
    (("--dtype", "float16"), "dtype must be one of float64, float32, got 'float16'"),
    (("--data", ""), "the data set's name is empty; for the current folder write ."),
    (("--seeds", "9" * 23), "--seeds must be at most 100000, got 999"),
    (("--seeds", "999999999999"), "for one certain seed write --seed 999999999999"),
    (("--seeds", "1,-2"), "--seeds must be at least 0, got -2"),
    (("--seed", "-1"), "--seed must be at least 0, got -1"),
    (("--data-seed", "-1"), "--data-seed must be at least 0, got -1"),
    (("--depth", "9" * 23), "--depth must be at most 10000, got 999"),
    (("--seeds", "0"), "--seeds must be at least 1, got 0"),
    (("--seeds", "1,1"), "seeds contains 1 more than once"),
    (("--seeds", "1,b"), "--seeds: 'b' is not an integer"),
    (("--seeds", "1,2", "--seed", "3"), "--seed goes with a number of --seeds, not with a list"),
    (("--rcond", "1"), "rcond must be below 1"),
    (("--out", ""), "the output folder's name is empty; for the current folder write ."),
    (("--sigma", "1e100"), r"the learning rate 0\.5 N/λ_max underflows float64; .*change sigma"),
    (("--until", "0"), "until must be positive and finite"),
    (("--optimizer", "gd,adamw"), "optimizers contains 'adamw'; known are gd, sgd, adagrad"),
    (("--optimizer", "none,gd"), "optimizers contains 'none'; known are gd, sgd, adagrad"),
    (("--optimizer", "gd,gd"), "optimizers contains gd more than once"),
    (("--optimizer-sigma", "0"), "optimizer_sigma must be positive and finite, got 0.0"),
    (("--optimizer", "gd", "--optimizer-sigma", "1e100"), "N/λ_max underflows float64"),
    (("--split", "0"), "split must be positive and finite, got 0.0"),
    (("--split", "2"), "split is a share of the samples, in .0, 1., got 2"),
    (("--max-steps", "0"), "max_steps must be at least 1"),
    (("--threads", "0"), "--threads must be between 1 and"),
    (("--threads", "99999"), "--threads must be between 1 and"),
]


# Uncompiled kernels warn of the overflow that --sigma 1e100 brings.
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(("flags", "message"), ERRORS, ids=[" ".join(f) for f, _ in ERRORS])
def test_errors_are_one_line(flags, message, tmp_path):
    done = invoke("minimizer", *SMALL, "--out", tmp_path / "out", *flags)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert done.output.count("\n") == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(done.output)
    assert list(tmp_path.iterdir()) == []


def test_degenerate_data_names_its_rows(tmp_path):
    X = np.random.default_rng(0).standard_normal((7, 5))
    path = tmp_path / "twins.npz"
    np.savez(path, images=np.concatenate([X, X]), labels=np.arange(14) % 2)
    flags = ("--data", path, "--n-train", 13, "--n-test", 1)
    done = invoke("minimizer", *SMALL, *flags, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "parallel" in done.output
    assert "--rcond" in done.output


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(minimizer, "configure", None)
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        done = invoke("minimizer", "--out", out)
        assert done.exit_code == 2
        assert f"error: cannot write into the output folder {out}: " in done.output
    assert file.read_text() == "mine"


def test_debug_shows_where_it_went_wrong(tmp_path):
    done = invoke("minimizer", *SMALL, "--sigma", "x", "--out", tmp_path, "--debug")
    assert isinstance(done.exception, ValueError)
    assert "error:" not in done.output


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (ValueError("the second σ is cursed"), 2)]
)
def test_what_was_finished_is_kept(error, code, tmp_path, monkeypatch):
    def failing(config, observer):
        for i, record in enumerate(study_records(config, observer)):
            if i == 1:
                raise error
            yield record

    monkeypatch.setattr("ntklin.study.records", failing)
    done = invoke("minimizer", *SMALL, "--out", tmp_path)
    assert done.exit_code == code
    assert "Incomplete: 1 of 2 runs finished" in done.output
    assert ("cursed" in done.output) == (code == 2)
    values = results(tmp_path)
    assert not values["complete"]
    assert [record["sigma"] for record in values["records"]] == [1.0]
    assert "Incomplete" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (ValueError("the second one is cursed"), 2)]
)
def test_what_was_finished_of_the_comparison_is_kept(error, code, tmp_path, monkeypatch):
    def failing(config, sweep, observer):
        for i, record in enumerate(study_optimizer_records(config, sweep, observer)):
            if i == 1:
                raise error
            yield record

    monkeypatch.setattr("ntklin.study.optimizer_records", failing)
    done = invoke("minimizer", *TINY, "--out", tmp_path)
    assert done.exit_code == code
    assert "Incomplete: 3 of 5 runs finished" in done.output
    assert ("cursed" in done.output) == (code == 2)
    values = results(tmp_path)
    assert not values["complete"]
    assert [record["sigma"] for record in values["records"]] == [1.0, 2.0]
    assert [r["optimizer"] for r in values["optimizers"]["records"]] == ["gd"]


def test_a_scale_without_a_comparison_is_refused_before_the_sweep(tmp_path, monkeypatch):
    """σ = 1e-200 is fine for the parser, but no learning rate is large enough there."""
    monkeypatch.setattr("ntklin.study.records", None)
    flags = ("--optimizer-sigma", "1e-200", "--out", tmp_path / "out")
    done = invoke("minimizer", *TINY, *flags)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert "the learning rate 0.5 N/λ_max overflows float64" in done.output
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_one_line(tmp_path, monkeypatch):
    def warning(config, observer):
        warnings.warn("the loss rose", stacklevel=1)
        yield from study_records(config, observer)

    monkeypatch.setattr("ntklin.study.records", warning)
    done = invoke("minimizer", *SMALL, "--no-train", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("warning: the loss rose\n")


def test_a_full_disk_costs_the_files_not_the_tables(tmp_path, monkeypatch):
    def full(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr("ntklin.report.write_report", full)
    done = invoke("minimizer", *SMALL, "--no-train", "--out", tmp_path)
    assert done.exit_code == 2
    assert "theory: 2" in done.output
    assert "error: no space left on device" in done.output
    assert "Written" not in done.output


def test_an_interruption_before_the_first_result_writes_nothing(tmp_path, monkeypatch):
    def interrupted(config, observer):
        raise KeyboardInterrupt

    monkeypatch.setattr("ntklin.study.records", interrupted)
    done = invoke("minimizer", *SMALL, "--out", tmp_path)
    assert done.exit_code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_in_a_real_process(tmp_path):
    """The first σ is quick; at the second, the kernel is so ill-conditioned that it takes ages."""
    flags = (*SMALL, "--sigma", "1,1e-4", "--max-steps", "1000000000", "--out", "out")
    with subprocess.Popen(
        [sys.executable, "-m", "ntklin.cli", "minimizer", *flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("σ = 1 ")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Incomplete: 1 of 2 runs finished" in output
    assert errors == ""
    assert [r["sigma"] for r in results(tmp_path / "out")["records"]] == [1.0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(NAMES)


def test_a_real_process_uses_the_folder_that_it_runs_in(tmp_path):
    done = in_process("minimizer", *SMALL, "--no-train", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "ntklin-minimizer").iterdir()} == set(NAMES)
    refused = in_process("minimizer", "--data", "nothing", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no data set")
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("words", [["--help"], ["minimizer", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words, tmp_path):
    script = """
import atexit, sys
heavy = ("numpy", "scipy", "numba", "matplotlib", "pooch", "threadpoolctl")
atexit.register(lambda: print("loaded:", [name for name in heavy if name in sys.modules]))
from ntklin.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: []\n")


def options(**changes):
    defaults = {
        "data": "mnist01",
        "classes": "0,1",
        "n_train": 4,
        "n_test": 2,
        "data_seed": 0,
        "depth": 2,
        "width": None,
        "sigma": "1",
        "scaling": "fan_out",
        "bias": "zero",
        "seed": 0,
        "seeds": None,
        "dtype": "float64",
        "device": "cpu",
        "rcond": None,
        "train": True,
        "until": 1e-5,
        "max_steps": 10,
        "optimizer": "none",
        "optimizer_sigma": 0.5,
        "split": 0.1,
        "out": "out",
        "threads": None,
        "quiet": False,
    }
    return minimizer.Options(**defaults | changes)


@pytest.mark.parametrize(
    ("depth", "width", "expected"),
    [
        (2, None, (4000,)),
        (3, None, (2000, 2000)),
        (1, None, ()),
        (3, "50", (50, 50)),
        (3, "50, 20", (50, 20)),
        (4, "5,6,7", (5, 6, 7)),
    ],
)
def test_widths_by_depth(depth, width, expected):
    assert minimizer.configure(options(depth=depth, width=width)).hidden_widths == expected


@pytest.mark.parametrize(
    ("seed", "seeds", "expected"),
    [(0, None, (0,)), (7, None, (7,)), (0, "3", (0, 1, 2)), (5, "2", (5, 6)), (0, "4,", (4,))],
)
def test_seeds(seed, seeds, expected):
    assert arguments.seeds(seed, seeds) == expected


def test_classes_may_be_words():
    assert arguments.classes("3, 8") == ("3", "8")
    assert arguments.classes("-1,1") == ("-1", "1")
    assert arguments.classes("cat,dog") == ("cat", "dog")
    assert arguments.classes('"T-shirt, top" , 7 - sneaker') == ("T-shirt, top", "7 - sneaker")
    assert arguments.classes('"say ""a""",""') == ('say "a"', "")
    assert arguments.classes('5" pipe,"6"" pipe') == ('5" pipe', '"6"" pipe')


def test_the_defaults_are_the_papers(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(minimizer, "run", seen.append)
    assert invoke("minimizer").exit_code == 0
    config = minimizer.configure(seen[0])
    assert config.data.name == "mnist01"
    assert (len(config.data.X_train), len(config.data.X_test)) == (100, 100)
    assert config.widths == (784, 4000, 1)
    assert config.sigmas == (0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
    assert (config.until, config.train, config.dtype) == (1e-5, True, "float64")
    assert config.optimizers == ("gd", "adagrad", "adam")
    assert (config.optimizer_sigma, config.split) == (0.5, 0.1)


CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: {family}
model name\t: Some CPU
flags\t\t: fpu sse2 {flags}

processor\t: 1
vendor_id\t: Other
flags\t\t: fpu
"""
AVX512 = "avx512f avx512dq avx512bw avx512vl"


def cpuinfo(vendor, family, flags=AVX512):
    return CPUINFO.format(vendor=vendor, family=family, flags=flags)


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        (cpuinfo("AuthenticAMD", 25), {}, "SkylakeX"),  # Zen 4
        (cpuinfo("AuthenticAMD", 26), {}, "SkylakeX"),  # Zen 5
        (cpuinfo("AuthenticAMD", 26), {"OPENBLAS_CORETYPE": "Zen"}, None),
        (cpuinfo("AuthenticAMD", 26), {"OPENBLAS_CORETYPE": ""}, None),
        (cpuinfo("AuthenticAMD", 25, "avx2"), {}, None),  # Zen 3
        (cpuinfo("AuthenticAMD", 26, "avx512f avx512dq avx512bw"), {}, None),
        (cpuinfo("AuthenticAMD", 26, "xavx512f avx512dq avx512bw avx512vl"), {}, None),
        (cpuinfo("AuthenticAMD", 23), {}, None),
        (cpuinfo("GenuineIntel", 6), {}, None),
        (cpuinfo("GenuineIntel", 26), {}, None),
        ("", {}, None),
        ("nonsense", {}, None),
    ],
)
def test_the_choice_of_openblas_kernels(text, environ, expected):
    assert blas.recommended_coretype(text, environ) == expected


@pytest.mark.parametrize("first", ["", "import numpy; "])
def test_the_choice_is_made_before_numpy_is_loaded(first, tmp_path):
    script = f"""
{first}import os, sys
from ntklin.cli import blas
blas.read_cpuinfo = lambda: {cpuinfo("AuthenticAMD", 26)!r}
blas.prepare()
print(os.environ.get("OPENBLAS_CORETYPE"), "numpy" in sys.modules)
"""
    environ = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    output = subprocess.check_output(
        [sys.executable, "-c", script], env=environ, text=True, cwd=tmp_path
    )
    assert output == ("None True\n" if first else "SkylakeX False\n")


def test_the_choice_lands_in_the_environment(monkeypatch):
    monkeypatch.setattr(blas, "read_cpuinfo", lambda: cpuinfo("AuthenticAMD", 26))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    blas.prepare()
    assert os.environ["OPENBLAS_CORETYPE"] == "Zen"
    monkeypatch.delenv("OPENBLAS_CORETYPE")
    blas.prepare()
    assert "OPENBLAS_CORETYPE" not in os.environ
    monkeypatch.delitem(sys.modules, "numpy")
    blas.prepare()
    assert os.environ.pop("OPENBLAS_CORETYPE") == "SkylakeX"


def test_systems_without_cpuinfo_are_left_alone(monkeypatch):
    class NoFile:
        def __init__(self, path):
            pass

        def read_text(self, **settings):
            raise FileNotFoundError

    monkeypatch.setattr(blas, "Path", NoFile)
    assert blas.read_cpuinfo() == ""


@pytest.mark.parametrize(
    ("text", "kernels", "environ", "expected"),
    [
        ("", "Haswell", {}, "unknown"),
        (cpuinfo("GenuineIntel", 6, "avx2"), "Haswell", {}, "has none"),
        (cpuinfo("GenuineIntel", 6), "SkylakeX", {}, "used by BLAS"),
        (
            cpuinfo("AuthenticAMD", 26),
            "SkylakeX",
            {"OPENBLAS_CORETYPE": "SkylakeX"},
            "used by BLAS (OPENBLAS_CORETYPE=SkylakeX)",
        ),
        (
            cpuinfo("AuthenticAMD", 26),
            "Haswell",
            {},
            "not used by the BLAS of numpy; set OPENBLAS_CORETYPE=SkylakeX before Python starts",
        ),
        (
            cpuinfo("AuthenticAMD", 26),
            "Zen",
            {"OPENBLAS_CORETYPE": "Zen"},
            "not used by the BLAS of numpy, because OPENBLAS_CORETYPE=Zen",
        ),
    ],
)
def test_advice_on_avx512(text, kernels, environ, expected):
    libraries = [{"used_by": "numpy", "name": "openblas", "architecture": kernels}]
    assert expected in environment.avx512_advice(text, libraries, environ)


def test_a_blas_of_another_kind_gets_no_advice():
    libraries = [{"used_by": "numpy", "name": "mkl", "architecture": None}]
    assert environment.avx512_advice(cpuinfo("GenuineIntel", 6), libraries, {}) == "used by BLAS"


def test_info_prints_and_parses():
    done = invoke("info")
    assert done.exit_code == 0, done.output
    for name in ("ntklin", "numba", "llvmlite", "CPU", "BLAS of numpy", "memory", "GPU", "CuPy"):
        assert name in done.output, name
    done = invoke("info", "--json")
    facts = json.loads(done.output)
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["threads"]["numba"] == numba.get_num_threads()
    assert {library["used_by"] for library in facts["blas"]} & {"numpy", "shared"}
    assert facts["memory"]["total"] > 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/site-packages/numpy.libs/libscipy_openblas64_-32a4.so", "numpy"),
        ("/site-packages/scipy.libs/libscipy_openblas-6cdc.so", "scipy"),
        ("C:\\site-packages\\numpy.libs\\openblas.dll", "numpy"),
        ("/usr/lib/libopenblas.so.0", "shared"),
    ],
)
def test_who_owns_a_blas(path, expected):
    assert environment.owner(path) == expected


def test_gpus_are_asked_from_the_driver(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/nvidia-smi")

    def answer(returncode, stdout=""):
        done = SimpleNamespace(returncode=returncode, stdout=stdout)
        monkeypatch.setattr(environment.subprocess, "run", lambda *args, **settings: done)
        return environment.gpus()

    assert answer(0, "NVIDIA H200\nNVIDIA L4\n") == ["NVIDIA H200", "NVIDIA L4"]
    assert answer(9, "driver trouble") == []

    def late(*args, **settings):
        raise subprocess.TimeoutExpired("nvidia-smi", 20)

    monkeypatch.setattr(environment.subprocess, "run", late)
    assert environment.gpus() == []
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    assert environment.gpus() == []


def test_a_distribution_that_is_not_there():
    assert environment.installed("ntklin-no-such-thing") is None
    assert environment.installed("ntklin") == ntklin.__version__


def test_cupy_is_found_under_any_of_its_names(monkeypatch):
    monkeypatch.setattr(environment, "installed", {"cupy-cuda13x": "14.0"}.get)
    assert environment.cupy_version() == "14.0"
    monkeypatch.setattr(environment, "installed", {}.get)
    assert environment.cupy_version() is None


def test_systems_that_tell_no_memory(monkeypatch):
    def refuse(name):
        raise ValueError(name)

    monkeypatch.setattr(environment.os, "sysconf", refuse)
    assert environment.memory()["total"] is None


def test_threads_are_limited_for_numba_and_blas_and_restored(tmp_path):
    """In a process of its own, which has two threads of each kind to begin with."""
    script = """
import numba, numpy, scipy.linalg.cython_blas
from threadpoolctl import threadpool_info, threadpool_limits
from ntklin.cli import threads

def counts():
    blas = {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}
    return numba.get_num_threads(), blas

threadpool_limits(2, "blas")
print(counts() == (2, {2}))
with threads.limited(1):
    print(counts() == (1, {1}))
print(counts() == (2, {2}))
with threads.limited(None):
    print(counts() == (2, {2}))
"""
    output = subprocess.check_output(
        [sys.executable, "-c", script],
        env=os.environ | {"NUMBA_NUM_THREADS": "2"},
        text=True,
        cwd=tmp_path,
    )
    assert output == "True\n" * 4


def test_waiting_threads_sleep_unless_the_user_chose(monkeypatch):
    monkeypatch.delitem(sys.modules, "numba")
    environ = {}
    threads.sleep_while_waiting(environ)
    assert environ == {"OMP_WAIT_POLICY": "passive"}
    environ = {"OMP_WAIT_POLICY": "active"}
    threads.sleep_while_waiting(environ)
    assert environ == {"OMP_WAIT_POLICY": "active"}
    monkeypatch.setitem(sys.modules, "numba", numba)
    environ = {}
    threads.sleep_while_waiting(environ)
    assert environ == {}


def test_bars_on_a_terminal(tmp_path):
    config = minimizer.configure(options(sigma="1,2", width="6", until=0.01, seeds="2"))
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with minimizer.progress(console, config) as observer:
        assert isinstance(observer, LiveProgress)
        found = list(study_records(config, observer))
        assert [task.completed for task in observer.bars.tasks] == [1.0] * 4
    text = stream.getvalue()
    assert "σ = 2    seed 1" in text
    assert f"({found[-1].steps_predicted:,} expected)" in text


def test_bars_without_training():
    config = minimizer.configure(options(width="6", train=False))
    console = Console(file=io.StringIO(), force_terminal=True)
    with LiveProgress(console, config) as observer:
        (record,) = study_records(config, observer)
    assert summary(record) == f"{record.steps_predicted:,} steps expected, not trained"
    assert isinstance(minimizer.progress(Console(quiet=True), config), LineProgress)
    assert label(config, 0.5, 0) == "σ = 0.5 "


def test_bars_of_a_comparison_on_a_terminal():
    config = minimizer.configure(
        options(width="6", until=1e-3, seeds="2", optimizer="adam,sgd", max_steps=None)
    )
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with minimizer.comparison_progress(console, config) as observer:
        assert isinstance(observer, LiveComparison)
        states, update = [], observer.bars.update

        def spy(task, **fields):
            states.append(fields["state"])
            update(task, **fields)

        observer.bars.update = spy
        found = list(study_optimizer_records(config, (), observer))
        assert [task.completed for task in observer.bars.tasks] == [1.0] * 4
    text = stream.getvalue()
    assert "Adam seed 0" in text
    assert "SGD  seed 1" in text
    assert f"{found[0].steps_taken:,} steps, {found[0].steps_linearized:,} steps linear" in text
    for start in ("learning rate 0.", "linearized, loss ", "loss "):
        assert [state for state in states if state.startswith(start)], start


def test_lines_of_a_comparison_without_training():
    config = minimizer.configure(options(width="6", train=False, optimizer="sgd", max_steps=3))
    stream = io.StringIO()
    console = Console(file=stream)
    with minimizer.comparison_progress(console, config) as observer:
        assert isinstance(observer, LineComparison)
        (record,) = study_optimizer_records(config, (), observer)
    assert stream.getvalue() == "SGD  3 steps linearized (step limit)\n"
    assert comparison_progress.summary(record) == "3 steps linearized (step limit)"


@pytest.mark.parametrize("kind", [LiveComparison, LineComparison])
def test_comparison_progress_hears_what_observers_hear(kind):
    methods = [name for name in vars(ComparisonObserver) if not name.startswith("_")]
    assert len(methods) == 6
    assert set(methods) <= vars(kind).keys()


@pytest.mark.parametrize("kind", [LiveProgress, LineProgress])
def test_progress_hears_what_observers_hear(kind):
    methods = [name for name in vars(Observer) if not name.startswith("_")]
    assert len(methods) == 4
    assert set(methods) <= vars(kind).keys()


def test_the_bar_counts_decades():
    assert share(1.0, 1.0, 1e-4) == 0
    assert share(1.0, 1e-2, 1e-4) == pytest.approx(0.5)
    assert share(1.0, 1e-5, 1e-4) == 1
    assert share(1.0, 10.0, 1e-4) == 0
    assert share(1.0, float("nan"), 1e-4) == 0
    assert share(1e-5, 1e-6, 1e-4) == 0


@pytest.mark.parametrize("code", [0, 1, 130])
def test_bench_hands_over(code, monkeypatch):
    seen = {}

    def bench(**settings):
        seen.update(settings)
        return code

    monkeypatch.setattr("ntklin.validation.benchmarks.main", bench)
    done = invoke("bench", "--works", "gram, jacobian", "--sizes", "100", "--rounds", 2, "--quick")
    assert done.exit_code == code
    assert isinstance(seen.pop("console"), Console)
    assert seen == {
        "works": ["gram", "jacobian"],
        "cases": None,
        "dtypes": None,
        "sizes": (100,),
        "inputs": None,
        "rounds": 2,
        "peers": None,
        "peer_scripts": None,
        "out": "ntklin-bench",
        "quick": True,
        "threads": None,
        "device": "cpu",
    }


def test_bench_refuses_what_it_does_not_know(tmp_path):
    done = invoke("bench", "--works", "sorting", "--out", tmp_path)
    assert done.exit_code == 2
    assert "error: works must be from" in done.output
    done = invoke("bench", "--sizes", "big", "--out", tmp_path)
    assert "error: --sizes: 'big' is not an integer" in done.output


@pytest.mark.parametrize("module", ["ntklin", "ntklin.cli"])
def test_the_package_runs_as_a_module(module, monkeypatch):
    called = []
    monkeypatch.setattr("ntklin.cli.main", lambda: called.append(True))
    runpy.run_module(module, run_name="__main__")
    assert called == [True]


def test_ctrl_c_while_loading(monkeypatch):
    def interrupted(**settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("ntklin.cli.app.app", interrupted)
    monkeypatch.setattr(blas, "prepare", lambda: None)
    from ntklin.cli import main

    with pytest.raises(SystemExit, match="130"):
        main()
