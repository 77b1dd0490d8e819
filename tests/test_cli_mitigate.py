"""``ntklin mitigate``: from options to files."""

import shlex

import numpy as np
import pytest
from commands import MITIGATION, invoke, results, typed

import ntklin
from ntklin.apps.cli import mitigate
from ntklin.apps.report.mitigation import NAMES
from ntklin.recipes.mitigation import mitigate_initialization as search

FEW = {"n_train": 4, "n_val": 5, "n_test": 3, "max_steps": 10}


def test_a_run_prints_its_table_and_writes_its_files(tmp_path):
    out = tmp_path / "new" / "out"
    done = invoke("mitigate", *MITIGATION, "--out", out)
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == set(NAMES)
    for wanted in ("σ = 2 ", "best", "f_init", "Stopped: ", "doubled", f"Written to {out}"):
        assert wanted in done.output
    values = results(out)
    assert values["schema"] == "ntklin-mitigate/1"
    assert values["config"]["widths"] == [784, 20, 1]
    assert values["trials"][0]["sigma"] == 2.0
    assert {t["outcome"] for t in values["trials"]} == {"converged"}
    assert len(values["baselines"]) == 2
    assert values["provenance"]["versions"]["ntklin"] == ntklin.__version__


def test_the_network_that_is_kept_can_be_used(tmp_path):
    assert invoke("mitigate", *MITIGATION, "--out", tmp_path).exit_code == 0
    values = results(tmp_path)
    best = values["trials"][values["best"]]
    run = ntklin.load_run(tmp_path / "network.npz")
    data = ntklin.load_data("mnist01", n_train=9, n_test=3)
    for X, Y, name in (
        (data.X_train[:4], data.Y_train[:4], "training_loss"),
        (data.X_train[4:], data.Y_train[4:], "validation_loss"),
        (data.X_test, data.Y_test, "test_loss"),
    ):
        loss = ((run.predict(X) - Y) ** 2).mean() / 2
        assert loss == pytest.approx(best[name], rel=1e-6)
    assert run.network.sigma == best["sigma"]


def test_the_training_points_are_those_of_the_study():
    problem = mitigate.configure(typed(mitigate.Options, **FEW | {"n_train": 6}))
    data = ntklin.load_data("mnist01", n_train=6, n_test=3)
    np.testing.assert_array_equal(problem.samples["X"], data.X_train)
    np.testing.assert_array_equal(problem.samples["X_test"], data.X_test)
    rows = np.vstack([problem.samples[name] for name in ("X", "X_val", "X_test")])
    assert len(np.unique(rows, axis=0)) == 6 + 5 + 3


def test_the_reported_command_repeats_the_run(tmp_path):
    flags = (
        *MITIGATION,
        *("--data", "fashion01", "--depth", 3, "--bias", "normal", "--scaling", "fan_in"),
        *("--seed", 3, "--data-seed", 5, "--dtype", "float32", "--factor", 0.8, "--margin", 0.1),
        *("--max-steps", 400, "--time-limit", 60, "--no-baselines"),
    )
    assert invoke("mitigate", *flags, "--out", tmp_path / "a").exit_code == 0
    first = results(tmp_path / "a")
    words = shlex.split(first["provenance"]["command"])
    assert words[0] == "ntklin"
    assert invoke(*words[1:], "--out", tmp_path / "b").exit_code == 0
    second = results(tmp_path / "b")
    assert second["config"] == first["config"]
    assert second["config"]["time_limit"] == 60
    assert (first["baselines"], second["baselines"]) == ([], [])
    assert second["stopped"] == first["stopped"]
    for old, new in zip(first["trials"], second["trials"], strict=True):
        assert old.pop("outcome") == new.pop("outcome")
        del old["seconds"], new["seconds"]
        assert new == pytest.approx(old, rel=1e-3)
    assert words == shlex.split(second["provenance"]["command"])


def test_every_setting_reaches_the_search(tmp_path, monkeypatch):
    asked = {}

    def search(net, **options):
        asked.update(options, net=net)
        raise KeyboardInterrupt

    monkeypatch.setattr("ntklin.recipes.mitigation.mitigate_initialization", search)
    values = {
        **{"factor": 0.6, "margin": 0.2, "min_sigma": 0.3, "until": 0.01, "max_steps": 70},
        **{"time_limit": 8.0, "weight_decay": 0.03},
    }
    flags = [word for name, v in values.items() for word in (f"--{name.replace('_', '-')}", v)]
    flags += ["--seed", 9, "--sigma", 1.5, "--no-baselines", "--half-life"]
    done = invoke("mitigate", *MITIGATION, *flags, "--out", tmp_path)
    assert done.exit_code == 130
    assert values.items() <= asked.items()
    assert (asked["rng"], asked["net"].sigma) == (9, 1.5)
    assert (asked["compare_baselines"], asked["compare_decay"]) == (False, True)


