"""Options that are on or off: NumPy's booleans are booleans, everything else is refused."""

import json
import re

import numpy as np
import pytest

import ntklin
from ntklin.apps.study import StudyConfig

NET = ntklin.MLP((3, 5, 1))
X, Y = np.eye(3), np.array([0.0, 1.0, 1.0])


def config(**options):
    data = ntklin.Dataset("three", X, Y, X, Y, "made here")
    return StudyConfig(data=data, hidden_widths=(2,), **options)


def train(**options):
    return ntklin.train(NET, NET.init(0), X, Y, steps=2, **options)


def mitigate(**options):
    return ntklin.mitigate_initialization(NET, X, Y, X, Y, max_steps=2, **options)


FLAGS = {
    "nesterov": lambda flag: ntklin.Momentum(0.1, nesterov=flag),
    "shuffle": lambda flag: ntklin.Batches(0.5, shuffle=flag),
    "train": lambda flag: config(train=flag),
    "snapshots": lambda flag: train(record=1, snapshots=flag),
    "compare_decay": lambda flag: mitigate(compare_decay=flag),
    "compare_baselines": lambda flag: mitigate(compare_baselines=flag),
}


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("bad", [1, 0.0, "yes", None, np.array([True]), np.int64(1)])
def test_no_other_value_is_taken_for_a_flag(name, bad):
    with pytest.raises(
        TypeError, match=f"{name} must be True or False, got {re.escape(repr(bad))}"
    ):
        FLAGS[name](bad)


@pytest.mark.parametrize("name", ["nesterov", "shuffle", "train"])
@pytest.mark.parametrize("flag", [False, True])
def test_numpy_flags_become_pythons(name, flag):
    kept = FLAGS[name](np.bool_(flag))
    assert getattr(kept, name) is flag
    assert kept == FLAGS[name](flag) or name == "train"


@pytest.mark.parametrize("flag", [np.False_, np.True_])
def test_runs_with_numpy_flags_are_those_with_pythons(tmp_path, flag):
    batches = ntklin.Batches(0.5, shuffle=flag)
    run = train(optimizer=ntklin.Momentum(0.1, nesterov=flag), batches=batches, record=[1])
    same = train(
        optimizer=ntklin.Momentum(0.1, nesterov=bool(flag)),
        batches=ntklin.Batches(0.5, shuffle=bool(flag)),
        record=[1],
    )
    assert run.identity == same.identity
    assert run.losses.tolist() == same.losses.tolist()
    run.save(tmp_path / "run.npz")
    assert ntklin.load_run(tmp_path / "run.npz").optimizer == same.optimizer
    records = train(record=[1], snapshots=flag).records
    assert (records.snapshots is not None) == bool(flag)
    assert len(mitigate(compare_baselines=flag).baselines) == 2 * bool(flag)
    assert (mitigate(compare_decay=flag).decayed is not None) == bool(flag)


def test_a_studys_description_is_plain():
    """NumPy's numbers and booleans in, JSON out."""
    study = config(train=np.False_)
    wide = StudyConfig(data=study.data, hidden_widths=np.array([2, 3]), train=np.True_)
    assert json.loads(json.dumps(wide.describe()))["widths"] == [3, 2, 3, 1]
    assert json.loads(json.dumps(study.describe()))["train"] is False
