"""What commands refuse, in one line and before any work."""

import numpy as np
import pytest
from commands import MITIGATION, STUDY, SWEEP, invoke

from ntklin.apps.cli import minimizer, mitigate

REFUSED_BY_BOTH = [
    (("--data", "mnst01"), "no data set or path is called 'mnst01'.*Did you mean"),
    (("--classes", "9-0"), "--classes: the range 9-0 goes down; a label of this name goes in"),
    (("--classes", "0-1000000"), "--classes: the range 0-1000000 has more than 1000 labels"),
    (("--activation", "swish"), "activation must be one of 'relu', 'leaky_relu', .*'swish'"),
    (("--depth", "0"), "depth must be at least 1, got 0"),
    (("--width", "wide"), "--width: 'wide' is not an integer"),
    (("--scaling", "he"), "scaling must be one of 'fan_out', 'fan_in', 'eq1', got 'he'"),
    (("--bias", "yes"), "bias must be one of 'zero', 'none', 'normal', got 'yes'"),
    (("--dtype", "float16"), "dtype must be one of float64, float32, got 'float16'"),
    (("--out", ""), "the output folder's name is empty; for the current folder write ."),
    (("--until", "0"), "until must be positive and finite"),
    (("--max-steps", "0"), "max_steps must be at least 1"),
    (("--threads", "0"), "--threads must be between 1 and"),
    (("--data", "/no/such/file.npz"), "/no/such/file.npz: no such file or folder"),
    (("--classes", "1,1"), "classes must be different labels, but '1' and '1' are the same"),
    (("--classes", "1,7"), "no samples of class 7; it has 0, 1"),
    (("--width", "4.5"), "--width: '4.5' is not an integer"),
    (("--width", "0"), "must be at least 1, got 0"),
    (("--width", "3,4"), "--width lists 2 layers, but --depth 2 has 1 hidden layer"),
    (("--threads", "99999"), "--threads must be between 1 and"),
    (("--data", ""), "the data set's name is empty; for the current folder write ."),
    (("--seed", "-1"), "--seed must be at least 0, got -1"),
    (("--data-seed", "-1"), "--data-seed must be at least 0, got -1"),
    (("--depth", "9" * 23), "--depth must be at most 10000, got 999"),
]
REFUSED_BY_MINIMIZER = [
    (("--classes", "1"), "--classes needs two labels or more, such as 0,1 or 0-9; got '1'"),
    (("--classes", "0-9"), "no samples of class 2; it has 0, 1"),
    (("--classes", "0-1,1"), "different labels, but '1' and '1' are the same"),
    (("--seeds", "9" * 23), "--seeds must be at most 100000, got 999"),
    (("--seeds", "999999999999"), "for one certain seed write --seed 999999999999"),
    (("--seeds", "1,-2"), "--seeds must be at least 0, got -2"),
    (("--n-train", "5000"), "n_train . n_test = 5003, but mnist01 has 2128 samples"),
    (("--n-train", "0"), "n_train must be at least 1, got 0"),
    (("--n-test", "0"), "it needs at least one test sample"),
    (("--sigma", "1,x"), "--sigma: 'x' is not a number; write a comma-separated list"),
    (("--sigma", ","), "--sigma is empty"),
    (("--sigma", "1,0"), "must be positive and finite, got 0.0"),
    (("--sigma", "nan"), "must be positive and finite, got nan"),
    (("--sigma", "1,2,1.0"), "sigmas contains 1 more than once"),
    (("--seeds", "0"), "--seeds must be at least 1, got 0"),
    (("--seeds", "1,1"), "seeds contains 1 more than once"),
    (("--seeds", "1,b"), "--seeds: 'b' is not an integer"),
    (("--seeds", "1,2", "--seed", "3"), "--seed goes with a number of --seeds, not with a list"),
    (("--rcond", "1"), "rcond must be below 1"),
    (("--sigma", "1e100"), "the learning rate 0\\.5 N/λ_max underflows float64; .*change sigma"),
    (("--optimizer", "gd,lion"), r"optimizers contains 'lion'; known are gd, sgd, gd\+mom"),
    (("--optimizer", "none,gd"), r"optimizers contains 'none'; known are gd, sgd, gd\+mom"),
    (("--optimizer", "gd,gd"), "optimizers contains gd more than once"),
    (("--optimizer-sigma", "0"), "optimizer_sigma must be positive and finite, got 0.0"),
    (("--optimizer", "gd", "--optimizer-sigma", "1e100"), "N/λ_max underflows float64"),
    (("--weight-decay", "-1"), "weight_decay must be finite and at least 0, got -1.0"),
    (("--schedule", "fast"), "schedule has the factor 'fast'; a factor is one of cosine:STEPS"),
    (("--split", "0"), "split must be positive and finite, got 0.0"),
    (("--split", "2"), "split is a share of the samples, in .0, 1., got 2"),
]
REFUSED_BY_MITIGATE = [
    (("--classes", "1"), "--classes needs two labels, such as 0,1; got '1'"),
    (("--classes", "0-2"), "--classes needs two labels, such as 0,1; got '0-2'"),
    (
        ("--n-train", "5000"),
        "n_train . n_test = 5008, but .*; n_train is --n-train and --n-val tog",
    ),
    (("--n-train", "0"), "--n-train must be at least 1, got 0"),
    (("--n-val", "0"), "--n-val must be at least 1, got 0"),
    (("--n-test", "0"), "--n-test must be at least 1, got 0"),
    (("--sigma", "0"), "sigma must be positive and finite"),
    (("--sigma", "0.5"), "min_sigma = 1 is above the network's sigma = 0.5"),
    (("--factor", "1"), "factor must be below 1"),
    (("--margin", "1"), "margin must be in \\[0, 1\\)"),
    (("--time-limit", "0"), "time_limit must be positive"),
]
REFUSED = [
    *(("minimizer", SWEEP, *row) for row in (*REFUSED_BY_BOTH, *REFUSED_BY_MINIMIZER)),
    *(("mitigate", MITIGATION, *row) for row in (*REFUSED_BY_BOTH, *REFUSED_BY_MITIGATE)),
]


