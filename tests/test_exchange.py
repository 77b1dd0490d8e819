"""Weights from PyTorch's and Flax's dicts and back: outputs, bits, order, and what is refused."""

from importlib.util import find_spec
from itertools import pairwise

import naive
import numpy as np
import pytest
from foreign_arrays import OnlyArray, OnlyDLPack, Recording
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tolerances import EPS, assert_close

import ntklin

SCALED = ("fan_out", "fan_in", "eq1")
DTYPES = (np.float32, np.float64)


def state_dict(widths, seed=0, dtype=np.float64, bias=True, names=None):
    """PyTorch's, of Gaussian numbers."""
    rng = np.random.default_rng(seed)
    sd = {}
    for l, (k, m) in enumerate(pairwise(widths)):
        name = str(2 * l) if names is None else names[l]
        sd[f"{name}.weight"] = rng.standard_normal((m, k)).astype(dtype)
        if bias:
            sd[f"{name}.bias"] = rng.standard_normal(m).astype(dtype)
    return sd


def flax_of(sd):
    """The same layers in Flax's layout."""
    tree = {}
    for key, a in sd.items():
        module, part = key.split(".")
        kernel = part == "weight"
        layer = tree.setdefault(f"Dense_{int(module) // 2}", {})
        layer["kernel" if kernel else "bias"] = a.T.copy() if kernel else a
    return {"params": tree}


def assert_same_bits(found, expected):
    assert list(found) == list(expected)
    for key, a in expected.items():
        if isinstance(a, dict):
            assert_same_bits(found[key], a)
            continue
        assert found[key].dtype == a.dtype
        assert found[key].shape == a.shape
        assert found[key].tobytes() == a.tobytes(), key


@st.composite
def any_state_dicts(draw):
    """Layers of any finite numbers: zeros of both signs, subnormal ones, the largest."""
    widths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    widths.append(1)
    dtype = draw(st.sampled_from(DTYPES))
    width = 8 * np.dtype(dtype).itemsize
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=width)
    bias = draw(st.booleans())
    sd = {}
    for l, (k, m) in enumerate(pairwise(widths)):
        sd[f"{2 * l}.weight"] = draw(arrays.arrays(dtype, (m, k), elements=numbers))
        if bias:
            sd[f"{2 * l}.bias"] = draw(arrays.arrays(dtype, m, elements=numbers))
    return sd


@given(any_state_dicts())
def test_round_trip_to_the_bit(sd):
    net, theta = ntklin.from_state_dict(sd)
    assert net.scaling == "standard"
    assert theta.dtype == sd["0.weight"].dtype
    assert_same_bits(ntklin.to_state_dict(net, theta), sd)
    params = flax_of(sd)
    net, theta = ntklin.from_flax(params)
    assert_same_bits(ntklin.to_flax(net, theta), params)


settings = st.fixed_dictionaries(
    {"scaling": st.sampled_from(SCALED), "sigma": st.sampled_from([None, 0.3, 1.0, 1.7])}
)


@given(settings, st.sampled_from(DTYPES), st.integers(0, 1000))
def test_other_scalings_come_back_to_one_unit_in_the_last_place(options, dtype, seed):
    sd = state_dict((3, 5, 4, 1), seed, dtype)
    net, theta = ntklin.from_state_dict(sd, **options)
    assert theta.dtype == dtype
    back = ntklin.to_state_dict(net, theta)
    for key, a in sd.items():
        assert (np.abs(back[key] - a) <= np.spacing(np.abs(a))).all()
    if dtype == np.float32:
        wide = {key: a.astype(np.float64) for key, a in sd.items()}
        back = ntklin.to_state_dict(*ntklin.from_state_dict(wide, **options))
        assert_same_bits({key: a.astype(np.float32) for key, a in back.items()}, sd)


def torch_outputs(sd, X):
    """A Sequential of Linear and ReLU, row by row and neuron by neuron, with no scales."""
    layers = [
        (sd[f"{2 * l}.weight"], sd.get(f"{2 * l}.bias"))
        for l in range(len(sd))
        if f"{2 * l}.weight" in sd
    ]
    outputs = []
    for x in X.astype(np.float64):
        for l, (W, b) in enumerate(layers):
            if l:
                x = [max(h, 0.0) for h in x]
            x = [
                sum(float(w) * a for w, a in zip(row, x, strict=True))
                + (0.0 if b is None else float(b[i]))
                for i, row in enumerate(W)
            ]
        outputs.append(x[0])
    return np.array(outputs)


