"""A study's tables, figure, page and files."""

import base64
import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

import ntklin
from ntklin.apps import plots
from ntklin.apps.report.study import NAMES, study_json, write_study
from ntklin.apps.report.study_page import study_page
from ntklin.apps.report.study_tables import print_study
from ntklin.apps.study import OptimizerResult, ScaleResult, StudyConfig, StudyResult
from ntklin.edge.files.writing import require_writable, write_whole

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PROVENANCE = {
    "command": "ntklin minimizer --data 'a<b> & c'",
    "created": "2021-05-03T10:00:00+00:00",
    "elapsed_seconds": 12.4,
    "versions": {"ntklin": "0.0", "python": "3"},
    "machine": {"cpu": "Abacus <2>"},
}


def dataset(name="gauss"):
    X = np.eye(4)
    return ntklin.Dataset(
        name=name, X_train=X, Y_train=X[0], X_test=X[:2], Y_test=X[0, :2], provenance="drawn here"
    )


def make_record(sigma, seed=0, **changes):
    """A record whose test losses follow Thm 2: 0.01 + 0.03 σ^4."""
    values = {
        "lambda_min": 0.125,
        "lambda_max": 1234.5,
        "learning_rate": 0.0405,
        "initial_loss": 1.5,
        "steps_predicted": 1000,
        "outcome": "converged",
        "steps_taken": 1100,
        "final_loss": 9e-6,
        "test_loss_interpolator": 0.01,
        "test_loss_minimizer": 0.01 + 0.03 * sigma**4,
        "test_loss_linearized": 0.01 + 0.03 * sigma**4,
        "test_loss_network": 0.011 + 0.03 * sigma**4,
        "accuracy_interpolator": 0.9625,
        "accuracy_minimizer": 0.84,
        "accuracy_linearized": 0.83,
        "accuracy_network": 0.82 + 0.01 * seed,
        "distance": 0.02,
        "initialization_size": 0.2 * sigma**2 * (1 + 0.1 * seed),
        "initialization_size_infinite": 0.21 * sigma**2,
    }
    return ScaleResult(sigma=sigma, seed=seed, **(values | changes))


def make_result(
    sigmas=(0.5, 1.0, 2.0), seeds=(0,), records=None, ends=None, name="gauss", **settings
):
    config = StudyConfig(
        data=dataset(name), hidden_widths=(3,), sigmas=sigmas, seeds=seeds, **settings
    )
    if records is None:
        records = [make_record(sigma, seed) for seed in seeds for sigma in sigmas]
    if ends is None:
        ends = [make_end(name, seed) for seed in seeds for name in config.optimizers]
    return StudyResult(config, tuple(records), tuple(ends))


def make_end(optimizer, seed=0, **changes):
    """An OptimizerResult; GD and SGD end at GD's minimizer, the others 0.05 away."""
    far = not optimizer.endswith("gd") or "-" in optimizer
    values = {
        "sigma": 0.5,
        "split": 0.1 if optimizer.endswith("sgd") else None,
        "learning_rate": 0.0625,
        "outcome_linearized": "converged",
        "outcome": "converged",
        "steps_linearized": 1234,
        "steps_taken": 5678,
        "final_loss_linearized": 9e-6,
        "final_loss": 8e-6,
        "test_loss_minimizer": 0.007,
        "test_loss_linearized": 0.011 if far else 0.0072,
        "test_loss_network": 0.012 if far else 0.0073,
        "test_loss_interpolating": 0.0115 if far else 0.0072,
        "accuracy_linearized": 0.71,
        "accuracy_network": 0.72 if far else 0.725,
        "accuracy_interpolating": 0.73,
        "path_dependent_size": 0.008 if far else 3e-15,
        "minimizer_distance_linearized": (0.05 if far else 0.003) * (1 + 0.1 * seed),
        "minimizer_distance": 0.055 if far else 0.009,
        "gd_distance": {"gd": 0.0, "sgd": 0.001}.get(optimizer, 0.056),
        "distance": 0.0085,
    }
    return OptimizerResult(optimizer=optimizer, seed=seed, **(values | changes))


ACCURACIES = tuple(
    f"accuracy_{name}" for name in ("interpolator", "minimizer", "linearized", "network")
)
COMPARED = ("gd", "sgd", "adagrad", "adam-sgd")


def untrained(sigma):
    missing = ("steps_taken", "final_loss", "test_loss_network", "accuracy_network", "distance")
    return make_record(sigma, outcome="not trained", **dict.fromkeys(missing))


