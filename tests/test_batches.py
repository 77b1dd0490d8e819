"""Which samples a step sees: epochs, seeds, cuts, and batches that the user lists."""

import doctest
import inspect
from itertools import count, cycle, islice

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ntklin
from ntklin.runs import batches as room
from ntklin.runs.batches import SampleWeights

F64 = np.dtype(float)


@st.composite
def plans(draw):
    """Batches of any kind and a number of samples."""
    n = draw(st.integers(1, 40))
    options = {"shuffle": draw(st.booleans()), "rng": draw(st.integers(0, 2**70))}
    if draw(st.booleans()):
        return ntklin.Batches(size=draw(st.integers(1, n)), **options), n
    return ntklin.Batches(draw(st.floats(1e-9, 1.0)), **options), n


def first(batches, steps, n):
    return [batches.at(t, n) for t in range(steps)]


def weights_of(batches, n):
    """Row by row: an index of a batch B counts 1/|B| each time it occurs."""
    rows = []
    for batch in batches:
        row = np.zeros(n)
        for k in batch:
            row[k] += 1 / len(batch)
        rows.append(row)
    return np.array(rows).reshape(-1, n)


@given(plan=plans(), start=st.integers(0, 3))
def test_an_epoch_sees_each_sample_once_in_batches_of_one_size(plan, start):
    batches, n = plan
    size = batches.batch_size(n)
    per_epoch = -(-n // size)
    epoch = [batches.at(t, n) for t in range(start * per_epoch, (start + 1) * per_epoch)]
    np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), np.arange(n))
    assert [len(b) for b in epoch[:-1]] == [size] * (per_epoch - 1)
    assert len(epoch[-1]) == n - (per_epoch - 1) * size
    if not batches.shuffle:
        np.testing.assert_array_equal(np.concatenate(epoch), np.arange(n))


@given(plan=plans(), start=st.integers(0, 100), steps=st.integers(1, 30))
def test_a_batch_is_a_function_of_its_step(plan, start, steps):
    batches, n = plan
    again = ntklin.Batches(
        batches.split, size=batches.size, shuffle=batches.shuffle, rng=batches.rng
    )
    stream = list(islice(again.from_step(start, n), steps))
    for t in reversed(range(steps)):
        np.testing.assert_array_equal(batches.at(start + t, n), stream[t])