@given(
    st.sampled_from((*SCALED, "standard")),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.integers(0, 1000),
)
def test_outputs_are_those_of_the_other_network(scaling, dtype, bias, seed):
    sd = state_dict((3, 6, 5, 1), seed, dtype, bias)
    X = np.random.default_rng(seed).standard_normal((4, 3)).astype(dtype)
    net, theta = ntklin.from_state_dict(sd, scaling=scaling)
    scale = torch_outputs({key: np.abs(a) for key, a in sd.items()}, np.abs(X))
    expected = torch_outputs(sd, X)
    # Each product with a scale is one more rounding of each weight.
    n = sum(net.widths) + 8 * net.depth
    assert_close(net.apply(theta, X), expected, kind="output", n=n, scale=scale)
    net, theta = ntklin.from_flax(flax_of(sd), scaling=scaling)
    assert_close(net.apply(theta, X), expected, kind="output", n=n, scale=scale)


def test_the_kernel_is_that_of_the_other_network():
    sd = state_dict((3, 6, 5, 1), dtype=np.float64)
    net, theta = ntklin.from_state_dict(sd)
    X = np.random.default_rng(1).standard_normal((4, 3))
    J = np.empty((4, net.n_parameters))
    flat = np.concatenate([a.ravel() for a in sd.values()])
    np.testing.assert_array_equal(theta, flat)
    for p in range(len(flat)):
        ends = []
        for step in (-1e-6, 1e-6):
            moved, start, changed = flat.copy(), 0, {}
            moved[p] += step
            for key, a in sd.items():
                changed[key] = moved[start : start + a.size].reshape(a.shape)
                start += a.size
            ends.append(torch_outputs(changed, X))
        J[:, p] = (ends[1] - ends[0]) / 2e-6
    # Linear in each parameter: only rounding, eps/step, is left of the quotient.
    np.testing.assert_allclose(net.features(theta, X).gram(), J @ J.T, rtol=1e-7, atol=1e-7)


# The scaling "standard" itself


@given(st.sampled_from(["none", "zero", "normal"]), st.integers(0, 100))
def test_init_has_the_outputs_of_fan_in(bias, seed):
    options = {"sigma": 1.3, "sigma_b": 0.4, "bias": bias}
    fan_in = ntklin.MLP((3, 6, 5, 1), scaling="fan_in", **options)
    standard = ntklin.MLP((3, 6, 5, 1), scaling="standard", **options)
    theta, other = standard.init(seed), fan_in.init(seed)
    X = np.random.default_rng(seed).standard_normal((4, 3))
    scale = fan_in.apply(np.abs(other), np.abs(X))
    assert_close(standard.apply(theta, X), fan_in.apply(other, X), kind="output", n=30, scale=scale)


@given(st.sampled_from(["none", "zero", "normal"]), st.sampled_from(DTYPES), st.integers(0, 100))
def test_standard_against_the_reference(bias, dtype, seed):
    widths = (3, 6, 5, 1)
    net = ntklin.MLP(widths, scaling="standard", bias=bias, sigma=0.7)
    reference = naive.Network(widths=widths, scaling="standard", bias=bias, sigma=0.7)
    theta = net.init(seed, dtype)
    X = np.random.default_rng(seed).standard_normal((4, 3)).astype(dtype)
    scale = naive.apply(reference, np.abs(theta), np.abs(X))
    expected = naive.apply(reference, theta, X)
    assert_close(net.apply(theta, X), expected, kind="output", n=30, scale=scale)
    if naive.kink_distance(reference, theta, X) > 60 * EPS[np.dtype(dtype)]:
        bound = naive.jacobian(reference, np.abs(theta), np.abs(X))
        J = naive.jacobian(reference, theta, X)
        assert_close(net.jacobian(theta, X), J, kind="jacobian", n=30, scale=bound)