def printed(result, width=120):
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_study(console, result)
    return console.export_text()


def test_the_terminal_shows_every_number_and_the_slope():
    text = printed(make_result())
    for value in ("0.125", "1234", "0.0405", "1,000", "1,100", "1.00e-02", "4.91e-01", "2.00e-02"):
        assert value in text
    assert "The initialization term grows like σ^p with p = 2.000; theory: 2." in text
    assert "Incomplete" not in text
    assert "±" not in text


def test_the_terminal_shows_deviations_of_several_seeds():
    text = printed(make_result(seeds=(0, 1)))
    assert "p = 2.000 ± 0.000" in text
    assert f"± {0.2 * 0.1 * math.sqrt(0.5):.1e}" in text  # of the initialization term at σ = 1


def test_the_terminal_shows_the_term_at_infinite_width_and_accuracies():
    title = "Initialization term and accuracy on 2 test points"
    text = printed(make_result(seeds=(0, 1)))
    assert title in text
    # The same for all seeds, so that it has no deviation.
    (row,) = (line for line in text.splitlines() if f"{0.21 * 0.25:.2e}" in line)
    cells = ["0.5", "5.25e-02", "5.25e-02", "96.2%", "84.0%", "83.0%", "82.5%"]
    assert [cell.strip() for cell in row.strip("│").split("│")] == cells
    below = text.splitlines()[text.splitlines().index(row) + 1]
    assert [cell.strip() for cell in below.strip("│").split("│")][2:4] == ["", "± 0.0%"]
    assert "± 0.7%" in below

    bare = dict.fromkeys((*ACCURACIES, "initialization_size_infinite"))
    records = [make_record(sigma, **bare) for sigma in (0.5, 1.0, 2.0)]
    text = printed(make_result(records=records))
    assert "Initialization term on 2 test points" in " ".join(text.split())
    assert "m = ∞" not in text
    assert "%" not in text


def test_no_digit_is_lost_on_80_columns():
    text = printed(make_result(seeds=(0, 1)), width=80)
    assert "…" not in text
    assert "4.91e-01" in text


def test_what_went_wrong_is_said():
    records = [
        make_record(0.5, outcome="step limit"),
        make_record(1.0, outcome="diverged", test_loss_network=None, distance=None),
    ]
    text = printed(make_result(records=records, max_steps=1100))
    assert "σ = 0.5: the real network stopped at the step limit, above the target loss" in text
    assert "σ = 1: the real network diverged" in text
    assert "Incomplete: 2 of 3 runs finished" in text
    lines = printed(make_result(records=records, max_steps=1100), width=80).splitlines()
    assert [line for line in lines if line.startswith("σ = 1: the")] == [
        "σ = 1: the real network diverged at the learning rate at which the linearized one "
        "converges; wider layers stay closer to it."
    ]  # in one piece, which the terminal breaks


def test_the_terminal_shows_where_optimizers_end():
    text = printed(make_result(optimizers=COMPARED))
    assert "Optimizers at σ = 0.5 to loss 1e-05; SGD on |B|/N = 0.1" in text
    assert "Where they end, root mean squares over 2 test points" in text
    for name in ("│        GD │", "│       SGD │", "│   AdaGrad │", "│  Adam-SGD │"):
        assert text.count(name) == 3, name
    assert "Accuracy on 2 test points, σ = 0.5" in text
    assert "│ 71.0% │    72.0% │     73.0% │" in text
    for value in ("1,234", "5,678", "0.0625", "1.15e-02", "8.00e-03", "5.60e-02", "3.00e-15"):
        assert value in text, value
    assert (
        "At σ = 0.5 the linearized networks end this far from GD's minimizer (root mean square "
        "over the test points): GD 3.0e-03, SGD 3.0e-03, AdaGrad 5.0e-02, Adam-SGD 5.0e-02."
    ) in text.replace("\n", " ")
    assert "Incomplete" not in text


def test_without_optimizers_the_terminal_is_silent_about_them():
    text = printed(make_result())
    assert "Optimizers" not in text
    assert "minimizer" not in text


def test_batches_are_mentioned_only_where_there_are_any():
    assert "|B|/N" not in printed(make_result(optimizers=("gd", "adam")))


def test_the_comparison_fits_on_80_columns():
    text = printed(make_result(optimizers=("rmsprop-sgd",), seeds=(0, 1)), width=80)
    assert "…" not in text
    assert "1.15e-02" in text
    assert "± 0.0e+00" in text