def test_epochs_and_seeds_have_orders_of_their_own():
    n = 50
    orders = [ntklin.Batches(1.0, rng=seed).at(t, n) for seed in (0, 1, 2**32) for t in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    # Nor is it the order that the seed's own stream would give, which θ_0 is drawn from.
    assert not np.array_equal(orders[0], np.random.default_rng(0).permutation(n))
    assert any(not np.array_equal(order, np.arange(n)) for order in orders)


def test_a_generator_gives_one_seed_and_none_a_new_one():
    rng = np.random.default_rng(5)
    made = [ntklin.Batches(rng=rng), ntklin.Batches(rng=rng), ntklin.Batches(rng=None)]
    assert made[0] == ntklin.Batches(rng=np.random.default_rng(5))
    assert made[0] != made[1]
    assert made[2] != ntklin.Batches(rng=None)
    for batches in made:
        assert isinstance(batches.rng, int)
        np.testing.assert_array_equal(batches.at(3, 20), ntklin.Batches(rng=batches.rng).at(3, 20))


@pytest.mark.parametrize(
    ("batches", "n", "size"),
    [
        (ntklin.Batches(), 100, 20),
        (ntklin.Batches(0.29), 100, 29),
        (ntklin.Batches(0.3), 10, 3),
        (ntklin.Batches(1e-9), 10, 1),
        (ntklin.Batches(1), 10, 10),
        (ntklin.Batches(1.0), 1, 1),
        (ntklin.Batches(0.999), 10, 10),
        (ntklin.Batches(size=7), 10, 7),
        (ntklin.Batches(size=10), 10, 10),
    ],
)
def test_batch_sizes(batches, n, size):
    assert batches.batch_size(n) == size
    assert len(batches.at(0, n)) == size


def test_signature():
    assert ntklin.Batches(0.2, True, 0) == ntklin.Batches() == ntklin.Batches(split=0.2)
    assert ntklin.Batches(0.5, False, 3) == ntklin.Batches(split=0.5, shuffle=False, rng=3)
    assert ntklin.Batches(size=10).batch_size(100) == 10
    assert hash(ntklin.Batches(size=10)) == hash(ntklin.Batches(size=10, rng=0))
    assert list(inspect.signature(ntklin.Batches).parameters)[:3] == ["split", "shuffle", "rng"]


def test_the_example_in_the_docstring():
    assert doctest.testmod(room) == (0, 3)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"split": 0}, ValueError, "split must be positive and finite, got 0"),
        ({"split": 1.5}, ValueError, r"split is a share of the samples, in \(0, 1\], got 1.5"),
        ({"split": 20}, ValueError, r"split is a share of the samples, in \(0, 1\], got 20"),
        ({"split": "half"}, TypeError, "split must be a number, got 'half'"),
        ({"split": np.nan}, ValueError, "split must be positive and finite"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": 2.5}, TypeError, "size must be an integer, got 2.5"),
        ({"size": "ten"}, TypeError, "size must be an integer, got 'ten'"),
        ({"split": 0.5, "size": 2}, ValueError, "takes split or size, not both"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
        ({"rng": -1}, ValueError, "rng must be at least 0, got -1"),
        ({"rng": "seed"}, TypeError, "rng must be an integer, got 'seed'"),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        ntklin.Batches(**options)


# Weights of the samples


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(plan=plans(), steps=st.integers(0, 12))
def test_weights_are_one_over_the_batch(dtype, plan, steps):
    batches, n = plan
    weights = SampleWeights(batches, n).take(steps, np.dtype(dtype))
    assert weights.dtype == dtype
    assert weights.flags.c_contiguous
    expected = weights_of(first(batches, steps, n), n).astype(dtype)
    np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_full_batch(dtype):
    schedule = SampleWeights(None, 7)
    weights = schedule.take(3, np.dtype(dtype))
    assert schedule.full
    assert weights.dtype == dtype
    np.testing.assert_array_equal(weights, np.full((3, 7), 1 / 7, dtype))
    assert not SampleWeights(ntklin.Batches(1.0), 7).full
    np.testing.assert_array_equal(
        SampleWeights(ntklin.Batches(1.0), 7).take(3, np.dtype(dtype)), weights
    )


@given(
    plan=plans(),
    listed=st.booleans(),
    cuts=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    start=st.integers(0, 25),
)
@example(plan=(ntklin.Batches(size=2), 5), listed=False, cuts=[2, 0, 5], start=4)
@example(plan=(ntklin.Batches(size=2), 5), listed=True, cuts=[2, 0, 5], start=4)
def test_results_do_not_depend_on_cuts_nor_on_where_a_run_is_continued(plan, listed, cuts, start):
    batches, n = plan
    steps = start + sum(cuts)
    if listed:
        batches = first(batches, steps, n)
    whole = SampleWeights(batches, n).take(steps, F64)
    schedule = SampleWeights(batches, n, start=start)
    parts = [schedule.take(k, F64) for k in cuts]
    assert [len(p) for p in parts] == cuts
    np.testing.assert_array_equal(np.concatenate(parts), whole[start:])


def test_listed_batches_may_overlap_miss_samples_and_repeat_them():
    listed = [[0], [3, 3, 1], np.array([2, 0], np.uint8), (4,), [1, 1]]
    np.testing.assert_array_equal(
        SampleWeights(listed, 5).take(5, F64),
        [
            [1, 0, 0, 0, 0],
            [0, 1 / 3, 0, 2 / 3, 0],
            [0.5, 0, 0.5, 0, 0],
            [0, 0, 0, 0, 1],
            [0, 1, 0, 0, 0],
        ],
    )


@pytest.mark.parametrize("make", [list, tuple, iter, np.array])
def test_any_iterable_ends_the_run_when_it_ends(make):
    schedule = SampleWeights(make([[0, 1], [1, 2], [2, 0]]), 3)
    assert [len(schedule.take(2, F64)) for _ in range(4)] == [2, 1, 0, 0]
    assert len(SampleWeights(make([[0, 1]]), 3, start=2).take(1, F64)) == 0
    assert SampleWeights([], 3).take(2, F64).shape == (0, 3)


def test_a_generator_is_read_no_further_than_needed():
    read = []

    def stream():
        for t in count():
            read.append(t)
            yield [t % 3]

    schedule = SampleWeights(stream(), 3, start=2)
    assert read == []
    np.testing.assert_array_equal(schedule.take(2, F64), np.eye(3)[[2, 0]])
    assert read == [0, 1, 2, 3]
    assert len(SampleWeights(cycle([[0]]), 3).take(100, F64)) == 100


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ([], r"non-empty vector of integer indices, got shape \(0,\)"),
        ([0.0, 1.0], r"vector of integer indices, got shape \(2,\) of float64"),
        ([True, False, True], r"vector of integer indices, got shape \(3,\) of bool"),
        ("01", r"vector of integer indices, got shape \(\) of <U2"),
        (None, r"vector of integer indices, got shape \(\) of object"),
        (1, r"vector of integer indices, got shape \(\) of int64"),
        ([[0, 1]], r"vector of integer indices, got shape \(1, 2\)"),
        ([0, 3], r"has the index 3, outside 0 … 2"),
        ([0, -1], r"has the index -1, outside 0 … 2"),
        (np.array([2**63], np.uint64), "has the index 9223372036854775808, outside 0 … 2"),
    ],
)
def test_bad_batches_name_their_step(batch, match):
    schedule = SampleWeights([[0], [1], batch], 3, start=1)
    schedule.take(1, F64)
    with pytest.raises(ValueError, match=f"the batch of step 2 .*{match}"):
        schedule.take(1, F64)


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        ((np.ones((2, 4)), np.ones(2)), 2),
        ([np.ones(2), np.ones(2)], 2),
        ((np.ones(4), 1.0), 2),
        ([[[0.5, 0.25]], [1.0]], 2),
        ((np.array([0, 1]), np.array([1, 2])), 2),
        ([np.ones((2, 4)), np.ones(2), np.arange(2)], 3),
    ],
)
def test_samples_in_place_of_their_indices_are_named(batch, count):
    match = rf"the batch of step 0 holds {count} arrays, as a pair \(X, Y\).*vectors of indices"
    with pytest.raises(TypeError, match=match):
        SampleWeights([batch], 3).take(1, F64)


