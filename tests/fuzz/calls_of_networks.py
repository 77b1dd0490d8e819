"""Networks and their features with hostile arguments."""

import numpy as np

import ntklin
from fuzz.arguments import (
    ACTIVATION,
    BIAS,
    DOUBLED,
    DTYPE,
    INFINITE,
    INPUTS,
    NET,
    NETS,
    NEW,
    PAIR,
    RNG,
    ROWS,
    SCALES,
    SIGMA,
    SOME_INPUTS,
    SOME_NEW,
    TARGETS,
    THETA,
    THETAS,
    TWICE,
    WEIGHTS,
    Call,
    D,
    P,
    X,
    Y,
    array,
    count,
    features,
    flag,
    function,
    none,
    number,
    pair_features,
    streamed,
    text,
    thing,
)
from fuzz.hostile import Argument


def network(make, theta, n_inputs=2):
    """The methods that networks share."""
    n, (layers,) = len(theta), [make().unpack(theta)]
    arrays = {"theta": array(theta), "X": INPUTS}
    out = Argument(lambda: np.zeros((4, n)), "array")
    name = type(make()).__name__
    return {
        f"{name}.init": Call(lambda: make().init, {"rng": RNG, "dtype": DTYPE}),
        f"{name}.unpack": Call(lambda: make().unpack, {"theta": array(theta)}, is_linear=True),
        f"{name}.pack": Call(lambda: make().pack, {"layers": LAYERS(layers)}),
        f"{name}.apply": Call(lambda: make().apply, arrays),
        f"{name}.jacobian": Call(lambda: make().jacobian, {**arrays, "out": out}),
        f"{name}.layer_weights": Call(
            lambda: make().layer_weights,
            {
                "factors": thing(
                    lambda: {1: 0.0},
                    *({}, {9: 1.0}, {1: -1.0}, {1: "x"}, {(1, "weight"): 2.0}, {(1, "x"): 2.0}),
                    *({1: np.nan}, {1: None}, {1: [1.0]}, {None: 1.0}, {"bias": True}, {1: 1e400}),
                    *({1: 1e200, "weight": 1e200}, {True: 1.0}, {1.0: 0.5}),
                )
            },
        ),
    }


def LAYERS(layers):
    changed = (
        layers[:-1],
        [*layers, *layers],
        [(W.T, b) for W, b in layers],
        [(W, None) for W, _ in layers],
        [W for W, _ in layers],
        [(W * np.nan, b) for W, b in layers],
        [(W, b, b) for W, b in layers],
        [("x", "y")] * len(layers),
        [(None, None)] * len(layers),
        [(W.astype(complex), b) for W, b in layers],
        [(W * 1e300, b) for W, b in layers],
        dict(layers=layers),
    )
    return thing(lambda: list(layers), *changed)


def operator(name, make, columns=P, new=NEW):
    """The methods that features share."""
    return {
        f"{name}.dot": Call(
            lambda: make().dot, {"x": array(np.linspace(0, 1, columns))}, is_linear=True
        ),
        f"{name}.T.dot": Call(lambda: make().T.dot, {"x": array(Y)}, is_linear=True),
        f"{name}.at": Call(lambda: make().at, {"X_new": new}),
        f"{name}.gram": Call(
            lambda: make().gram,
            {
                "other": none(features(), pair_features(), streamed(), features, np.ones((4, 13))),
                "weights": array(np.linspace(0, 1, columns)),
            },
        ),
        f"{name}.project": Call(lambda: make().project, {"v": array(np.linspace(0, 1, columns))}),
        f"{name}.gram_product": Call(lambda: make().gram_product, {"R": array(Y)}, is_linear=True),
        f"{name}.toarray": Call(
            lambda: make().toarray, {"out": Argument(lambda: np.zeros((4, columns)), "array")}
        ),
        f"{name}.rows": Call(
            lambda: make().rows,
            {
                "index": thing(
                    lambda: slice(1, 3),
                    *(slice(None), slice(0, 0), slice(9, 3), slice(None, None, -1), slice(0, 9)),
                    *(slice(-2, None), slice(0, 4, 2), slice("a", 2), slice(0.5, 2), 1, [0, 1]),
                )
            },
        ),
        f"{name}.balanced": Call(lambda: make().balanced, {"dtype": DTYPE}),
    }


