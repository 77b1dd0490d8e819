"""Errors and warnings on their way between processes."""

import pickle
import warnings

import numpy as np
import pytest

import ntklin
from ntklin.edge import errors


def raised(kind, call):
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def test_errors_come_back_as_they_were():
    diverged = ntklin.DivergenceError("diverges", learning_rate=2.0, bound=1.0, step=3)
    rate = ntklin.LearningRateError("rises", trials=(1, 2))
    memory = ntklin.MemoryLimitError("too large")
    for error in (diverged, rate, memory, ntklin.CheckpointError("damaged")):
        found = pickle.loads(pickle.dumps(error))
        assert type(found) is type(error)
        assert str(found) == str(error)
        assert vars(found) == vars(error)


@pytest.mark.parametrize("name", [n for n in ntklin.__all__ if n.endswith("Error")])
def test_errors_can_be_made_without_their_constructors(name):
    kind = getattr(ntklin, name)
    made = kind.__new__(kind, "a message")  # as Dask does where it receives one
    made.args = ("a message",)
    assert isinstance(made, ntklin.NtklinError)
    assert "a message" in str(made)


def test_a_real_one_comes_back():
    net = ntklin.MLP((3, 4, 1))
    theta, X = net.init(rng=0), np.eye(3)
    lin = ntklin.linearize(net, theta, X)
    batches = ntklin.Batches(size=1, shuffle=False)
    error = raised(
        ntklin.DivergenceError,
        lambda: lin.train(
            np.ones(3), ntklin.GradientDescent(50 * lin.max_learning_rate), batches=batches
        ),
    )
    found = pickle.loads(pickle.dumps(error))
    assert (found.step, found.learning_rate) == (error.step, error.learning_rate)


def test_warnings_come_back():
    warning = ntklin.NonMonotoneLossWarning("rose", step=3, before=1.0, after=2.0)
    found = pickle.loads(pickle.dumps(warning))
    assert (str(found), found.step, found.after) == ("rose", 3, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = raised(ntklin.NonMonotoneLossWarning, lambda: warnings.warn(warning, stacklevel=1))
    assert pickle.loads(pickle.dumps(error)).step == 3


def test_interruptions_come_back():
    net = ntklin.MLP((3, 4, 1))
    run = ntklin.train(net, net.init(rng=0), np.eye(3), np.ones(3), steps=2)
    found = pickle.loads(pickle.dumps(errors.TrainingInterrupted(run)))
    assert isinstance(found, KeyboardInterrupt)
    assert found.run.steps == 2
    assert str(found) == f"interrupted after 2 steps at loss {run.losses[-1]:.3g}"