def test_wide_standard_networks_keep_the_size_of_their_outputs():
    net = ntklin.MLP((10, 2000, 2000, 1), scaling="standard", sigma=2**0.5)
    outputs = net.apply(net.init(0, "float32"), np.eye(10, dtype="float32"))
    assert 0.01 < float(np.abs(outputs).mean()) < 10


def test_standard_has_no_limit_and_no_mitigation():
    net = ntklin.MLP((3, 6, 1), scaling="standard")
    for limit in (ntklin.infinite_ntk, ntklin.infinite_nngp):
        with pytest.raises(ValueError, match=r"'standard' has no infinite-width limit.*'fan_in'"):
            limit(net, np.eye(3))
    with pytest.raises(ValueError, match=r"scaling='standard' σ is no part.*from_state_dict"):
        ntklin.mitigate_initialization(net, np.eye(3), np.ones(3), np.eye(3), np.ones(3))


# What is found out: order, dtype, σ


def test_names_and_order():
    widths = (2, 3, 3, 3, 1)
    names = ("0", "2", "10", "12")
    sd = state_dict(widths, names=names)
    net, theta = ntklin.from_state_dict(sd)
    for order in (sorted(sd), sorted(sd, reverse=True)):  # "10" before "2", as files have it
        again, same = ntklin.from_state_dict({key: sd[key] for key in order})
        np.testing.assert_array_equal(same, theta)
        back = ntklin.to_state_dict(again, same, names={key: None for key in order})
        assert_same_bits(back, sd)
    for names in (
        ("net.0", "net.2", "net.10", "net.12"),
        ("fc1", "fc2", "fc3", "out"),
        ("_orig_mod.module.first", "b", "a", "zz"),
        ("dense", "dense_1", "dense_2", "dense_10"),
        ("blocks.0.linear", "blocks.1.linear", "blocks.10.linear", "head"),
    ):
        sd = state_dict(widths, names=names)
        np.testing.assert_array_equal(ntklin.from_state_dict(sd)[1], theta)
        assert_same_bits(ntklin.to_state_dict(net, theta, names=names), sd)
        assert_same_bits(ntklin.to_state_dict(net, theta, names=sd), sd)
    sd = state_dict(widths, names=("layer1", "layer3", "layer2", "out"))
    with pytest.raises(ValueError, match=r"order of the layers 'layer1', 'layer3', .* not certain"):
        ntklin.from_state_dict(sd)