@pytest.mark.parametrize(
    ("batch", "error", "match"),
    [
        ([True, False, True], ValueError, r"of bool; pass numpy\.flatnonzero\(mask\)"),
        (1, ValueError, r"of int64; a single batch is \[\[0, 1, …\]\], a list of one"),
        (np.ma.array([0, 1], mask=[0, 1]), TypeError, "is a masked array"),
        ({"X": 1}, ValueError, r"got shape \(\) of object$"),
    ],
)
def test_what_to_do_about_a_bad_batch(batch, error, match):
    with pytest.raises(error, match=f"the batch of step 0 .*{match}"):
        SampleWeights([batch], 3).take(1, F64)


@pytest.mark.parametrize(
    "batch",
    [
        (0, 2),
        range(0, 3, 2),
        np.array([0, 2], object),
        np.array([0, 2], np.uint64),
        np.array([0, 2], ">i2"),
        [np.array(0), np.int8(2)],
    ],
)
def test_indices_of_any_integers(batch):
    np.testing.assert_array_equal(SampleWeights([batch], 3).take(1, F64), [[0.5, 0, 0.5]])


def test_a_size_above_the_number_of_samples():
    with pytest.raises(ValueError, match="size = 4 exceeds the number of samples, 3"):
        SampleWeights(ntklin.Batches(size=4), 3)


@pytest.mark.parametrize("batches", ["0123", b"01", 5, 0.5, ntklin.Batches])
def test_what_is_no_sequence_of_batches(batches):
    with pytest.raises(
        TypeError, match=r"batches must be an ntklin\.Batches or an iterable of ind"
    ):
        SampleWeights(batches, 3)
