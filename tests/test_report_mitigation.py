"""A mitigation's table, figure, page and files."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import ntklin
from ntklin.apps.plots.mitigation import mitigation_figure
from ntklin.apps.report.mitigation import NAMES, mitigation_json, write_mitigation
from ntklin.apps.report.mitigation_page import mitigation_page
from ntklin.apps.report.mitigation_table import print_mitigation
from ntklin.recipes.mitigation import (
    CONVERGED,
    DIVERGED,
    HALF_LIFE,
    INTERRUPTED,
    NO_DECREASE,
    SMALLEST,
    STEP_LIMIT,
    TIME_LIMIT,
    TOO_SLOW,
    Mitigation,
    Trial,
)

NET = ntklin.MLP((3, 4, 1))
RUN = ntklin.train(NET, NET.init(0), np.eye(3), np.ones(3), steps=1)
PROVENANCE = {
    "command": "ntklin mitigate --data 'a<b> & c'",
    "created": "2021-05-03T10:00:00+00:00",
    "elapsed_seconds": 12.4,
    "versions": {"ntklin": "0.0"},
    "machine": {"cpu": "Abacus <2>"},
}
CONFIG = {
    "data": "gauss",
    "provenance": "drawn here",
    "n_train": 3,
    "n_val": 4,
    "n_test": 5,
    "depth": 2,
    "widths": [3, 4, 1],
    "sigma": 1.0,
    "scaling": "fan_out",
    "bias": "zero",
    "seed": 0,
    "dtype": "float64",
    "factor": 0.7,
    "margin": 0.05,
    "min_sigma": 0.01,
    "until": 1e-5,
    "max_steps": 100_000,
    "time_limit": None,
}


def trial(sigma, loss, **changes):
    values = {
        "network": replace(NET, sigma=sigma),
        "outcome": CONVERGED,
        "steps": 1234,
        "seconds": 5.25,
        "training_loss": 9e-6,
        "validation_loss": loss,
        "test_loss": None if loss is None else 2 * loss,
        "initialization_size": 0.1 * sigma**2,
        "interpolator_distance": 0.2 * sigma**2,
    }
    return Trial(**values | changes)


def mitigation(
    losses=(0.04, 0.01, 0.0099), stopped=NO_DECREASE, last=None, baselines=(), **changes
):
    trials = [trial(0.7**k, loss) for k, loss in enumerate(losses)]
    if last is not None:
        trials.append(trial(0.7 ** len(losses), None, **last))
    best = min((t for t in trials if t.converged), key=lambda t: t.validation_loss)
    values = {"trials": tuple(trials), "stopped": stopped, "best": best, "run": RUN}
    return Mitigation(
        **values | {"baselines": tuple(baselines), "factor": 0.7, "margin": 0.05} | changes
    )


def baselines(loss=0.02, **changes):
    doubled = replace(trial(1.0, loss), network=ntklin.DoubledNetwork(NET), **changes)
    return doubled, replace(doubled, network=ntklin.AntisymmetricPair(NET))


def decayed(**changes):
    values = {"outcome": HALF_LIFE, "steps": 4321, "weight_decay": 1.5e-5}
    values |= {"training_loss": 3e-4, "interpolator_distance": 0.0625}
    return trial(1.0, 0.015, **values | changes)


def printed(found, config=CONFIG, width=80):
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_mitigation(console, found, config)
    return console.export_text()


def test_the_terminal_shows_every_number():
    text = printed(mitigation(baselines=baselines()))
    for value in (
        "4.00e-02",
        "8.00e-02",
        "9.0e-06",
        "1.0e-01",
        "1,234",
        "5.2 s",
        "0.49",
        "doubled",
    ):
        assert value in text
    assert "best 0.49" in text
    assert "…" not in text
    # On 80 columns no number is broken.
    assert max(len(line) for line in text.splitlines() if line.startswith("│")) <= 80
    assert "From σ = 1 to σ = 0.49 the validation loss fell from 4.00e-02 to 9.90e-03" in text
    assert "and the test loss from 8.00e-02 to 1.98e-02." in text


REASONS = [
    (
        mitigation(),
        "Stopped: at σ = 0.49 the validation loss fell by only 1.0%; the margin is 5%.",
    ),
    (
        mitigation((0.04, 0.05)),
        "Stopped: at σ = 0.7 the validation loss rose by 25.0%; the margin is 5%.",
    ),
    (
        mitigation(
            (0.04,),
            TOO_SLOW,
            {"outcome": STEP_LIMIT, "validation_loss": 0.01, "training_loss": 0.5},
        ),
        "Stopped: at σ = 0.7 training is impractically slow: its loss is 5.0e-01 after 100,000 "
        "steps.",
    ),
    (
        mitigation(
            (0.04,),
            TOO_SLOW,
            {"outcome": TIME_LIMIT, "validation_loss": 0.01, "training_loss": 0.5},
        ),
        "its loss is 5.0e-01 after 30 s.",
    ),
    (mitigation(stopped=SMALLEST), "Stopped: the next σ would be below 0.01."),
    (
        mitigation((0.04,), DIVERGED, {"outcome": "diverged", "training_loss": None}),
        "Stopped: training diverged at σ = 0.7; wider layers",
    ),
    (mitigation(stopped=INTERRUPTED), "Stopped: interrupted."),
]


@pytest.mark.parametrize(("found", "sentence"), REASONS)
def test_why_it_stopped(found, sentence):
    config = CONFIG | {"time_limit": 30.0}
    assert sentence in printed(found, config)
    assert ("Incomplete" in printed(found, config)) == (found.stopped == INTERRUPTED)


def test_when_the_first_is_the_best():
    assert "The first network, σ = 1, has the smallest validation loss." in printed(
        mitigation((0.04, 0.05))
    )


def test_baselines_are_compared():
    text = printed(mitigation(baselines=baselines()))
    assert (
        "The doubled network and the antisymmetrical pair, one function here, have 2.02 times the "
        "validation loss of the best network with 1.95 times as many parameters." in text
    )
    doubled, pair = baselines()
    pair = replace(pair, steps=5, outcome=STEP_LIMIT)
    text = printed(mitigation(baselines=(doubled, pair)))
    assert "The doubled network has 2.02 times" in text
    assert "2.00 times as many parameters, its training being cut short." in text
    gone = replace(pair, outcome="diverged", validation_loss=None, training_loss=None)
    assert "The antisymmetrical pair diverged." in printed(mitigation(baselines=(doubled, gone)))


def test_weight_decay_is_compared():
    text = printed(mitigation(baselines=baselines(), decayed=decayed()))
    assert "│     decay │   1.50e-02 │ 3.00e-02 │  3.0e-04 │" in text
    assert "│ half-life │" in text
    assert (
        "The network with weight decay has 1.52 times the validation loss of the best network with "
        "1.00 times as many parameters." in text
    )
    assert (
        "With weight decay 1.5e-05 the linearized network is f_int after 4,321 steps; the real "
        "one, its training loss 3.0e-04, is 0.062 away from it, and without decay 0.2." in text
    )
    text = printed(mitigation(decayed=decayed(outcome=STEP_LIMIT)))
    assert "1.00 times as many parameters, its training being cut short." in text
    assert "the linearized network is f_int" not in text
    gone = decayed(outcome=DIVERGED, validation_loss=None, interpolator_distance=None)
    assert "The network with weight decay diverged." in printed(mitigation(decayed=gone))
    unknown = decayed(interpolator_distance=None)
    assert "the linearized network is f_int" not in printed(mitigation(decayed=unknown))


def test_no_network_that_is_trained_to_the_end():
    found = mitigation((0.04,))
    first = replace(found.best, outcome=STEP_LIMIT)
    found = replace(found, trials=(first,), best=first, stopped=TOO_SLOW)
    assert "No network reached the target" in printed(found)


def curve(axes, label):
    (line,) = [line for line in axes.get_lines() if label in str(line.get_label())]
    return np.array(line.get_xdata(), float), np.array(line.get_ydata(), float)


def test_the_figure_shows_the_trials():
    found = mitigation(baselines=baselines(), decayed=decayed())
    losses, steps = mitigation_figure(found, CONFIG).axes
    assert (losses.get_xscale(), losses.get_yscale()) == ("log", "log")
    sigmas = 0.7 ** np.arange(3)
    x, y = curve(losses, "validation loss")
    np.testing.assert_allclose(x, sigmas)
    np.testing.assert_array_equal(y, [0.04, 0.01, 0.0099])
    np.testing.assert_allclose(curve(losses, "test loss")[1], 2 * y)
    np.testing.assert_allclose(curve(losses, "init")[1], 0.01 * sigmas**4)
    assert curve(losses, "doubled")[1] == [0.02]
    assert curve(losses, "pair")[0] == [1.0]
    assert curve(steps, "steps")[1].tolist() == [1234] * 3
    assert curve(steps, "pair")[1] == [1234]
    assert curve(losses, "decay")[1] == [0.015]
    assert curve(steps, "decay")[1] == [4321]
    ring = losses.get_lines()[-1]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (pytest.approx(0.49), 0.0099)
    assert [label.get_text() for label in losses.get_xticklabels()] == ["1", "0.7", "0.49"]


def test_the_figure_without_what_is_missing():
    found = mitigation((0.04,), TOO_SLOW, {"outcome": STEP_LIMIT, "test_loss": None})
    found = replace(
        found,
        trials=tuple(replace(t, test_loss=None, initialization_size=None) for t in found.trials),
    )
    losses, steps = mitigation_figure(found, CONFIG).axes
    labels = [str(line.get_label()) for line in losses.get_lines()]
    assert not any("test" in label or "init" in label for label in labels)
    assert curve(losses, "validation loss")[0].tolist() == [1.0]
    assert curve(steps, "given up")[0] == [0.7]


def test_a_vanishing_initialization_term_does_not_squeeze_the_losses():
    found = mitigation((0.04, 0.01))
    tiny = tuple(replace(t, initialization_size=1e-9) for t in found.trials)
    axes = mitigation_figure(replace(found, trials=tiny), CONFIG).axes[0]
    assert axes.get_ylim()[0] == pytest.approx(1e-4)


def test_the_page_says_what_how_and_on_what():
    page = mitigation_page(
        mitigation(baselines=baselines(), decayed=decayed()),
        CONFIG | {"data": "<b>&data"},
        b"picture",
        PROVENANCE,
    )
    assert "<b>&data" not in page
    assert "&lt;b&gt;&amp;data" in page
    for wanted in (
        "9.90e-03",
        "antisymmetrical pair",
        "network with weight decay<small>half-life</small>",
        "6.2e-02",
        "distance to f",
        "the margin is 5%",
        "f<sub>init</sub>",
        "<small>best</small>",
        "100,000",
        "drawn here",
        "Abacus &lt;2&gt;",
        "ntklin mitigate --data",
        "load_run",
    ):
        assert wanted in page, wanted
    assert "Incomplete" not in page
    page = mitigation_page(mitigation(stopped=INTERRUPTED), CONFIG, b"", PROVENANCE)
    assert "Incomplete: the search was interrupted" in page


TRIAL = {
    "sigma": float,
    "n_parameters": int,
    "outcome": str,
    "validation_loss": float,
    "test_loss": float,
    "training_loss": float,
    "initialization_size": float,
    "interpolator_distance": float,
    "steps": int,
    "seconds": float,
}


def test_the_json_has_its_schema():
    values = mitigation_json(mitigation(baselines=baselines()), CONFIG, PROVENANCE)
    values = json.loads(json.dumps(values, allow_nan=False))
    assert list(values) == [
        *("schema", "complete", "stopped", "best", "config", "trials", "baselines", "decayed"),
        "provenance",
    ]
    assert values["schema"] == "ntklin-mitigate/1"
    assert (values["stopped"], values["best"]) == ("no significant decrease", 2)
    assert values["config"] == CONFIG
    for numbers in values["trials"]:
        assert {name: type(value) for name, value in numbers.items()} == TRIAL
    names = [numbers.pop("network") for numbers in values["baselines"]]
    assert names == ["doubled network", "antisymmetrical pair"]
    for numbers in values["baselines"]:
        assert {name: type(value) for name, value in numbers.items()} == TRIAL


def test_the_json_has_weight_decay():
    assert mitigation_json(mitigation(), CONFIG, PROVENANCE)["decayed"] is None
    numbers = mitigation_json(mitigation(decayed=decayed()), CONFIG, PROVENANCE)["decayed"]
    numbers = json.loads(json.dumps(numbers, allow_nan=False))
    kinds = {"weight_decay": float, **TRIAL}
    assert {name: type(value) for name, value in numbers.items()} == kinds
    assert (numbers["outcome"], numbers["weight_decay"]) == ("half-life", 1.5e-5)


def test_missing_numbers_are_null():
    found = mitigation((0.04, math.nan))
    values = mitigation_json(found, CONFIG, PROVENANCE)
    assert values["trials"][1]["validation_loss"] is None
    json.dumps(values, allow_nan=False)


def test_the_files_are_written_and_others_left_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    paths = write_mitigation(mitigation(), CONFIG, folder, PROVENANCE)
    assert [path.name for path in paths] == list(NAMES)
    assert {path.name for path in folder.iterdir()} == {*NAMES, "notes.txt"}
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "mitigate.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert json.loads((folder / "results.json").read_text("utf-8"))["best"] == 2
    loaded = ntklin.load_run(folder / "network.npz")
    np.testing.assert_array_equal(loaded.parameters, RUN.parameters)
    write_mitigation(mitigation(), CONFIG, folder, PROVENANCE)