# Uncompiled kernels warn of the overflow that --sigma 1e100 brings.
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(
    ("command", "small", "flags", "message"),
    REFUSED,
    ids=[" ".join((command, *flags)) for command, _, flags, _ in REFUSED],
)
def test_errors_are_one_line(command, small, flags, message, tmp_path):
    done = invoke(command, *small, "--out", tmp_path / "out", *flags)
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
    done = invoke("minimizer", *SWEEP, *flags, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "parallel" in done.output
    assert "--rcond" in done.output


@pytest.mark.parametrize("command", [minimizer, mitigate])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(command, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "configure", None)
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        done = invoke(command.__name__.rpartition(".")[2], "--out", out)
        assert done.exit_code == 2
        assert f"error: cannot write into the output folder {out}: " in done.output
    assert file.read_text() == "mine"


def test_debug_shows_where_it_went_wrong(tmp_path, capsys):
    with pytest.raises(ValueError, match="'x' is not a number"):
        invoke("minimizer", *SWEEP, "--sigma", "x", "--out", tmp_path, "--debug")
    assert "error:" not in "".join(capsys.readouterr())


def test_a_scale_without_a_comparison_is_refused_before_the_sweep(tmp_path, monkeypatch):
    """σ = 1e-200 is fine for the parser, but no learning rate is large enough there."""
    monkeypatch.setattr("ntklin.apps.study.scale_results", None)
    flags = ("--optimizer-sigma", "1e-200", "--out", tmp_path / "out")
    done = invoke("minimizer", *STUDY, *flags)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert "the learning rate 0.5 N/λ_max overflows float64" in done.output
    assert list(tmp_path.iterdir()) == []
