"""Progress on the terminal: bars where they can be redrawn, lines elsewhere."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from commands import typed
from rich.console import Console
from test_looks import size
from test_report import make_end, make_record, make_result

import ntklin
from ntklin.apps.cli import (
    figure_progress,
    minimizer,
    mitigation_progress,
    scale_progress,
    verification_progress,
)
from ntklin.apps.cli.mitigation_progress import MitigationBars, MitigationLines
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
from ntklin.edge.faces.bars import share
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


@pytest.mark.compiled
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


def test_lines_of_a_sweep():
    config, stream = make_result(seeds=(0, 1)).config, io.StringIO()
    with progress(Console(file=stream), config, SWEEP) as lines:
        lines.finished(make_record(0.5, 1))
    assert stream.getvalue() == "σ = 0.5  seed 1  1,100 steps (1,000 expected)\n"


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
    found = Trial(outcome="converged", training_loss=1e-5, validation_loss=0.25, **values)
    assert mitigation_progress.summary(found) == "validation loss 2.50e-01 after 1,234 steps"
    for network, decay, kind in (
        (net, 0.0, "        "),
        (net, 0.1, " decay  "),
        (ntklin.DoubledNetwork(net), 0.0, " doubled"),
        (ntklin.AntisymmetricPair(net), 0.0, " pair   "),
    ):
        assert mitigation_progress.label(network, decay) == f"σ = 0.49  {kind}"
    assert mitigation_progress.label(net) == mitigation_progress.label(net, 0.0)
    observer = MitigationBars(Console(file=io.StringIO(), force_terminal=True), 0.01)
    with observer:
        observer.finished(diverged)
    assert observer.bars.tasks[0].fields["state"] == mitigation_progress.summary(diverged)


def test_a_trial_that_was_never_heard_of_has_a_bar():
    net = ntklin.MLP((3, 4, 1), sigma=0.49)
    values = {"outcome": "converged", "training_loss": 0.01, "validation_loss": 0.25}
    trial = Trial(network=net, steps=8, seconds=1.0, **values)
    with MitigationBars(Console(file=io.StringIO(), force_terminal=True), 0.01) as observer:
        observer.trained(net, 0, 1.0)
        observer.trained(net, 1200, 0.1)
        (task,) = observer.bars.tasks
        assert (task.completed, task.total) == (pytest.approx(0.5), 1.0)
        assert task.fields["state"] == "loss 1.0e-01, step 1,200"
        observer.finished(trial)
        assert (task.completed, task.fields["state"]) == (1.0, mitigation_progress.summary(trial))
        observer.finished(trial)  # as with weight decay
        assert len(observer.bars.tasks) == 2
        assert all(task.stop_time is not None for task in observer.bars.tasks)


def test_what_bars_say_of_a_study():
    config = make_result(seeds=(0, 1), optimizers=("gd", "adam")).config
    with StudyBars(Console(file=io.StringIO(), force_terminal=True), config, SWEEP) as bars:
        said = []
        for tell in (
            lambda: bars.started(0.5, 1),
            lambda: bars.searched(0.0123, 1000, 0.5),
            lambda: bars.linearized(2000, 0.25),
            lambda: bars.predicted(1.0, 3000),
            lambda: bars.trained(1500, 0.1),
            lambda: bars.finished(make_record(0.5, 1)),
        ):
            tell()
            (task,) = bars.bars.tasks
            said.append(task.fields["state"])
        assert task.description == "σ = 0.5  seed 1"
        assert task.stop_time is not None
    assert said == [
        "kernel and closed form",
        "learning rate 0.012? loss 5.0e-01, step 1,000",
        "linearized, loss 2.5e-01, step 2,000",
        "loss 1.0e+00, step 0 of ≈ 3,000",
        "loss 1.0e-01, step 1,500 of ≈ 3,000",
        "1,100 steps (1,000 expected)",
    ]
    bars = StudyBars(Console(file=io.StringIO(), force_terminal=True), config, COMPARISON)
    bars.started("gd", 0)
    (task,) = bars.bars.tasks
    assert (task.description, task.total) == ("GD   seed 0", None)
    assert task.fields["state"] == "linearized network"


def test_finished_runs_in_words():
    diverged = make_record(0.5, outcome="diverged")
    assert sweep_summary(diverged) == "diverged after 1,100 steps (1,000 expected)"
    assert comparison_summary(make_end("adam")) == "5,678 steps, 1,234 steps linearized"
    ends = {"outcome": "diverged", "outcome_linearized": "step limit"}
    assert comparison_summary(make_end("adam", **ends)) == (
        "5,678 steps (diverged), 1,234 steps linearized (step limit)"
    )
    assert scale_progress.summary(size(1000)) == (
        "N = 1,000  packed, residual 1.0e-09, test loss 2.000e-03, accuracy 99.90%, 11.0 s"
    )
    assert scale_progress.summary(size(1000, test_accuracy=None)) == (
        "N = 1,000  packed, residual 1.0e-09, test loss 2.000e-03, 11.0 s"
    )


def test_a_long_phase_has_a_line_every_minute(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(scale_progress.time, "monotonic", lambda: clock.now)
    stream = io.StringIO()
    with scale_progress.progress(Console(file=stream, width=100)) as lines:
        for now, n, phase, done, total in (
            (0.0, None, "data", 1, 10),
            (59.9, None, "data", 2, 10),
            (60.0, None, "data", 4, 10),
            (119.9, None, "data", 5, 10),
            (200.0, 1000, "iterations", 1, None),
            (260.0, 1000, "iterations", 12, None),
            (300.0, 1000, "factor", 5, 10),
            (360.0, 1000, "factor", 5, 10),  # nobody knows how long it will take
            (420.0, 1000, "factor", 6, 10),
        ):
            clock.now = now
            if n is not None and phase == "iterations" and done == 1:
                lines.started(n)
            lines.advanced(phase, done, total)
        lines.finished(size(1000))
    assert stream.getvalue().splitlines() == [
        "samples: 40%, 2 min 0 s left",
        "N = 1,000  conjugate gradients: 12 iterations",
        "N = 1,000  Cholesky factor: 60%, 8 min 0 s left",
        scale_progress.summary(size(1000)),
    ]


def test_a_phase_has_a_bar():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with scale_progress.progress(console) as bars:
        bars.advanced("data", 1, 10)
        bars.started(1000)
        bars.advanced("factor", 2, 4)
        bars.advanced("factor", 3, 5)
        bars.advanced("iterations", 7, None)
        tasks = bars.bars.tasks
        assert [task.description for task in tasks] == [
            *("samples", "N = 1,000  Cholesky factor", "N = 1,000  conjugate gradients")
        ]
        assert [(task.completed, task.total) for task in tasks] == [(1, 10), (3, 5), (7, None)]
        assert [task.fields["state"] for task in tasks] == ["", "", "7 iterations"]
        assert [task.stop_time is None for task in tasks] == [False, False, True]
        bars.finished(size(1000))
        assert tasks[-1].stop_time is not None
        bars.started(2000)
        bars.advanced("factor", 1, 4)
        assert bars.bars.tasks[3].description == "N = 2,000  Cholesky factor"
    assert scale_progress.summary(size(1000)) in console.file.getvalue()


def test_results_of_a_figure_are_counted():
    plan = SimpleNamespace(figure=SimpleNamespace(name="2"), scale_name="quick", n_tasks=45)
    stream = io.StringIO()
    with figure_progress.progress(Console(file=stream), plan) as lines:
        for _ in range(45):
            lines.finished()
    assert stream.getvalue().splitlines() == [
        *("Figure 2, quick: 20/45", "Figure 2, quick: 40/45", "Figure 2, quick: 45/45")
    ]
    console = Console(file=io.StringIO(), force_terminal=True)
    with figure_progress.progress(console, plan) as bar:
        bar.finished()
        bar.finished()
        (task,) = bar.bars.tasks
        assert (task.completed, task.total, task.description) == (2, 45, "Figure 2, quick")


@pytest.mark.parametrize("terminal", [True, False])
def test_checks_are_counted_and_those_that_fail_are_told(terminal):
    statement, check = SimpleNamespace(title="Theorem 1"), SimpleNamespace(name="width")
    # Too narrow for a verdict, which is one line all the same.
    console = Console(file=io.StringIO(), force_terminal=terminal, width=25, color_system=None)
    with verification_progress.progress(console, 2) as observer:
        for passed, word in ((True, "holds"), (False, "FAILS")):
            observer.started(statement, check)
            verdict = SimpleNamespace(passed=passed)
            about = {"statement": statement, "check": check, "verdict": verdict}
            observer.finished(SimpleNamespace(**about, word=word, reason="by 3"))
        if terminal:
            (task,) = observer.bars.tasks
            assert (task.completed, task.total) == (2, 2)
            assert task.description == "Theorem 1, width"
    said = console.file.getvalue()
    if terminal:
        assert "Theorem 1, width: FAILS (by 3)" in said
        assert "holds" not in said
    else:
        assert said.splitlines() == [
            *("1/2  Theorem 1, width: holds (by 3)", "2/2  Theorem 1, width: FAILS (by 3)")
        ]