def test_what_went_wrong_with_optimizers_is_said():
    missing = dict.fromkeys(("test_loss_linearized", "minimizer_distance_linearized", "distance"))
    ends = [
        make_end("gd", outcome="diverged"),
        make_end("sgd", outcome_linearized="diverged", outcome="diverged", **missing),
        make_end("adam", outcome_linearized="step limit"),
    ]
    names = ("gd", "sgd", "adam", "adagrad")
    text = printed(make_result(ends=ends, optimizers=names))
    assert "SGD: the linearized network diverged at its learning rate." in text
    assert "SGD: the real network diverged at its learning rate." in text
    assert "Adam: the linearized network stopped at the step limit, above the target" in text
    assert " GD: the real" not in text  # the sweep's sentences tell of σ = 0.5
    assert "Incomplete: 6 of 7 runs finished" in text
    assert "GD 3.0e-03, Adam 5.0e-02." in text.replace("\n", " ")
    elsewhere = printed(make_result(ends=ends, optimizers=names, sigmas=(1.0, 2.0)))
    assert "\nGD: the real network diverged at its learning rate." in elsewhere


def test_one_record_is_enough():
    text = printed(make_result(records=[make_record(1.0)]))
    assert "theory" not in text
    assert plots.png(plots.study_figure(make_result(records=[make_record(1.0)])))


def curve(axes, label):
    (line,) = [line for line in axes.get_lines() if label in str(line.get_label())]
    return np.array(line.get_xdata(), float), np.array(line.get_ydata(), float)


def test_the_figure_shows_the_records():
    result = make_result()
    losses, sizes = plots.study_figure(result).axes
    assert (losses.get_xscale(), losses.get_yscale()) == ("log", "log")
    sigmas = np.array([0.5, 1.0, 2.0])
    for label, expected in (
        ("trained network", 0.011 + 0.03 * sigmas**4),
        ("linearized network", 0.01 + 0.03 * sigmas**4),
        ("kernel interpolator", np.full(3, 0.01)),
    ):
        x, y = curve(losses, label)
        np.testing.assert_array_equal(x, sigmas)
        np.testing.assert_allclose(y, expected, rtol=1e-12)
    x, y = curve(losses, "propto")
    assert np.log(y[1] / y[0]) / np.log(x[1] / x[0]) == pytest.approx(4)
    x, y = curve(sizes, "fit")
    np.testing.assert_allclose(y, 0.2 * x**2)
    assert "L" in sizes.get_legend().get_texts()[1].get_text()
    assert losses.get_xlabel()
    assert losses.get_ylabel() == "test loss"


def test_the_figure_shows_infinite_width_where_it_is_known():
    _, sizes = plots.study_figure(make_result()).axes
    sigma, size = curve(sizes, "infinite width")
    np.testing.assert_allclose(size, 0.21 * sigma**2)
    records = [make_record(s, initialization_size_infinite=None) for s in (0.5, 1.0, 2.0)]
    _, sizes = plots.study_figure(make_result(records=records)).axes
    assert "infinite" not in " ".join(line.get_label() for line in sizes.lines)


def test_bands_appear_with_several_seeds_only():
    one, several = (plots.study_figure(make_result(seeds=seeds)) for seeds in ((0,), (0, 1)))
    assert [len(axes.collections) for axes in one.axes] == [0, 0]
    assert [len(axes.collections) for axes in several.axes] == [0, 1]  # only f_init varies
    band = several.axes[1].collections[0].get_paths()[0].vertices
    mean, std = 0.2 * 4 * 1.05, 0.2 * 4 * 0.1 * math.sqrt(0.5)
    at_two = band[band[:, 0] == 2.0, 1]
    assert (at_two.min(), at_two.max()) == (pytest.approx(mean - std), pytest.approx(mean + std))


def test_without_training_there_is_no_network_curve():
    result = make_result(records=[untrained(sigma) for sigma in (0.5, 1.0, 2.0)], train=False)
    labels = [line.get_label() for line in plots.study_figure(result).axes[0].get_lines()]
    assert not [label for label in labels if "trained network" in label]
    assert len(labels) == 3


def test_a_missing_or_vanishing_value_is_left_out():
    records = [make_record(0.5, initialization_size=0.0), make_record(1.0), make_record(2.0)]
    losses, sizes = plots.study_figure(make_result(records=records)).axes
    assert curve(sizes, "measured")[0].tolist() == [1.0, 2.0]
    assert curve(losses, "trained network")[0].tolist() == [0.5, 1.0, 2.0]


