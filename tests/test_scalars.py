"""Numbers, counts and truth values as NumPy, Python and files give them."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import ntklin
from ntklin.edge.checks import as_count, as_flag, as_fraction, as_nonnegative, as_positive

NO_NUMBERS = [
    *(True, False, np.True_, np.False_, np.array(True)),
    *("0.5", np.str_("1"), b"1", bytearray(b"1")),
    *(np.ma.masked, np.ma.array(0.5), np.ma.array(1)),
    *(np.complex64(1), np.array(1j), np.timedelta64(1, "s"), np.datetime64(1, "s")),
    *(None, 1j, [0.5, 1.0], np.ones(2), {}, Fraction),  # a class, whose name is the same everywhere
]


@pytest.mark.parametrize("check", [as_positive, as_nonnegative, as_fraction, as_count])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_by_name(check, value):
    kind = "an integer" if check is as_count else "a number"
    with pytest.raises(TypeError, match=f"rate must be {kind}, got "):
        check(value, name="rate")


@pytest.mark.parametrize("check", [as_positive, as_nonnegative, as_fraction])
@pytest.mark.parametrize(
    "value",
    [0.5, np.float16(0.5), np.longdouble(0.5), np.array(0.5), Decimal("0.5"), Fraction(1, 2)],
    ids=repr,
)
def test_numbers_of_any_kind_become_floats(check, value):
    found = check(value, name="rate")
    assert type(found) is float
    assert found == 0.5


@pytest.mark.parametrize("value", [3, 3.0, np.uint8(3), np.array(3), Decimal(3), Fraction(3)])
def test_whole_numbers_of_any_kind_become_integers(value):
    found = as_count(value, name="steps")
    assert type(found) is int
    assert found == 3


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), np.bool_(1)], ids=repr)
def test_truth_values_of_any_kind_become_pythons(value):
    assert as_flag(value, name="shuffle") is True
    assert ntklin.Momentum(0.1, nesterov=value) == ntklin.Momentum(0.1, nesterov=True)


@pytest.mark.parametrize("value", [0, 1, "no", None, np.array([True]), np.ma.masked], ids=repr)
def test_what_is_no_truth_value_is_refused_by_name(value):
    with pytest.raises(TypeError, match="shuffle must be True or False, got"):
        ntklin.Batches(0.5, shuffle=value)


def test_integers_beyond_all_floats_are_no_numbers():
    with pytest.raises(TypeError, match=r"learning_rate must be a number, got 10+"):
        ntklin.GradientDescent(10**400)
    assert as_count(10**400, name="steps") == 10**400


@pytest.mark.parametrize("weights", [True, np.True_, np.array(True), "2", 2j])
def test_a_multiple_of_one_as_preconditioner_is_a_number_too(weights):
    lin = ntklin.linearize(ntklin.MLP((2, 3, 1)), ntklin.MLP((2, 3, 1)).init(0), np.eye(2))
    for use in (lambda D: lin.minimizer([0, 1], weights=D), lin.weighted_kernel):
        with pytest.raises(TypeError, match="weights must be a number, got"):
            use(weights)


def test_sequences_of_numbers_lose_no_mask():
    masked = np.ma.array([2, 3, 1], mask=[0, 1, 0])
    with pytest.raises(TypeError, match=r"widths must be a sequence.*masked_array"):
        ntklin.MLP(masked)
    with pytest.raises(TypeError, match="betas is a masked array"):
        ntklin.Adam(0.1, betas=np.ma.array([0.9, 0.99]))
    assert ntklin.MLP(np.array([2, 3, 1])) == ntklin.MLP((2, 3, 1))
    assert ntklin.Adam(0.1, betas=np.array([0.5, 0.25])).betas == (0.5, 0.25)


def test_out_loses_no_mask():
    net = ntklin.MLP((2, 3, 1))
    out = np.ma.zeros((2, net.n_parameters))
    with pytest.raises(TypeError, match="out must be an array of numpy, got MaskedArray"):
        net.jacobian(net.init(0), np.eye(2), out=out)


def test_a_number_of_no_dimension_says_how_often_to_record():
    net = ntklin.MLP((2, 3, 1))
    options = {"optimizer": ntklin.GradientDescent(0.1), "steps": 4}
    run = ntklin.train(net, net.init(0), np.eye(2), [0, 1], record=np.array(2), **options)
    assert run.records.steps.tolist() == [0, 2, 4]
