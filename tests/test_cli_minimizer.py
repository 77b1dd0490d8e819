"""``ntklin minimizer``: from options to files."""

import itertools
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


@pytest.mark.compiled
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


@pytest.mark.compiled
def test_momentum_decay_and_schedules(tmp_path):
    """What is typed is what is computed, shown, and repeated by the command of the report."""
    options = {"--weight-decay": "0.01", "--schedule": "warmup:20*cosine:3000:0.1"}
    flags = ("--optimizer", "gd,sgd+momentum,adamw", *itertools.chain(*options.items()))
    flags = (*flags, "--max-steps", 40, "--split", 0.5)
    done = invoke("minimizer", *STUDY, *flags, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    values = results(tmp_path)
    assert values["config"]["weight_decay"] == 0.01
    assert values["config"]["schedule"] == options["--schedule"]
    found = values["optimizers"]["records"]
    assert [record["optimizer"] for record in found] == ["gd", "sgd+momentum", "adamw"]
    for flag, text in options.items():
        assert f"{flag} {text}" in values["provenance"]["command"].replace("'", "")
        assert text in (tmp_path / "report.html").read_text("utf-8")
    assert "SGD+momentum" in done.output


@pytest.mark.parametrize("nothing", ["none", "", " None "])
def test_no_optimizers_are_compared_where_none_are_wanted(nothing, tmp_path):
    done = invoke("minimizer", *STUDY, "--optimizer", nothing, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Optimizers" not in done.output
    values = results(tmp_path)
    assert values["optimizers"] == {"summary": [], "records": []}
    assert "--optimizer none" in values["provenance"]["command"]
    assert values["complete"]


@pytest.mark.compiled
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


TEN = ("--n-train", "25", "--n-test", "15", "--width", "30", "--until", "0.05", "--sigma", "1,2")


@pytest.mark.compiled
def test_ten_classes_from_one_command(tmp_path):
    """Closed form and trained network side by side, and other optimizers."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 10
    X = 2 * rng.standard_normal((10, 12))[y] + rng.standard_normal((60, 12))
    np.savez(tmp_path / "ten.npz", images=X, labels=y)
    out = tmp_path / "out"
    flags = ("--data", tmp_path / "ten.npz", "--classes", "0-9", "--seeds", 2)
    done = invoke("minimizer", *TEN, *flags, "--optimizer", "gd,sgd,adam", "--out", out)
    assert done.exit_code == 0, done.output
    values = results(out)
    assert values["complete"]
    assert values["config"]["widths"] == [12, 30, 10]
    assert values["config"]["classes"] == list("0123456789")
    for record in (*values["records"], *values["optimizers"]["records"]):
        assert record["outcome"] == "converged"
        assert record["final_loss"] < 0.05
        for name in ("linearized", "network"):
            # Ten classes at random give 0.1; losses of f = 0 would be 1/2.
            assert 0.3 < record[f"accuracy_{name}"] <= 1
        assert record["distance"] < 1
    for record in values["records"]:
        assert record["initialization_size_infinite"] > 0
        assert record["accuracy_network"] == pytest.approx(record["accuracy_linearized"], abs=0.3)
    page = (out / "report.html").read_text("utf-8")
    for text in (done.output, page):
        assert "and accuracy on 15 test points" in text
        assert f"{values['records'][0]['accuracy_interpolator']:.1%}" in text
    assert "Each of the 10 classes has an output of its own" in page
    assert values["provenance"]["command"].count("--classes 0-9") == 1
    by_name = {r["optimizer"]: r for r in values["optimizers"]["records"]}
    assert by_name["gd"]["path_dependent_size"] < 1e-10 < by_name["adam"]["path_dependent_size"]


def test_an_activation_by_name(tmp_path):
    flags = ("--activation", "tanh", "--scaling", "eq1")
    done = invoke("minimizer", *SWEEP, *flags, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "no power is predicted for tanh" in done.output
    assert "m = ∞" not in done.output
    assert "Nothing to compare at infinite width: " in done.output
    values = results(tmp_path)
    assert values["slope"]["expected"] is None
    assert values["infinite_width_missing"]
    assert "--activation tanh" in values["provenance"]["command"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Nothing to compare at infinite width: " in page
    assert "number of layers L" not in page


def test_classes_may_be_ranges():
    assert reading.labels("0-9") == tuple("0123456789")
    assert reading.labels("7, 0-2,x") == ("7", "0", "1", "2", "x")
    assert reading.labels("9-11") == ("9", "10", "11")
    # Dashes that make no range, and what quotes keep from being one.
    assert reading.labels("T-shirt,7 - sneaker") == ("T-shirt", "7 - sneaker")
    assert reading.labels('01-02,-1-2,"3-5",1-x') == ("01-02", "-1-2", "3-5", "1-x")
    for text, message in (("3-3", "two labels or more"), ("5-3", "the range 5-3 goes down")):
        with pytest.raises(ValueError, match=message):
            reading.labels(text)


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