NETWORKS = {
    "MLP": Call(
        lambda: ntklin.MLP,
        {
            "widths": thing(
                lambda: (2, 3, 1),
                *((2,), (), (2, 0, 1), (2, -3, 1), (2.5, 1), ("2", "1"), (2, True, 1), [2, 3, 1]),
                *(np.array([2, 3, 1]), np.array([[2, 3]]), (2, 10**400, 1), (2, np.nan, 1), "231"),
                *((2, None, 1), iter((2, 1)), {2: 3}, 5, b"\2\3\1", np.array([2.0, 1.0])),
            ),
            "sigma": SIGMA,
            "scaling": SCALES,
            "bias": BIAS,
            "sigma_b": number(0.5),
            "activation": ACTIVATION,
        },
        lambda net: net.init(0) if net.n_parameters < 10**4 else None,
    ),
    **network(lambda: NET, THETA),
    **network(lambda: PAIR, TWICE),
    "MLP.features": Call(lambda: NET.features, {"theta": THETAS, "X": SOME_INPUTS, "rows": ROWS}),
    "AntisymmetricPair": Call(lambda: ntklin.AntisymmetricPair, {"network": NETS}),
    "AntisymmetricPair.features": Call(lambda: PAIR.features, {"theta": array(TWICE), "X": INPUTS}),
    "AntisymmetricPair.symmetrize": Call(lambda: PAIR.symmetrize, {"theta": THETAS}),
    "AntisymmetricPair.halves": Call(lambda: PAIR.halves, {"theta": array(TWICE)}, is_linear=True),
    "DoubledNetwork": Call(lambda: ntklin.DoubledNetwork, {"network": NETS}),
    "DoubledNetwork.init": Call(lambda: DOUBLED.init, {"rng": RNG, "dtype": DTYPE}),
    "DoubledNetwork.symmetrize": Call(lambda: DOUBLED.symmetrize, {"theta": THETAS}),
    "ScaledNetwork": Call(
        lambda: ntklin.ScaledNetwork,
        {"network": NETS, "scale": number(2.0), "origin": THETAS},
        lambda net: net.apply(THETA, X),
    ),
    "ScaledNetwork.apply": Call(
        lambda: ntklin.ScaledNetwork(NET, 2.0, THETA).apply, {"theta": array(D), "X": INPUTS}
    ),
    "ScaledNetwork.features": Call(
        lambda: ntklin.ScaledNetwork(NET, 2.0, THETA).features, {"theta": array(D), "X": INPUTS}
    ),
    "ClusterNetwork": Call(
        lambda: ntklin.ClusterNetwork,
        {
            "network": NETS,
            # No address that anything could answer at: a connection is tried for half a minute.
            "cluster": thing(lambda: "", 3, "no address", unless=lambda v: isinstance(v, str)),
            "chunk_rows": ROWS,
            "threads": none(1),
        },
    ),
    "InfiniteMLP": Call(lambda: ntklin.InfiniteMLP, {"net": NETS}, lambda made: made.ntk(X)),
    "InfiniteMLP.ntk": Call(lambda: INFINITE.ntk, {"X1": INPUTS, "X2": NEW}),
    "InfiniteMLP.nngp": Call(lambda: INFINITE.nngp, {"X1": INPUTS, "X2": NEW}),
    "InfiniteMLP.linearize": Call(lambda: INFINITE.linearize, {"X": SOME_INPUTS}),
    "infinite_ntk": Call(lambda: ntklin.infinite_ntk, {"net": NETS, "X1": INPUTS, "X2": NEW}),
    "infinite_nngp": Call(lambda: ntklin.infinite_nngp, {"net": NETS, "X1": INPUTS, "X2": NEW}),
    "Activation": Call(
        lambda: ntklin.Activation,
        {
            "f": function(lambda: lambda h: h * h, np.sin, abs, lambda h: "x", lambda h: None),
            "df": function(lambda: lambda h: 2 * h, np.cos, abs, lambda h: "x", lambda h: None),
            "is_homogeneous": flag(False),
            "name": text(""),
        },
        lambda made: (made.value([0.5]), made.slope([0.5])),
        is_linear=True,  # what a user's function gives is what it gives
    ),
    "Activation.value": Call(lambda: NET.activation.value, {"h": TARGETS}, is_linear=True),
    "Activation.slope": Call(lambda: NET.activation.slope, {"h": TARGETS}, is_linear=True),
    "ntk": Call(
        lambda: ntklin.ntk,
        {"net": NETS, "theta": THETAS, "X1": INPUTS, "X2": NEW, "weights": WEIGHTS},
    ),
    **{
        f"from_{name}": Call(
            lambda take=take: take,
            {
                first: thing(lambda give=give: give(NET, THETA), *trees),
                "activation": ACTIVATION,
                "scaling": SCALES,
                "sigma": none(1.0, 0.5, np.inf),
                "sigma_b": none(1.0, 0.5, np.inf),
            },
        )
        for name, first, give, take, trees in (
            (
                "state_dict",
                "sd",
                lambda *given: ntklin.to_state_dict(*given),
                ntklin.from_state_dict,
                (
                    *({}, {"x": 1}, {"0.weight": np.ones((3, 2))}, {"0.weight": np.ones(3)}),
                    *({"0.bias": np.ones(3)}, {0: np.ones((1, 2))}, {"0.weight": None}),
                    {"0.weight": np.ones((3, 2)), "2.weight": np.ones((1, 4))},
                    {"0.weight": np.full((1, 2), np.nan)},
                    {"0.weight": np.ones((0, 2))},
                    {"0.weight": np.ones((1, 2)), "0.bias": np.ones(7)},
                    {"0.weight": np.ones((1, 2), complex)},
                    {"0.weight": np.ones((1, 2, 3, 3))},
                    {None: np.ones((1, 2))},
                ),
            ),
            (
                "flax",
                "params",
                lambda *given: ntklin.to_flax(*given),
                ntklin.from_flax,
                (
                    *({}, {"params": {}}, {"params": 3}, {"params": {"Dense_0": 3}}),
                    *({"params": {"Dense_0": {"kernel": None}}}, {"params": {0: {1: 2}}}),
                    {"params": {"kernel": np.ones((2, 1)), "x": np.ones(3)}},
                    {"params": {"Dense_0": {"kernel": np.ones((2, 0))}}},
                    {"params": {"Dense_0": {"kernel": np.ones(2)}}},
                    {"params": {"Dense_0": {"bias": np.ones(2)}}},
                    {"params": {"Dense_0": {"kernel": np.full((2, 1), np.inf)}}},
                ),
            ),
        )
    },
    "to_state_dict": Call(
        lambda: ntklin.to_state_dict,
        {
            "net": NETS,
            "theta": THETAS,
            "names": thing(lambda: ["a", "b"], *(["a"], ["a", "a"], [1, 2])),
        },
    ),
    "to_flax": Call(
        lambda: ntklin.to_flax,
        {
            "net": NETS,
            "theta": THETAS,
            "names": thing(lambda: ["a", "b"], *(["a"], ["a", "a"], [1, 2])),
        },
    ),
    **operator("FeatureMap", features),
    **operator("StreamedFeatures", streamed, new=SOME_NEW),
    **operator("PairFeatures", pair_features, 2 * P),
    "StreamedFeatures.of": Call(
        lambda: ntklin.StreamedFeatures.of,
        {"network": NETS, "theta": THETAS, "X": SOME_INPUTS, "rows": count(2, None)},
    ),
    "LowRank": Call(lambda: ntklin.LowRank, {"W": array(np.outer(D, [1.0, 0.5]))}),
}