def test_one_linear_layer():
    sd = {"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])}
    net, theta = ntklin.from_state_dict(sd)
    assert_same_bits(ntklin.to_state_dict(net, theta, names=[""]), sd)
    params = {"params": {"kernel": np.array([[1.0], [2.0]]), "bias": np.array([3.0])}}
    np.testing.assert_array_equal(ntklin.from_flax(params)[1], theta)
    assert_same_bits(ntklin.to_flax(net, theta, names=[""]), params)


def test_nested_trees():
    sd = state_dict((2, 3, 1))
    params = flax_of(sd)["params"]
    nested = {"Body_0": {"Dense_0": params["Dense_0"]}, "head": params["Dense_1"]}
    net, theta = ntklin.from_flax(nested)
    np.testing.assert_array_equal(theta, ntklin.from_state_dict(sd)[1])
    assert_same_bits(ntklin.to_flax(net, theta, names=nested), {"params": nested})
    assert_same_bits(
        ntklin.to_flax(net, theta, names=["Body_0/Dense_0", "head"]), {"params": nested}
    )


def test_dtypes():
    sd = state_dict((2, 3, 1))
    for dtypes, expected in (
        ([np.float16] * 4, np.float32),
        ([np.float16, np.float32, np.float32, np.float16], np.float32),
        ([np.float32, np.float32, np.float64, np.float32], np.float64),
        ([np.int8] * 4, np.float64),
    ):
        given = {key: a.astype(t) for (key, a), t in zip(sd.items(), dtypes, strict=True)}
        net, theta = ntklin.from_state_dict(given)
        assert theta.dtype == expected
        back = ntklin.to_state_dict(net, theta)
        assert_same_bits({key: back[key].astype(a.dtype) for key, a in given.items()}, given)


@pytest.mark.parametrize("convert", [OnlyArray, OnlyDLPack, np.ndarray.tolist])
def test_arrays_of_others(convert):
    sd = state_dict((2, 3, 1))
    theta = ntklin.from_state_dict(sd)[1]
    given = {key: convert(a) for key, a in sd.items()}
    np.testing.assert_array_equal(ntklin.from_state_dict(given)[1], theta)


@pytest.mark.parametrize("scaling", SCALED)
def test_sigma_is_that_of_the_draw(scaling):
    drawn = ntklin.MLP((50, 400, 300, 1), sigma=0.6, scaling=scaling)
    sd = ntklin.to_state_dict(drawn, drawn.init(0))
    net, theta = ntklin.from_state_dict(sd, scaling=scaling)
    assert net.sigma == pytest.approx(0.6, rel=0.02)  # 8 of 1/√(2P)
    weights = np.concatenate([W.ravel() for W, _ in net.unpack(theta)])
    assert np.mean(weights**2) == pytest.approx(1, rel=1e-12)
    zeros = {key: 0 * a for key, a in sd.items()}
    with pytest.raises(ValueError, match="all weights are 0, which tells no sigma"):
        ntklin.from_state_dict(zeros, scaling=scaling)


def test_the_result_is_a_copy():
    sd = state_dict((2, 3, 1))
    net, theta = ntklin.from_state_dict(sd)
    back = ntklin.to_state_dict(net, theta)
    theta[:] = 0
    assert all(
        a.flags.writeable and a.flags.c_contiguous and a.flags.owndata for a in back.values()
    )
    assert_same_bits(back, sd)


# What is refused

FULL = state_dict((2, 3, 1))


@pytest.mark.parametrize(
    ("sd", "error", "message"),
    [
        ({}, ValueError, "sd is empty"),
        ([1], TypeError, "sd must map names to weights and biases, got list"),
        ({0: np.ones((1, 2))}, TypeError, "sd or names must have strings for keys, got 0"),
        (FULL | {"1.running_mean": np.ones(3)}, ValueError, "1.running_mean.*BatchNorm: fold"),
        (FULL | {"1.num_batches_tracked": 1}, ValueError, "BatchNorm"),
        (FULL | {"2.weight_g": np.ones(3)}, ValueError, "remove_weight_norm"),
        (
            FULL | {"2.parametrizations.weight.original0": np.ones(3)},
            ValueError,
            "remove_parametrizations",
        ),
        (
            FULL | {"attn.in_proj_weight": np.ones((3, 3))},
            ValueError,
            "in_proj_weight' is no weight",
        ),
        (
            FULL | {"1.weight": np.ones(3)},
            ValueError,
            r"sd\['1.weight'\] has shape \(3,\).*normaliz",
        ),
        (
            FULL | {"0.weight": np.ones((3, 1, 5, 5))},
            ValueError,
            r"sd\['0.weight'\] has shape \(3, 1, 5, 5\).*convolution",
        ),
        (FULL | {"0.bias": np.ones((3, 1))}, ValueError, r"sd\['0.bias'\] has shape \(3, 1\)"),
        (FULL | {"0.bias": np.ones(4)}, ValueError, "'0' has 3 outputs, but a bias of length 4"),
        (FULL | {"4.bias": np.ones(1)}, ValueError, "layer '4' of sd has a bias, but no weight"),
        (
            FULL | {"2.weight": np.ones((1, 4))},
            ValueError,
            "layer '2' takes 4 inputs, but '0' before it has 3 outputs",
        ),
        (
            {key: a for key, a in FULL.items() if key != "2.bias"},
            ValueError,
            r"layer '2' has no bias.*numpy.zeros\(1\).*layer_weights\(\{\(2, 'bias'\): 0.0\}\)",
        ),
        (FULL | {"0.weight": Recording(np.ones((3, 2)))}, TypeError, r"sd\['0.weight'\].*detach"),
        (
            FULL | {"0.weight": np.full((3, 2), np.nan)},
            ValueError,
            r"sd\['0.weight'\] contains NaN or infinite",
        ),
    ],
)
def test_dicts_that_are_no_such_network(sd, error, message):
    with pytest.raises(error, match=message):
        ntklin.from_state_dict(sd)


DENSE = flax_of(FULL)["params"]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({}, ValueError, "params is empty"),
        ({"params": {}}, ValueError, "params is empty"),
        ([1], TypeError, "params must map names to layers, got list"),
        ({"params": DENSE, "batch_stats": {}}, ValueError, "'batch_stats' beside 'params'"),
        (
            DENSE | {"LayerNorm_0": {"scale": np.ones(3)}},
            ValueError,
            r"params\['LayerNorm_0'\]\['scale'\] is no kernel or bias",
        ),
        (
            DENSE | {"Conv_0": {"kernel": np.ones((3, 3, 1, 2))}},
            ValueError,
            r"\['Conv_0'\]\['kernel'\] has shape .*convolution",
        ),
        (DENSE | {"Dense_1": {"bias": np.ones(1)}}, ValueError, "'Dense_1' of params has a bias"),
        (DENSE | {"Dense_1": {"kernel": np.ones((3, 1))}}, ValueError, "'Dense_1' has no bias"),
    ],
)
def test_trees_that_are_no_such_network(params, error, message):
    with pytest.raises(error, match=message):
        ntklin.from_flax(params)