def marks(axes, label):
    x, y = curve(axes, label)
    names = [text.get_text() for text in axes.get_yticklabels()]
    return dict(zip((names[int(height)] for height in y), x, strict=True))


def test_the_figure_shows_where_optimizers_end():
    assert len(plots.study_figure(make_result()).axes) == 2
    losses, distances = plots.study_figure(make_result(optimizers=COMPARED)).axes[2:]
    assert marks(losses, "trained network") == {
        "GD": 0.0073,
        "SGD": 0.0073,
        "AdaGrad": 0.012,
        "Adam-SGD": 0.012,
    }
    assert marks(losses, "linearized network")["AdaGrad"] == 0.011
    assert marks(losses, "interpolating part")["AdaGrad"] == 0.0115
    assert curve(losses, "minimizer")[0].tolist() == [0.007, 0.007]
    assert distances.get_xscale() == "log"
    # What is 0, exactly or up to rounding, has no place on a logarithmic axis.
    assert marks(distances, "trained network to GD") == {
        "SGD": 0.001,
        "AdaGrad": 0.056,
        "Adam-SGD": 0.056,
    }
    assert marks(distances, "path-dependent") == {"AdaGrad": 0.008, "Adam-SGD": 0.008}
    assert marks(distances, "linearized network to")["GD"] == pytest.approx(0.003)
    assert marks(distances, "trained to linearized")["GD"] == 0.0085
    top, bottom = distances.get_ylim()
    assert top > bottom  # the first optimizer is on top


def test_without_a_network_by_gd_the_minimizer_is_the_reference():
    ends = [make_end("adam", gd_distance=None)]
    axes = plots.study_figure(make_result(ends=ends, optimizers=("adam",))).axes[3]
    assert marks(axes, "trained network to") == {"Adam": 0.055}


def test_bars_appear_with_several_seeds_only():
    one, several = (
        plots.study_figure(make_result(seeds=seeds, optimizers=("adam",))).axes[3]
        for seeds in ((0,), (0, 1))
    )
    assert len(one.collections) == 0
    (bars,) = several.collections  # only the linearized network's distance varies
    mean, std = 0.0525, 0.005 * math.sqrt(0.5)
    (segment,) = bars.get_segments()
    ends = np.sort(segment[:, 0])
    np.testing.assert_allclose(ends, [mean - std, mean + std])
    # Side by side, so that bars do not cover each other; in line where there are none.
    assert len({line.get_ydata()[0] for line in several.get_lines()}) == 4
    assert {line.get_ydata()[0] for line in one.get_lines()} == {0}


def test_untrained_optimizers_have_no_network_marks():
    missing = ("steps_taken", "final_loss", "test_loss_network", "minimizer_distance")
    missing = dict.fromkeys((*missing, "gd_distance", "distance"))
    ends = [make_end("adam", outcome="not trained", **missing)]
    result = make_result(ends=ends, optimizers=("adam",))
    for axes in plots.study_figure(result).axes[2:]:
        assert not [line for line in axes.get_lines() if "trained" in str(line.get_label())]
    assert "–" in printed(result)


def test_many_scales_keep_logarithmic_ticks():
    sigmas = tuple(np.geomspace(0.01, 10, 12))
    axes = plots.study_figure(make_result(sigmas=sigmas)).axes[0]
    assert len(axes.get_xticks()) < 12