@pytest.mark.compiled
def test_half_life_stopping_is_a_row(tmp_path):
    flags = (*MITIGATION, "--half-life", "--weight-decay", 0.02, "--no-baselines")
    done = invoke("mitigate", *flags, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    for wanted in ("decay", "half-life at loss", "the linearized network is f_int after"):
        assert wanted in done.output
    values = results(tmp_path)
    trial = values["decayed"]
    assert (trial["outcome"], trial["weight_decay"]) == ("half-life", 0.02)
    assert (values["config"]["half_life"], values["config"]["weight_decay"]) == (True, 0.02)
    words = shlex.split(values["provenance"]["command"])
    assert "--half-life" in words
    assert words[words.index("--weight-decay") + 1] == "0.02"
    problem = mitigate.configure(typed(mitigate.Options, **FEW | {"width": "20", "sigma": 2.0}))
    net, X, Y = problem.net, problem.samples["X"], problem.samples["Y"]
    run = ntklin.decay_initialization(net, net.init(0), X, Y, weight_decay=0.02)
    assert (trial["steps"], trial["training_loss"]) == (run.steps, pytest.approx(run.losses[-1]))


@pytest.mark.parametrize("flags", [("--bias", "normal"), ("--activation", "tanh")], ids=str)
def test_half_life_stopping_needs_a_homogeneous_start(tmp_path, flags):
    done = invoke("mitigate", *MITIGATION, "--half-life", *flags, "--out", tmp_path)
    assert done.exit_code == 2
    assert "take --bias zero or none" in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())


def test_quiet_says_nothing_and_writes_all(tmp_path):
    done = invoke("mitigate", *MITIGATION, "--quiet", "--out", tmp_path)
    assert (done.exit_code, done.output) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_data_of_the_users_own(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    np.savez(path, images=rng.standard_normal((30, 5)), labels=(np.arange(30) % 3 + 1).astype(str))
    out = tmp_path / "out"
    done = invoke("mitigate", *MITIGATION, "--data", path, "--classes", "1,3", "--out", out)
    assert done.exit_code == 0, done.output
    assert results(out)["config"]["widths"] == [5, 20, 1]
    assert results(out)["config"]["data"] == str(path)


def test_a_limit_of_steps_is_said(tmp_path):
    done = invoke("mitigate", *MITIGATION, "--max-steps", 2, "--no-baselines", "--out", tmp_path)
    assert done.exit_code == 0
    assert "step limit at loss" in done.output
    assert "training is impractically slow: its loss is" in done.output
    assert "after 2 steps." in done.output
    assert "No network reached the target" in done.output
    assert results(tmp_path)["stopped"] == "impractically slow"


@pytest.mark.parametrize(
    ("depth", "width", "expected"),
    [(2, None, (1000,)), (4, None, (500,) * 3), (1, None, ()), (3, "50", (50, 50))],
)
def test_widths_by_depth(depth, width, expected):
    problem = mitigate.configure(typed(mitigate.Options, **FEW, depth=depth, width=width))
    assert problem.net.widths == (784, *expected, 1)


def test_the_defaults(monkeypatch):
    seen = []
    monkeypatch.setattr(mitigate, "run", seen.append)
    assert invoke("mitigate").exit_code == 0
    problem = mitigate.configure(seen[0])
    assert [len(problem.samples[name]) for name in ("X", "X_val", "X_test")] == [100] * 3
    assert problem.net == ntklin.MLP((784, 1000, 1), sigma=1.0)
    for name in ("factor", "margin", "min_sigma", "until", "max_steps", "time_limit"):
        default = search.__kwdefaults__[name]
        assert getattr(seen[0].mitigation, name) == default == problem.config[name]


def test_single_precision_is_used(tmp_path):
    assert invoke("mitigate", *MITIGATION, "--dtype", "float32", "--out", tmp_path).exit_code == 0
    assert ntklin.load_run(tmp_path / "network.npz").parameters.dtype == np.float32