def test_what_cannot_be_written():
    net, theta = ntklin.from_state_dict(FULL)
    for write in (ntklin.to_state_dict, ntklin.to_flax):
        with pytest.raises(ValueError, match=r"names must be 2 different strings, got \['a'\]"):
            write(net, theta, names=["a"])
        with pytest.raises(ValueError, match="2 different"):
            write(net, theta, names=["a", "a"])
        with pytest.raises(TypeError, match="names must be strings, one for each layer, got 'ab'"):
            write(net, theta, names="ab")
        with pytest.raises(TypeError, match=r"AntisymmetricPair; .*pair.halves\(theta\)"):
            write(ntklin.AntisymmetricPair(net), np.r_[theta, theta])
        with pytest.raises(ValueError, match=r"theta must have shape"):
            write(net, theta[1:])
        large = ntklin.MLP(net.widths, scaling="fan_in", sigma=1e3)
        with pytest.raises(ntklin.FloatRangeError, match=r"w_1 W\^1 overflows float64"):
            write(large, np.full(net.n_parameters, 1e307))


# With the libraries themselves, where they are installed


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
def test_pytorch_itself():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    net, theta = ntklin.from_state_dict(model.state_dict())
    expected = model(torch.from_numpy(X)).detach().numpy()[:, 0]
    np.testing.assert_allclose(net.apply(theta, X), expected, rtol=1e-5, atol=1e-6)
    back = {k: torch.from_numpy(a) for k, a in ntklin.to_state_dict(net, theta).items()}
    other = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    other.load_state_dict(back)
    for key, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], tensor)
    with pytest.raises(TypeError, match=r"sd\['0.weight'\].*requires grad.*\.detach\(\)"):
        ntklin.from_state_dict(dict(model.named_parameters()))
    with pytest.raises(TypeError, match=r"meta.*\.cpu\(\)"):
        ntklin.from_state_dict({k: a.to("meta") for k, a in model.state_dict().items()})
    with pytest.raises(TypeError, match=r"pass model.state_dict\(\)"):
        ntklin.from_state_dict(model)
    half = ntklin.from_state_dict(model.half().state_dict())[1]
    assert half.dtype == np.float32


@pytest.mark.skipif(not find_spec("jax"), reason="JAX is not installed")
def test_arrays_of_jax():
    import jax.numpy as jnp

    params = flax_of(state_dict((3, 4, 1), dtype=np.float32))
    theta = ntklin.from_flax(params)[1]
    layers = params["params"].items()
    given = {m: {k: jnp.asarray(a) for k, a in layer.items()} for m, layer in layers}
    np.testing.assert_array_equal(ntklin.from_flax({"params": given})[1], theta)
    short = {m: {k: a.astype(jnp.bfloat16) for k, a in layer.items()} for m, layer in given.items()}
    assert ntklin.from_flax(short)[1].dtype == np.float32