@pytest.mark.once
def test_drawing_leaves_pyplot_alone(tmp_path):
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import test_report as t
image = t.plots.png(t.plots.study_figure(t.make_result()))
assert image.startswith(t.PNG_SIGNATURE)
assert "matplotlib.pyplot" not in sys.modules
"""
    here = os.path.dirname(__file__)
    subprocess.run([sys.executable, "-c", script, here], check=True, cwd=tmp_path)


class Assets(HTMLParser):
    """Everything that a page would load, and its text."""

    def __init__(self):
        super().__init__()
        self.found, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [
            value
            for name, value in attributes
            if name in ("src", "href", "srcset", "data", "poster", "background")
        ]

    def handle_data(self, data):
        self.text.append(data)


def parsed(page):
    assets = Assets()
    assets.feed(page)
    return assets


def test_the_page_needs_nothing_else():
    image = PNG_SIGNATURE + b"rest"
    page = study_page(make_result(), image, PROVENANCE)
    assets = parsed(page)
    (source,) = assets.found
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == image
    assert not {"script", "link", "iframe", "object"} & set(assets.tags)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_the_page_says_what_how_and_on_what():
    page = study_page(make_result(seeds=(0, 1)), b"", PROVENANCE)
    text = "".join(parsed(page).text)
    for wanted in (
        "1.00e-02",
        "4.91e-01",
        "p = 2.000 ± 0.000; theory: 2",
        "ntklin minimizer --data 'a<b> & c'",
        "Abacus <2>",
        "fan_out",
        "4, 3, 1",
        "Bands",
        "results.json",
    ):
        assert wanted in text, wanted
    assert "f<sub>int</sub>" in page
    assert "Incomplete" not in text


def test_the_page_has_a_section_on_optimizers():
    page = study_page(make_result(optimizers=COMPARED, seeds=(0, 1)), b"", PROVENANCE)
    text = "".join(parsed(page).text)
    for wanted in (
        "Optimizers at σ = 0.5 to loss 1e-05; SGD on |B|/N = 0.1",
        "Where they end, root mean squares over 2 test points",
        "Adam-SGD",
        "GD's minimizer",
        "1.15e-02",
        "gd, sgd, adagrad, adam-sgd",
        "Below, by optimizer",
        "Bands and bars",
    ):
        assert wanted in text, wanted
    assert "A<sub>t</sub> = D<sub>t−1</sub> φ(X)<sup>T</sup>" in page
    assert "(φ(X) D<sub>t−1</sub> φ(X)<sup>T</sup>)<sup>−1</sup>" in page
    without = study_page(make_result(), b"", PROVENANCE)
    assert "Where they end" not in without
    assert "Below" not in without


def test_the_page_escapes_names_and_marks_what_is_incomplete():
    result = make_result(name="<b>&data", records=[make_record(1.0)])
    page = study_page(result, b"", PROVENANCE)
    assert "<b>&data" not in page
    assert "&lt;b&gt;&amp;data" in page
    assert "Incomplete: 1 of 3 runs finished" in page


STATISTIC = {"mean": float, "std": (float, type(None)), "n": int}
SCHEMA = {
    "schema": str,
    "complete": bool,
    "config": {
        "data": str,
        "provenance": str,
        "n_train": int,
        "n_test": int,
        "classes": list,
        "depth": int,
        "widths": [int],
        "n_parameters": int,
        "activation": str,
        "scaling": str,
        "bias": str,
        "sigmas": [float],
        "seeds": [int],
        "dtype": str,
        "device": str,
        "rcond": (float, type(None)),
        "train": bool,
        "until": float,
        "max_steps": (int, type(None)),
        "optimizers": [str],
        "optimizer_sigma": float,
        "split": float,
        "weight_decay": (float, type(None)),
        "schedule": (str, type(None)),
    },
    "slope": {
        "expected": (int, type(None)),
        "mean": (float, type(None)),
        "std": (float, type(None)),
        "per_seed": dict,
    },
    "infinite_width_missing": (str, type(None)),
    "summary": [{"sigma": float, "outcomes": dict, "statistics": dict}],
    "records": [
        {
            "sigma": float,
            "seed": int,
            "lambda_min": float,
            "lambda_max": float,
            "learning_rate": float,
            "initial_loss": float,
            "steps_predicted": int,
            "outcome": str,
            "steps_taken": (int, type(None)),
            "final_loss": (float, type(None)),
            "test_loss_interpolator": float,
            "test_loss_minimizer": float,
            "test_loss_linearized": float,
            "test_loss_network": (float, type(None)),
            "accuracy_interpolator": (float, type(None)),
            "accuracy_minimizer": (float, type(None)),
            "accuracy_linearized": (float, type(None)),
            "accuracy_network": (float, type(None)),
            "distance": (float, type(None)),
            "initialization_size": float,
            "initialization_size_infinite": (float, type(None)),
            "compared_at": int,
        }
    ],
    "optimizers": {
        "summary": [
            {
                "optimizer": str,
                "outcomes": dict,
                "outcomes_linearized": dict,
                "statistics": dict,
            }
        ],
        "records": [
            {
                "optimizer": str,
                "seed": int,
                "sigma": float,
                "split": (float, type(None)),
                "learning_rate": (float, type(None)),
                "outcome_linearized": str,
                "outcome": str,
                "steps_linearized": int,
                "steps_taken": (int, type(None)),
                "final_loss_linearized": (float, type(None)),
                "final_loss": (float, type(None)),
                "test_loss_minimizer": float,
                "test_loss_linearized": (float, type(None)),
                "test_loss_network": (float, type(None)),
                "test_loss_interpolating": (float, type(None)),
                "accuracy_linearized": (float, type(None)),
                "accuracy_network": (float, type(None)),
                "accuracy_interpolating": (float, type(None)),
                "path_dependent_size": (float, type(None)),
                "minimizer_distance_linearized": (float, type(None)),
                "minimizer_distance": (float, type(None)),
                "gd_distance": (float, type(None)),
                "distance": (float, type(None)),
            }
        ],
    },
    "provenance": {
        "command": str,
        "created": str,
        "elapsed_seconds": float,
        "versions": dict,
        "machine": dict,
    },
}


def mismatches(value, schema, where="results"):
    """Where ``value`` departs from ``schema``: same keys, types and item types."""
    if isinstance(schema, dict):
        if not isinstance(value, dict) or value.keys() != schema.keys():
            return [f"{where}: keys {sorted(value)} instead of {sorted(schema)}"]
        return [m for key in schema for m in mismatches(value[key], schema[key], f"{where}.{key}")]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [m for i, v in enumerate(value) for m in mismatches(v, schema[0], f"{where}[{i}]")]
    return [] if isinstance(value, schema) else [f"{where}: {value!r} is no {schema}"]


@pytest.mark.parametrize("train", [True, False])
def test_the_json_has_its_schema(train):
    records = None if train else [untrained(sigma) for sigma in (0.5, 1.0, 2.0)]
    result = make_result(records=records, optimizers=COMPARED)
    values = json.loads(json.dumps(study_json(result, PROVENANCE)))
    assert mismatches(values, SCHEMA) == []
    assert values["schema"] == "ntklin-minimizer/2"
    for row in values["optimizers"]["summary"]:
        for name, statistic in row["statistics"].items():
            assert mismatches(statistic, STATISTIC, name) == []
    for row in values["summary"]:
        for name, statistic in row["statistics"].items():
            if statistic is None:
                assert not train
            else:
                assert mismatches(statistic, STATISTIC, name) == []
    assert values["slope"]["per_seed"] == {"0": pytest.approx(2)}
    assert values["complete"]


def test_the_schema_check_can_fail():
    values = study_json(make_result(), PROVENANCE)
    values["records"][1]["seed"] = 0.5
    assert mismatches(values, SCHEMA) == ["results.records[1].seed: 0.5 is no <class 'int'>"]
    del values["slope"]["std"]
    assert len(mismatches(values, SCHEMA)) == 2


def test_numbers_without_a_json_form_become_null():
    records = [make_record(1.0, final_loss=math.inf, test_loss_network=math.nan)]
    values = study_json(make_result(records=records), PROVENANCE)
    text = json.dumps(values, allow_nan=False)
    assert values["records"][0]["final_loss"] is None
    assert "NaN" not in text


def test_the_report_is_written_and_other_files_are_left_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    (folder / "results.json").write_text("old")
    paths = write_study(make_result(), folder, PROVENANCE)
    assert [path.name for path in paths] == list(NAMES)
    assert {path.name for path in folder.iterdir()} == {*NAMES, "notes.txt"}
    assert (folder / "notes.txt").read_text() == "mine"
    image = (folder / "minimizer.png").read_bytes()
    assert image.startswith(PNG_SIGNATURE)
    assert base64.b64encode(image).decode() in (folder / "report.html").read_text("utf-8")
    assert json.loads((folder / "results.json").read_text("utf-8"))["complete"] is True
    write_study(make_result(), tmp_path / "new" / "folder", PROVENANCE)
    assert (tmp_path / "new" / "folder" / "report.html").is_file()


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_bytes(b"old")

    def fail(source, target):
        assert target.read_bytes() == b"old"
        raise OSError("disk gone")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk gone"):
        write_whole(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert path.read_bytes() == b"old"


def test_written_files_follow_the_umask(tmp_path):
    path = tmp_path / "x"
    before = os.umask(0o027)
    try:
        write_whole(path, b"")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=f"cannot write into the output folder {folder}: "):
            require_writable(folder)
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(OSError, match="cannot write into the output folder"):
            require_writable(tmp_path / "below")
        tmp_path.chmod(0o700)


def test_checking_a_folder_leaves_nothing_behind(tmp_path):
    require_writable(tmp_path)
    require_writable(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
