"""Arrays of pandas, Polars, PyTorch and JAX themselves, where they are installed."""

from importlib.util import find_spec

import numpy as np
import pytest
from test_array_arguments import IDS, TABLE, arrays_of, call

import ntklin

NET = ntklin.MLP((2, 3, 1))
X = np.array([[0.5, 0.25], [-0.75, 0.5], [0.125, -0.5], [0.25, 0.625]])
Y = np.array([0.0, 1.0, 0.5, 1.0])


def pandas_of(a):
    import pandas as pd

    return (pd.DataFrame if np.ndim(a) == 2 else pd.Series)(a)


def nullable(a):
    """Of pandas' own dtypes, each column of the narrowest: Int64 beside Float64."""
    return pandas_of(a).convert_dtypes()


def polars_of(a):
    import polars as pl

    return (pl.DataFrame if np.ndim(a) == 2 else pl.Series)(a)


def torch_of(a):
    import torch

    return torch.tensor(a)


def jax_of(a):
    import jax

    with jax.enable_x64(True):
        return jax.numpy.asarray(a)


FORMS = {
    **{pandas_of: "pandas", nullable: "pandas", polars_of: "polars"},
    **{torch_of: "torch", jax_of: "jax"},
}


@pytest.mark.parametrize("of", [form for form, library in FORMS.items() if find_spec(library)])
@pytest.mark.parametrize("row", TABLE, ids=IDS.values())
def test_tables_and_tensors_give_the_same_result(row, of):
    plain = TABLE[row][1]
    value = of(plain)
    found, expected = arrays_of(call(row, value)), arrays_of(call(row, plain.copy()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_table_of_pandas_may_have_columns_of_any_numbers():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(
        {
            "int": pd.array([0, 1, 0, 1], "Int64"),
            "float": pd.array([0.5, 0.25, 0.125, 1], "Float64"),
            "bool": pd.array([True, False, True, True], "boolean"),
            "category": pd.Categorical([0.25, 0.5, 0.25, 0.5]),
        }
    )
    net = ntklin.MLP((4, 3, 1))
    plain = np.array([[0, 0.5, 1, 0.25], [1, 0.25, 0, 0.5], [0, 0.125, 1, 0.25], [1, 1, 1, 0.5]])
    np.testing.assert_array_equal(net.apply(net.init(0), table), net.apply(net.init(0), plain))
    table["float"] = table["float"].mask(table["float"] == 0.125)
    with pytest.raises(TypeError, match=r"X must be .*missing value <NA> at row 2, column 1"):
        net.apply(net.init(0), table)
    with pytest.raises(ValueError, match=r"Y contains NaN.*entry 2"):
        ntklin.linearize(net, net.init(0), plain / 4).minimizer(table["float"])


@pytest.mark.parametrize(
    ("dtype", "values", "why"),
    [
        ("boolean", [True, False, None, True], "missing value <NA> at entry 2"),
        ("string", ["0", "1", "0", "1"], "the text '0' at entry 0.*numpy.asarray"),
        ("category", ["0", "1", "0", "1"], "the text '0' at entry 0"),
        ("datetime64[ns]", [0, 1, 2, 3], "got dtype datetime64"),
        ("complex128", [1j, 0, 0, 0], "got dtype complex128"),
    ],
)
def test_columns_that_are_no_numbers_are_refused(dtype, values, why):
    pd = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=f"Y must be an array of real numbers.*{why}"):
        ntklin.train(NET, NET.init(0), X, pd.Series(values, dtype=dtype), steps=1)


def test_tensors_that_numpy_cannot_read_say_what_they_need():
    torch = pytest.importorskip("torch")
    bad = {
        r"requires grad.*\.detach\(\)": torch.tensor(X, requires_grad=True),
        r"BFloat16.*\.float\(\)": torch.tensor(X).bfloat16(),
        r"Sparse.*\.to_dense\(\)": torch.tensor(X).to_sparse(),
        r"meta.*\.cpu\(\)": torch.tensor(X).to("meta"),
    }
    for why, tensor in bad.items():
        with pytest.raises(TypeError, match=rf"X must be an array.*torch\.Tensor: .*{why}"):
            NET.apply(NET.init(0), tensor)
    half = torch.tensor(X).half()
    np.testing.assert_array_equal(NET.apply(NET.init(0), half), NET.apply(NET.init(0), X))


def test_batches_of_a_loader_are_refused_as_pairs():
    data = pytest.importorskip("torch").utils.data
    samples = data.TensorDataset(torch_of(X), torch_of(Y))
    with pytest.raises(TypeError, match=r"batch of step 0 holds 2 arrays, as .* \(X, Y\).*indices"):
        ntklin.train(NET, NET.init(0), X, Y, steps=2, batches=data.DataLoader(samples, 2))
    sampler = data.BatchSampler(data.SequentialSampler(samples), 2, drop_last=False)
    options = {"optimizer": ntklin.GradientDescent(0.1), "steps": 2}
    run = ntklin.train(NET, NET.init(0), X, Y, batches=sampler, **options)
    same = ntklin.train(NET, NET.init(0), X, Y, batches=[[0, 1], [2, 3]], **options)
    np.testing.assert_array_equal(run.parameters, same.parameters)


def test_bfloat16_of_jax_is_read_exactly():
    jnp = pytest.importorskip("jax").numpy
    found = NET.apply(NET.init(0), jnp.asarray(X, jnp.bfloat16))
    np.testing.assert_array_equal(found, NET.apply(NET.init(0), X))
