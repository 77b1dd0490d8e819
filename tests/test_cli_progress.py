"""Progress on the terminal: bars where they can be redrawn, lines elsewhere."""

import io

import numba
import numpy as np
import pytest
from commands import typed
from rich.console import Console

import ntklin
from ntklin.apps.cli import minimizer, mitigation_progress
from ntklin.apps.cli.mitigation_progress import MitigationBars, MitigationLines
from ntklin.apps.cli.progress import share
from ntklin.apps.cli.study_progress import (
    COMPARISON,
    SWEEP,
    StudyBars,
    StudyLines,
    comparison_summary,
    progress,
    sweep_label,
    sweep_summary,
)
from ntklin.apps.study import StudyObserver, optimizer_results, scale_results
from ntklin.recipes.mitigation import Trial

FEW = {"n_train": 4, "n_test": 2, "sigmas": "1", "max_steps": 10, "optimizers": "none"}


def study(**texts):
    """A study with few samples and one scale, as it is typed."""
    return minimizer.configure(typed(minimizer.Options, **FEW | texts))


def test_bars_on_a_terminal(tmp_path):
    config = study(sigmas="1,2", width="6", until=0.01, seeds="2")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with progress(console, config, SWEEP) as observer:
        assert isinstance(observer, StudyBars)
        found = list(scale_results(config, observer))
        assert [task.completed for task in observer.bars.tasks] == [1.0] * 4
    text = stream.getvalue()
    assert "σ = 2    seed 1" in text
    assert f"({found[-1].steps_predicted:,} expected)" in text


def test_bars_without_training():
    config = study(width="6", train=False)
    console = Console(file=io.StringIO(), force_terminal=True)
    with StudyBars(console, config, SWEEP) as observer:
        (record,) = scale_results(config, observer)
    assert sweep_summary(record) == f"{record.steps_predicted:,} steps expected, not trained"
    assert isinstance(progress(Console(quiet=True), config, SWEEP), StudyLines)
    assert sweep_label(config, 0.5, 0) == "σ = 0.5 "


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes without compiled kernels")
def test_bars_of_a_comparison_on_a_terminal():
    config = study(width="6", until=1e-3, seeds="2", optimizers="adam,sgd", max_steps=None)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with progress(console, config, COMPARISON) as observer:
        assert isinstance(observer, StudyBars)
        states, update = [], observer.bars.update

        def spy(task, **fields):
            states.append(fields["state"])
            update(task, **fields)

        observer.bars.update = spy
        found = list(optimizer_results(config, (), observer))
        assert [task.completed for task in observer.bars.tasks] == [1.0] * 4
    text = stream.getvalue()
    assert "Adam seed 0" in text
    assert "SGD  seed 1" in text
    assert f"{found[0].steps_taken:,} steps, {found[0].steps_linearized:,} steps linear" in text
    for start in ("learning rate 0.", "linearized, loss ", "loss "):
        assert [state for state in states if state.startswith(start)], start


def test_lines_of_a_comparison_without_training():
    config = study(width="6", train=False, optimizers="sgd", max_steps=3)
    stream = io.StringIO()
    console = Console(file=stream)
    with progress(console, config, COMPARISON) as observer:
        assert isinstance(observer, StudyLines)
        (record,) = optimizer_results(config, (), observer)
    assert stream.getvalue() == "SGD  3 steps linearized (step limit)\n"
    assert comparison_summary(record) == "3 steps linearized (step limit)"


@pytest.mark.parametrize("kind", [StudyBars, StudyLines])
def test_progress_hears_what_observers_hear(kind):
    methods = [name for name in vars(StudyObserver) if not name.startswith("_")]
    assert len(methods) == 6
    assert set(methods) <= vars(kind).keys()


def test_the_bar_counts_decades():
    assert share(1.0, 1.0, 1e-4) == 0
    assert share(1.0, 1e-2, 1e-4) == pytest.approx(0.5)
    assert share(1.0, 1e-5, 1e-4) == 1
    assert share(1.0, 10.0, 1e-4) == 0
    assert share(1.0, float("nan"), 1e-4) == 0
    assert share(1e-5, 1e-6, 1e-4) == 0


def run_with(observer, samples, **options):
    net = ntklin.MLP((3, 30, 1), sigma=2.0)
    with observer:
        return ntklin.mitigate_initialization(
            *(net, *samples),
            until=0.01,
            min_sigma=1.0,
            compare_baselines=True,
            progress=observer.trained,
            on_trial=observer.finished,
            **options,
        )


@pytest.fixture
def samples():
    X = np.random.default_rng(0).standard_normal((8, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y = (X[:, 0] > 0).astype(float)
    return X[:4], Y[:4], X[4:], Y[4:]


def test_bars_of_a_mitigation_on_a_terminal(samples):
    stream = io.StringIO()
    observer = mitigation_progress.progress(
        Console(file=stream, force_terminal=True, width=100), 0.01
    )
    assert isinstance(observer, MitigationBars)
    found = run_with(observer, samples)
    tasks = observer.bars.tasks
    assert [task.completed for task in tasks] == [1.0] * (len(found.trials) + 2)
    assert "pair" in tasks[-1].description
    text = stream.getvalue()
    assert f"after {found.trials[0].steps:,} steps" in text


def test_lines_of_a_mitigation_elsewhere(samples):
    stream = io.StringIO()
    observer = mitigation_progress.progress(Console(file=stream, width=100), 0.01)
    assert isinstance(observer, MitigationLines)
    found = run_with(observer, samples)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(found.trials) + 2
    assert lines[0].startswith("σ = 2 ")
    assert isinstance(mitigation_progress.progress(Console(quiet=True), 0.01), MitigationLines)


def test_what_is_said_of_a_network():
    net = ntklin.MLP((3, 4, 1), sigma=0.49)
    values = {"network": net, "steps": 1234, "seconds": 1.0}
    diverged = Trial(outcome="diverged", **values)
    assert mitigation_progress.summary(diverged) == "diverged after 1,234 steps"
    slow = Trial(outcome="time limit", training_loss=0.5, validation_loss=0.25, **values)
    assert mitigation_progress.summary(slow) == (
        "validation loss 2.50e-01 after 1,234 steps, time limit at loss 5.0e-01"
    )
    assert mitigation_progress.label(net).startswith("σ = 0.49 ")
    assert "doubled" in mitigation_progress.label(ntklin.DoubledNetwork(net))
    observer = MitigationBars(Console(file=io.StringIO(), force_terminal=True), 0.01)
    with observer:
        observer.finished(diverged)
    assert observer.bars.tasks[0].fields["state"] == mitigation_progress.summary(diverged)
