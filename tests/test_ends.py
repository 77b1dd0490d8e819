"""When runs end: one test for compiled loops, for Python and for whole blocks of losses."""

import math

import numpy as np
import pytest

from ntklin.kernels.cpu import losses
from ntklin.kernels.ends import End, goes_on, steps_before_end
from ntklin.kernels.gpu.replay import up_to_the_end

CASES = [
    *((0.5, True), (0.1, True), (2.0, True), (np.nextafter(0.1, 0), False), (0.0, False)),
    *((np.nextafter(2.0, 3), False), (math.inf, False), (math.nan, False), (-math.inf, False)),
]


@pytest.mark.parametrize(("loss", "expected"), CASES)
def test_a_run_ends_below_above_and_at_nan(loss, expected):
    end = End(0.1, 2.0)
    assert bool(goes_on(loss, end)) is expected
    assert bool(losses.goes_on(loss, end)) is expected
    assert goes_on(np.array([loss]), end).tolist() == [expected]
    assert steps_before_end(np.array([1.0, loss, 1.0]), end) == (2 if expected else 1)


def test_nothing_is_above_an_infinite_ceiling():
    assert goes_on(math.inf, End(0.0, math.inf))
    assert not goes_on(math.nan, End(0.0, math.inf))


def test_the_first_of_several_networks_is_the_end_for_all():
    block = np.ones((5, 3))
    assert steps_before_end(block, End(0.1, 2.0)) == 4
    block[3, 1], block[2, 2] = 0.0, 1.5
    assert steps_before_end(block, End(0.1, 2.0)) == 3
    assert steps_before_end(block, End(0.1, np.array([2.0, 2.0, 1.2]))) == 2


@pytest.mark.parametrize("ending", [0, 1, 3, 4, 9])
def test_a_block_goes_back_and_takes_as_many_steps_as_there_are(ending):
    state, taken = [np.zeros(1)], []

    def take(count):
        taken.append(count)
        block = [float(state[0][0])]
        for _ in range(count):
            state[0] += 1
            block.append(float(state[0][0]))
        return np.array(block)

    found = up_to_the_end(state, take, 4, End(-1.0, ending - 0.5))
    steps = min(ending, 4)
    assert found.tolist() == list(range(steps + 1))
    assert state[0] == steps
    assert taken == ([4] if steps == 4 else [4, steps])
