"""``ntklin minimizer``: from options to files."""

import shlex

import numpy as np
import pytest
from commands import STUDY, SWEEP, invoke, results, typed

import ntklin
from ntklin.apps.cli import minimizer
from ntklin.apps.options import reading
from ntklin.apps.options.study import SeedOptions
from ntklin.apps.report.study import NAMES


def test_a_run_prints_its_tables_and_writes_its_files(tmp_path):
    out = tmp_path / "new" / "out"
    done = invoke("minimizer", *SWEEP, "--out", out)
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
    done = invoke("minimizer", *STUDY, "--out", tmp_path)
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
    done = invoke("minimizer", *STUDY, *flags, "--out", tmp_path)
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
    done = invoke("minimizer", *STUDY, "--optimizer", nothing, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Optimizers" not in done.output
    values = results(tmp_path)
    assert values["optimizers"] == {"summary": [], "records": []}
    assert "--optimizer none" in values["provenance"]["command"]
    assert values["complete"]


def test_the_reported_command_repeats_the_run(tmp_path):
    flags = (
        *STUDY,
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
    assert invoke("minimizer", *SWEEP, "--no-train", "--seed", 7, "--out", tmp_path).exit_code == 0
    command = results(tmp_path)["provenance"]["command"]
    assert "--seeds 7, " in command
    assert "--no-train" in command


def test_no_train_trains_nothing(tmp_path):
    done = invoke("minimizer", *SWEEP, "--no-train", "--out", tmp_path)
    assert "not trained" in done.output
    assert {record["outcome"] for record in results(tmp_path)["records"]} == {"not trained"}


def test_quiet_says_nothing_and_writes_all(tmp_path):
    done = invoke("minimizer", *SWEEP, "--quiet", "--out", tmp_path)
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
    done = invoke("minimizer", *SWEEP, "--no-train", *chosen, "--out", out)
    assert done.exit_code == 0, done.output
    assert results(out)["config"]["widths"] == [5, 20, 1]
    assert results(out)["config"]["data"] == str(path)
    words = shlex.split(results(out)["provenance"]["command"])
    assert words[words.index("--classes") + 1] == written


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
    assert (
        minimizer.configure(typed(minimizer.Options, depth=depth, width=width)).hidden_widths
        == expected
    )


@pytest.mark.parametrize(
    ("seed", "seeds", "expected"),
    [(0, None, (0,)), (7, None, (7,)), (0, "3", (0, 1, 2)), (5, "2", (5, 6)), (0, "4,", (4,))],
)
def test_seeds(seed, seeds, expected):
    assert SeedOptions(seed=seed, seeds=seeds).value() == expected


def test_classes_may_be_words():
    assert reading.labels("3, 8") == ("3", "8")
    assert reading.labels("-1,1") == ("-1", "1")
    assert reading.labels("cat,dog") == ("cat", "dog")
    assert reading.labels('"T-shirt, top" , 7 - sneaker') == ("T-shirt, top", "7 - sneaker")
    assert reading.labels('"say ""a""",""') == ('say "a"', "")
    assert reading.labels('5" pipe,"6"" pipe') == ('5" pipe', '"6"" pipe')


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
