"""Every public function with arguments that are as they should be, and hostile ones instead."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import ntklin
from fuzz.hostile import Argument, Hostile, values
from fuzz.outcomes import Verdict, judged

NET = ntklin.MLP((2, 3, 1))
DEEP = ntklin.MLP((2, 3, 2, 1), bias="normal", activation="tanh")
TWO = ntklin.MLP((2, 3, 2))
PAIR, DOUBLED = ntklin.AntisymmetricPair(NET), ntklin.DoubledNetwork(NET)
INFINITE = ntklin.InfiniteMLP(NET)
P = NET.n_parameters
THETA = NET.init(1)
TWICE = np.r_[THETA, THETA + 0.5]
X = np.array([[0.5, 0.25], [-0.75, 0.5], [0.125, -0.5], [0.25, 0.625]])
X_NEW = np.array([[0.5, -0.5], [0.25, 0.25]])
Y = np.array([0.0, 1.0, 0.5, 1.0])
D = 1 + np.arange(P) / 8
STEPS = np.array([0, 2, 3])
KERNEL = X @ X.T + np.eye(4)
RATE, ADAGRAD = ntklin.GradientDescent(0.125), ntklin.AdaGrad(0.125)
# Where long work is no fault, whatever was asked for.
SECOND = 0.5
FEW, SMALL = 12, 40


class Other(ntklin.Network):
    """A network of somebody else's, whose features are no operator."""

    n_inputs, n_parameters = 2, 3

    def apply(self, theta, X, /):
        return np.asarray(X) @ theta[:2]

    def features(self, theta, X, /):
        return np.ones((len(X), 3))


def array(a, **options):
    return Argument(lambda: np.array(a), "array", **options)


def number(x, **options):
    return Argument(lambda: x, "number", **options)


def count(n, most=FEW, **options):
    return Argument(lambda: n, "count", most=most, **options)


def text(word, *others, **options):
    return Argument(lambda: word, "text", others, **options)


def thing(make, *others, **options):
    return Argument(make, "thing", others, **options)


def function(make, *others):
    return Argument(make, "function", others)


def flag(value):
    return thing(lambda: value)


def none(*others, **options):
    """What is None where it is not needed."""
    return thing(lambda: None, *others, **options)


@dataclass(frozen=True)
class Call:
    """A public function, and what it takes.

    Attributes
    ----------
    function : callable
        Without arguments; returns the function, of an object of its own.
    arguments : dict of str to Argument
        By their names.
    then : callable or None
        Uses what it returns, where that alone would show a fault.
    positional : bool
        Whether it knows no names.
    is_linear : bool
        Whether a NaN of an argument is one of the result: products, and functions of a number.
    """

    function: Callable[[], Any]
    arguments: dict[str, Argument] = field(default_factory=dict)
    then: Callable[[Any], Any] | None = None
    positional: bool = False
    is_linear: bool = False


class Case(NamedTuple):
    """A call with some hostile arguments."""

    where: str
    hostile: dict[str, Hostile]

    @property
    def label(self):
        """How it is called in reports."""
        inside = ", ".join(f"{name} = {value.label}" for name, value in self.hostile.items())
        return f"{self.where}({inside})"

    def __repr__(self):
        return self.label

    def judged(self) -> Verdict:
        """What comes of it."""
        call = CALLS[self.where]
        return judged(call, self.hostile)


def lin():
    return ntklin.linearize(NET, THETA, X)


@functools.cache
def descent():
    return lin().gradient_descent(Y, 0.125)


@functools.cache
def decayed_descent():
    return lin().gradient_descent(Y, 0.125, weight_decay=0.1)


@functools.cache
def random_descent():
    return INFINITE.linearize(X).gradient_descent(Y)


@functools.cache
def minimizer():
    return lin().minimizer(Y)


@functools.cache
def random_minimizer():
    return INFINITE.linearize(X).minimizer(Y)


@functools.cache
def linearized_run():
    return lin().train(Y, ADAGRAD, steps=3, record=1)


@functools.cache
def moments():
    return lin().moments(Y, 0.25, 2)


@functools.cache
def epochs():
    return moments().epochs()


@functools.cache
def product_form():
    return lin().theorem3(Y, [D], 0.125)


@functools.cache
def training():
    return ntklin.train(NET, THETA, X, Y, RATE, steps=3, record=1)


@functools.cache
def mitigation():
    return ntklin.mitigate_initialization(
        NET, X, Y, X_NEW, Y[:2], theta=THETA, max_steps=2, min_sigma=1.0
    )


@functools.cache
def data():
    return ntklin.load_data(n_train=4, n_test=2)


def features():
    return NET.features(THETA, X)


def streamed():
    return NET.features(THETA, X, rows=2)


def pair_features():
    return PAIR.features(TWICE, X)


def bump(X1, X2):
    return np.exp(-((X1[:, None] - X2) ** 2).sum(axis=2))


def quiet(*arguments):
    """Progress that nobody looks at."""


# Arguments that several functions have.
WIDE = tuple(ntklin.MLP((2, m, 1)) for m in (1, 7))
NETS = thing(
    lambda: NET,
    *(
        DEEP,
        TWO,
        PAIR,
        DOUBLED,
        INFINITE,
        ntklin.MLP,
        Other(),
        ntklin.ScaledNetwork(NET, 2.0, THETA),
    ),
    *(ntklin.MLP((3, 3, 1)), ntklin.MLP((2, 1), bias="none"), ntklin.MLP((2, 3, 1), sigma=1e200)),
    *(ntklin.MLP((2, 3, 1), sigma=1e-200), *WIDE),
)
THETAS, INPUTS, TARGETS, NEW = array(THETA), array(X), array(Y), array(X_NEW)
WEIGHTS = Argument(
    lambda: D.copy(),
    "array",
    (
        1.0,
        0.0,
        np.diag(D),
        ntklin.LowRank(np.outer(D, [1.0, 0.5])),
        ntklin.LowRank,
        np.ones((P, P)),
    ),
)
OPTIMIZERS = thing(
    lambda: RATE,
    *(ADAGRAD, ntklin.Adam(0.1), ntklin.AdamW(0.1), ntklin.Momentum(0.1), ntklin.RMSprop(0.1)),
    *(ntklin.GradientDescent(), ntklin.GradientDescent, ntklin.Adam(1e300), ntklin.Adam(1e-300)),
    *(ntklin.GradientDescent(1e6), ntklin.GradientDescent(ntklin.CosineSchedule(0.1, 3))),
    ntklin.Preconditioned(0.1, lambda t, gradient: 1 / (1 + abs(gradient))),
    ntklin.Preconditioned(0.1, lambda t, gradient: None),
    ntklin.Preconditioned(0.1, lambda t, gradient: np.full(len(gradient), np.nan)),
    ntklin.Preconditioned(0.1, lambda t, gradient: np.ones((2, 2))),
    ntklin.GradientDescent(lambda t: 0.1 / (1 + t)),
    ntklin.GradientDescent(lambda t: "x"),
    ntklin.GradientDescent(lambda t: float("nan")),
    ntklin.GradientDescent(lambda t: -1.0),
)
SCHEDULE = number(0.1, words=(ntklin.CosineSchedule(0.1, 3), ntklin.Schedule, lambda t: 0.1))
DECAY = {"weight_decay": number(0.0), "decoupled": flag(False)}
BATCHES = none(
    *(ntklin.Batches(0.5), ntklin.Batches(size=2), ntklin.Batches(size=9), ntklin.Batches),
    *([[0], [1]], [[0.5]], [[4]], [[-1]], [[0, 0]], [[]], [[True]], [["0"]], [None], [[[0]]]),
    *([np.array([0]), np.array([2**63], np.uint64)], [range(2)], "01", [[2**70]]),
)
LOSS = text("squared", "logistic", "softmax", "Squared")
METHOD = text("auto", "direct", "fused", "reduced", "span", "DIRECT")
STOP = thing(
    lambda: ntklin.TimeLimit(SECOND),
    *(ntklin.FirstRise(), ntklin.TimeLimit, ntklin.FirstRise() | ntklin.TimeLimit(1.0)),
)
RESUME = none("no/such/file", Path("no/such"), ".", "/dev/null", "a\0b", lambda: None)
RNG = thing(lambda: 0, np.random.default_rng(1), np.random.SeedSequence(1), [1, 2], -1)
DTYPE = thing(
    lambda: float,
    *("f4", "f8", "f2", "c16", "i8", ">f8", "g", "U", "x", np.float32, np.float64, int, object),
    *(np.dtype([("x", float)]), "f4,f8", "O", bool, np.floating, np.number),
)
SCALES = text("fan_out", "fan_in", "eq1", "standard")
BIAS = text("zero", "none", "normal")
ACTIVATION = thing(
    lambda: "relu",
    *("tanh", "leaky_relu(0.2)", "leaky_relu(nan)", "leaky_relu(", "leaky_relu()", "relu(1)", "x"),
    *("leaky_relu(1e999)", "erf(2)", "leaky_relu(-1)", " relu ", np.tanh, np.str_("relu")),
    *(ntklin.Activation, NET.activation),
)
TIMES = array(STEPS, unless=lambda value: np.size(value) > 10**4)
ROWS = none(1, 2, 3, 100)
SIGMA = number(1.0)
PATH = text("no/such/file", "", ".", "..", "/dev/null", "a\0b", "x" * 300, Path(), b"x", 3)
TOL = number(1e-6)
PROGRESS = function(lambda: quiet)
STEP_ARGUMENTS = {
    "optimizer": OPTIMIZERS,
    "steps": count(3),
    "until": number(1e-3),
    "batches": BATCHES,
    "loss": LOSS,
}
NET_THETA_X = {"net": NETS, "theta": THETAS, "X": INPUTS}
FOR_LINEARIZED = {"Y": TARGETS, **STEP_ARGUMENTS}


def optimizer(kind, **more):
    """Its constructor, and its coefficients."""
    return Call(
        lambda: kind,
        {"learning_rate": SCHEDULE, **more, **DECAY},
        lambda made: made.learning_rate is None or (made.coefficients(1), made.rate(2)),
    )


def network(make, theta, n_inputs=2):
    """The methods that networks share."""
    n, (layers,) = len(theta), [make().unpack(theta)]
    arrays = {"theta": array(theta), "X": INPUTS}
    out = Argument(lambda: np.zeros((4, n)), "array")
    name = type(make()).__name__
    return {
        f"{name}.init": Call(lambda: make().init, {"rng": RNG, "dtype": DTYPE}),
        f"{name}.unpack": Call(lambda: make().unpack, {"theta": array(theta)}),
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


def operator(name, make, columns=P):
    """The methods that features share."""
    return {
        f"{name}.dot": Call(
            lambda: make().dot, {"x": array(np.linspace(0, 1, columns))}, is_linear=True
        ),
        f"{name}.T.dot": Call(lambda: make().T.dot, {"x": array(Y)}, is_linear=True),
        f"{name}.at": Call(lambda: make().at, {"X_new": NEW}),
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


def predicting(name, make, *methods, **more):
    """Methods that take new inputs, and more."""
    return {
        f"{name}.{method}": Call(
            lambda method=method: getattr(make(), method), {"X_new": NEW, **more}
        )
        for method in methods
    }


def times(name, make, *methods, **more):
    """The same for methods that take steps."""
    return {
        f"{name}.{method}": Call(
            lambda method=method: getattr(make(), method), {**more, "t": TIMES}
        )
        for method in methods
    }


CALLS = {
    # Networks
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
    "MLP.features": Call(lambda: NET.features, {"theta": THETAS, "X": INPUTS, "rows": ROWS}),
    "AntisymmetricPair": Call(lambda: ntklin.AntisymmetricPair, {"network": NETS}),
    "AntisymmetricPair.features": Call(lambda: PAIR.features, {"theta": array(TWICE), "X": INPUTS}),
    "AntisymmetricPair.symmetrize": Call(lambda: PAIR.symmetrize, {"theta": THETAS}),
    "AntisymmetricPair.halves": Call(lambda: PAIR.halves, {"theta": array(TWICE)}),
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
    "InfiniteMLP.linearize": Call(lambda: INFINITE.linearize, {"X": INPUTS}),
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
    # Features
    **operator("FeatureMap", features),
    **operator("StreamedFeatures", streamed),
    **operator("PairFeatures", pair_features, 2 * P),
    "StreamedFeatures.of": Call(
        lambda: ntklin.StreamedFeatures.of,
        {"network": NETS, "theta": THETAS, "X": INPUTS, "rows": count(2, None)},
    ),
    "LowRank": Call(lambda: ntklin.LowRank, {"W": array(np.outer(D, [1.0, 0.5]))}),
    # Optimizers and what belongs to them
    "GradientDescent": optimizer(
        ntklin.GradientDescent, momentum=number(0.5), nesterov=flag(False)
    ),
    "Momentum": optimizer(ntklin.Momentum, momentum=number(0.5), nesterov=flag(False)),
    "AdaGrad": optimizer(ntklin.AdaGrad, eps=number(1e-8)),
    "RMSprop": optimizer(ntklin.RMSprop, alpha=number(0.9), eps=number(1e-8)),
    "Adam": optimizer(
        ntklin.Adam,
        betas=thing(lambda: (0.9, 0.99), *((1, 1), (0.5,), (0, 0, 0), ("a", "b"), (np.nan, 0.5))),
        eps=number(1e-8),
    ),
    "AdamW": Call(
        lambda: ntklin.AdamW,
        {
            "learning_rate": SCHEDULE,
            "betas": thing(lambda: (0.9, 0.99), *((1, 1), (0.5,), (-1, 0), (True, False))),
            "eps": number(1e-8),
            "weight_decay": number(0.0),
        },
        lambda made: made.coefficients(1),
    ),
    "Preconditioned": Call(
        lambda: ntklin.Preconditioned,
        {
            "learning_rate": SCHEDULE,
            "fn": function(lambda: lambda t, g: 1 / (1 + abs(g)), lambda t, g: g * np.nan, max),
        },
        lambda made: made.update(made.init(THETA), THETA, D),
    ),
    "Optimizer.init": Call(lambda: ADAGRAD.init, {"theta": THETAS}),
    "Optimizer.update": Call(
        lambda: ADAGRAD.update,
        {
            "state": thing(lambda: ADAGRAD.init(THETA), ntklin.Adam(0.1).init(THETA), RATE),
            "theta": THETAS,
            "gradient": array(D),
        },
    ),
    "Optimizer.rate": Call(lambda: ADAGRAD.rate, {"t": count(2, None)}),
    "Optimizer.rates": Call(
        lambda: ntklin.AdaGrad(ntklin.CosineSchedule(0.1, 3)).rates,
        {"start": count(0, 10**4), "stop": count(3, 10**4)},
    ),
    "Optimizer.coefficients": Call(
        lambda: ntklin.Adam(0.1).coefficients, {"count": count(2, None)}
    ),
    "Optimizer.preconditioner": Call(
        lambda: ADAGRAD.preconditioner,
        {"state": thing(lambda: ADAGRAD.init(THETA), ntklin.Adam(0.1).init(THETA), RATE)},
    ),
    "Optimizer.with_learning_rate": Call(
        lambda: ADAGRAD.with_learning_rate, {"learning_rate": SCHEDULE}
    ),
    "ConstantSchedule": Call(lambda: ntklin.ConstantSchedule, {"learning_rate": number(0.1)}),
    "CosineSchedule": Call(
        lambda: ntklin.CosineSchedule,
        {"learning_rate": number(0.1), "steps": count(5, None), "minimum": number(0.0)},
        lambda made: made(3),
    ),
    "StepSchedule": Call(
        lambda: ntklin.StepSchedule,
        {"learning_rate": number(0.1), "step_size": count(5, None), "gamma": number(0.5)},
        lambda made: made(3),
    ),
    "WarmupSchedule": Call(
        lambda: ntklin.WarmupSchedule,
        {"steps": count(5, None), "start_factor": number(0.1), "end_factor": number(1.0)},
        lambda made: made(3),
    ),
    **{
        f"{type(schedule).__name__}.__call__": Call(
            lambda schedule=schedule: schedule, {"t": count(2, None)}, positional=True
        )
        for schedule in (
            ntklin.ConstantSchedule(0.1),
            ntklin.CosineSchedule(0.1, 5),
            ntklin.StepSchedule(0.1, 5),
            ntklin.WarmupSchedule(),
        )
    },
    "Schedule.__mul__": Call(
        lambda: ntklin.ConstantSchedule(0.1).__mul__,
        {"other": number(2.0, words=(ntklin.WarmupSchedule(3), ntklin.Schedule))},
        lambda made: made is NotImplemented or made(2),
        positional=True,
    ),
    "Batches": Call(
        lambda: ntklin.Batches,
        {"split": number(0.5), "size": none(2), "shuffle": flag(True), "rng": RNG},
        lambda made: made.at(1, 4),
    ),
    "Batches.at": Call(
        lambda: ntklin.Batches(0.5).at, {"step": count(3, None), "n_samples": count(4, 10**5)}
    ),
    "Batches.from_step": Call(
        lambda: ntklin.Batches(0.5).from_step,
        {"step": count(3, None), "n_samples": count(4, 10**5)},
        next,
    ),
    "Batches.batch_size": Call(
        lambda: ntklin.Batches(0.5).batch_size, {"n_samples": count(4, None)}
    ),
    "TimeLimit": Call(lambda: ntklin.TimeLimit, {"seconds": number(1.0)}),
    "Stop.__or__": Call(
        lambda: ntklin.FirstRise().__or__,
        {"other": thing(ntklin.FirstRise, ntklin.TimeLimit)},
        positional=True,
    ),
    "Stop.room": Call(lambda: ntklin.TimeLimit(1.0).room, {"taken": count(3, None)}),
    "sharpness_bound": Call(
        lambda: ntklin.sharpness_bound, {"optimizer": OPTIMIZERS, "t": count(3, None)}
    ),
    # Linearizations
    "linearize": Call(
        lambda: ntklin.linearize, {**NET_THETA_X, "rows": ROWS}, lambda lin: lin.kernel
    ),
    "linearize_kernel": Call(
        lambda: ntklin.linearize_kernel,
        {
            "K": Argument(
                lambda: KERNEL.copy(),
                "array",
                (bump, lambda *a: None, lambda a, b: np.ones(3), lambda a, b: np.nan * bump(a, b)),
            ),
            "X": none(X, X[:2], "x"),
            "f0": none(Y, lambda X: np.ones(len(X)), lambda X: None, Y[:2], lambda X: "x"),
            "covariance": none(KERNEL, bump, KERNEL[:2], -KERNEL, lambda a, b: None),
        },
        lambda made: made.minimizer(Y).coefficients,
    ),
    "linearize_kernel of a function": Call(
        lambda: ntklin.linearize_kernel,
        {
            "K": function(
                lambda: bump, max, lambda a, b: np.ones((1, 1)), lambda a, b: 1j * bump(a, b)
            ),
            "X": INPUTS,
            "f0": function(lambda: lambda X: np.ones(len(X))),
            "covariance": function(lambda: bump),
        },
        lambda made: made.minimizer(Y).predict(X_NEW),
    ),
    "Linearization.at": Call(lambda: lin().at, {"X_new": NEW, "weights": WEIGHTS}),
    "Linearization.modes_at": Call(lambda: lin().modes_at, {"X_new": NEW}),
    "Linearization.weighted_kernel": Call(lambda: lin().weighted_kernel, {"weights": WEIGHTS}),
    "Linearization.rate_bound": Call(lambda: lin().rate_bound, {"momentum": number(0.5)}),
    "Linearization.preconditioner_for": Call(
        lambda: lin().preconditioner_for,
        {"w": array(D), "Y": array(NET.features(THETA, X) @ D)},
    ),
    "Linearization.gradient_descent": Call(
        lambda: lin().gradient_descent,
        {
            "Y": TARGETS,
            "learning_rate": SCHEDULE,
            "ridge": number(0.0),
            "rcond": none(1e-3, 0.5, 1.0),
            "momentum": number(0.0),
            "nesterov": flag(False),
            "weight_decay": number(0.0),
            "decoupled": flag(False),
            "weights": none(D, np.diag(D), 0.0, -1.0, ntklin.LowRank(np.outer(D, [1.0, 0.5]))),
        },
        lambda made: made.predict(X_NEW, 3),
    ),
    "Linearization.gradient_descent with weights": Call(
        lambda: lambda Y, weights: lin().gradient_descent(Y, 0.125, weights=weights),
        {"Y": TARGETS, "weights": WEIGHTS},
        lambda made: made.predict(X_NEW, 3),
    ),
    "Linearization.minimizer": Call(
        lambda: lin().minimizer,
        {
            "Y": TARGETS,
            "weights": WEIGHTS,
            "rcond": none(1e-3, 0.5, 1.0),
            "ridge": number(0.0),
            "solver": text("auto", "eigh", "cholesky", "packed", "mixed", "pcg"),
            "preconditioner": none("ntk", "nystrom", "none", KERNEL, KERNEL[:2], lambda v: v),
            "tol": none(1e-6, 1e-30, 2.0),
            "progress": function(lambda: None, quiet),
            "start": none(np.ones((4, 2)), np.ones(4), "x"),
        },
        lambda made: made.predict(X_NEW),
    ),
    "Linearization.minimizer by iterations": Call(
        lambda: (
            lambda Y, preconditioner, tol, progress, start: lin().minimizer(
                Y,
                solver="pcg",
                preconditioner=preconditioner,
                tol=tol,
                progress=progress,
                start=start,
            )
        ),
        {
            "Y": TARGETS,
            "preconditioner": Argument(KERNEL.copy, "array", ("ntk", "nystrom", "none", max)),
            "tol": TOL,
            "progress": PROGRESS,
            "start": array(np.array([Y, 2 * Y]).T),
        },
        lambda made: made.predict(X_NEW),
    ),
    "Linearization.moments": Call(
        lambda: lin().moments,
        {
            "Y": TARGETS,
            "learning_rate": number(0.25),
            "batch_size": count(2, None),
            "weights": none(D, 1.0, np.diag(D)),
        },
        lambda made: made.loss(3),
    ),
    "Linearization.train": Call(
        lambda: lin().train,
        {
            **FOR_LINEARIZED,
            "record": none(1, [0, 2], [-1], [0.5], "x", np.array([1])),
            "method": METHOD,
            "stop": STOP,
            "resume": RESUME,
            "progress": PROGRESS,
        },
    ),
    **{
        f"Linearization.{name}": Call(
            lambda name=name: getattr(lin(), name),
            {
                "Y": TARGETS,
                "preconditioners": thing(
                    lambda: [1.0, D], *([], [D[:2]], [-D], ADAGRAD, [None], D)
                ),
                "learning_rate": number(0.125),
                "steps": none(1, 2, 0, most=FEW),
                **more,
            },
            lambda made: made.predict(X_NEW),
        )
        for name, more in (("theorem3", {}), ("theorem6", {"batches": BATCHES}))
    },
    "ntklin.theorem3 of an optimizer": Call(
        lambda: lambda optimizer, steps: lin().theorem3(Y, optimizer, None, steps),
        {"optimizer": OPTIMIZERS, "steps": count(3)},
        lambda made: made.predict(X_NEW),
    ),
    **times("LinearizedGradientDescent", descent, "predict", X_new=NEW),
    **times("LinearizedGradientDescent", descent, "loss", "parameters"),
    **times("LinearizedGradientDescent", decayed_descent, "shrinkage"),
    "LinearizedGradientDescent.covariance": Call(
        lambda: random_descent().covariance, {"X_new": NEW, "t": TIMES, "X2": INPUTS}
    ),
    "LinearizedGradientDescent.by_products": Call(
        lambda: descent().by_products,
        {
            "t": array(STEPS, most=30, unless=lambda t: np.max(t) > 30),
            "tol": TOL,
            "progress": PROGRESS,
        },
        lambda made: made.predict(X_NEW),
    ),
    "LinearizedGradientDescent.steps_to": Call(lambda: descent().steps_to, {"loss": number(0.1)}),
    "LinearizedGradientDescent.interpolation_step": Call(
        lambda: decayed_descent().interpolation_step, {"depth": none(1, 2, 3)}
    ),
    "DescentByProducts.predict": Call(lambda: descent().by_products(3).predict, {"X_new": NEW}),
    **predicting(
        *("Minimizer", minimizer, "interpolator", "initialization", "decayed", "predict"),
        *("initialization_size", "noise_amplification"),
    ),
    **predicting("Minimizer", random_minimizer, "expected_initialization_loss"),
    **predicting("Minimizer", random_minimizer, "covariance", X2=INPUTS),
    **predicting("ProductForm", product_form, "predict", "interpolating", "path_dependent"),
    **predicting(
        *("LinearizedRun", linearized_run, "interpolating", "path_dependent"),
        *("noise_amplification",),
    ),
    "LinearizedRun.predict": Call(
        lambda: linearized_run().predict, {"X_new": NEW, "t": count(1, None)}
    ),
    "LinearizedRun.label_sensitivity": Call(
        lambda: linearized_run().label_sensitivity, {"X_new": NEW, "relative_step": number(1e-6)}
    ),
    "LinearizedRun.at": Call(lambda: linearized_run().at, {"t": count(1, None)}),
    "LinearizedRun.concentration": Call(lambda: linearized_run().concentration, {"D": array(D)}),
    "LinearizedRun.save": Call(
        lambda: linearized_run().save, {"path": thing(lambda: "/dev/full/x", 3)}
    ),
    **times("SGDMoments", moments, "predict", X_new=NEW),
    "SGDMoments.loss": Call(lambda: moments().loss, {"t": TIMES, "progress": PROGRESS}),
    "SGDMoments.covariance": Call(
        lambda: moments().covariance, {"X_new": NEW, "t": TIMES, "progress": PROGRESS}
    ),
    "SGDMoments.epochs": Call(
        lambda: moments().epochs, {"draws": none(1, 2, 50, most=100), "rng": RNG}
    ),
    **times("EpochMoments", epochs, "loss"),
    **times("EpochMoments", epochs, "predict", "covariance", X_new=NEW),
    "EpochMoments.difference": Call(
        lambda: epochs().difference, {"X_new": NEW, "t": count(2, 100)}
    ),
    # Training
    "train": Call(
        lambda: ntklin.train,
        {
            **NET_THETA_X,
            "Y": TARGETS,
            **STEP_ARGUMENTS,
            "method": METHOD,
            "record": none(1, [0, 2], [-1], [0.5], "x", np.array([1])),
            "X_record": none(X_NEW, "x", X_NEW[0]),
            "snapshots": flag(True),
            "sharpness": flag(False),
            "stop": STOP,
            "resume": RESUME,
            "progress": PROGRESS,
        },
    ),
    "train with records": Call(
        lambda: (
            lambda record, X_record, snapshots, sharpness: ntklin.train(
                *(NET, THETA, X, Y, RATE, 3),
                record=record,
                X_record=X_record,
                snapshots=snapshots,
                sharpness=sharpness,
            )
        ),
        {
            "record": array(STEPS, unless=lambda value: np.size(value) > 10**4),
            "X_record": NEW,
            "snapshots": flag(True),
            "sharpness": flag(True),
        },
    ),
    "TrainingRun.predict": Call(lambda: training().predict, {"X": NEW}),
    "TrainingRun.snapshot": Call(lambda: training().snapshot, {"step": count(2, None)}),
    "TrainingRun.save": Call(lambda: training().save, {"path": thing(lambda: "/dev/full/x", 3)}),
    "load_run": Call(
        lambda: ntklin.load_run,
        {"path": PATH, "network": none(NET, "x"), "optimizer": none(RATE, "x")},
    ),
    "train_ensemble": Call(
        lambda: ntklin.train_ensemble,
        {
            "net": NETS,
            "thetas": Argument(
                lambda: np.array([THETA, D]), "array", ([THETA, D[:2]], [THETA, None], [], THETA)
            ),
            "X": INPUTS,
            "Y": TARGETS,
            **STEP_ARGUMENTS,
            "stop": STOP,
            "progress": PROGRESS,
        },
    ),
    "largest_learning_rate": Call(
        lambda: ntklin.largest_learning_rate,
        {
            **NET_THETA_X,
            "Y": TARGETS,
            "optimizer": OPTIMIZERS,
            "steps": count(2),
            "until": number(1e-3),
            "batches": BATCHES,
            "loss": LOSS,
            "method": METHOD,
            "precision": number(3.0),
            "reach": number(10.0),
            "progress": PROGRESS,
        },
    ),
    "search_learning_rate": Call(
        lambda: ntklin.search_learning_rate,
        {
            "trainer": function(
                lambda: lambda o: [1.0, o.learning_rate],
                *(lambda o: None, lambda o: [], lambda o: [1.0], lambda o: [np.nan, 1.0]),
                *(lambda o: "x", lambda o: training(), lambda o: [2.0, 1.0], lambda o: [[1.0]]),
                *(lambda o: np.array([1 + 1j]), lambda o: [np.inf, 1.0], lambda o: [-1.0, -2.0]),
            ),
            "optimizer": OPTIMIZERS,
            "precision": number(3.0),
            "reach": number(10.0),
            "progress": PROGRESS,
        },
    ),
    "mitigate_initialization": Call(
        lambda: ntklin.mitigate_initialization,
        {
            "net": NETS,
            "X": INPUTS,
            "Y": TARGETS,
            "X_val": NEW,
            "Y_val": array(Y[:2]),
            "theta": THETAS,
            "rng": RNG,
            "factor": number(0.5, unless=lambda value: 0.9 < float(value) < 1),
            "margin": number(0.05),
            # Below, there may be a thousand networks.
            "min_sigma": number(1.0, unless=lambda value: 0 < float(value) < 1e-3),
            "optimizer": OPTIMIZERS,
            "until": number(1e-3),
            "max_steps": count(3),
            "time_limit": number(SECOND, unless=lambda value: float(value) > 2),
            "batches": BATCHES,
            "loss": LOSS,
            "X_test": NEW,
            "Y_test": array(Y[:2]),
            "compare_baselines": flag(False),
            "compare_decay": flag(False),
            "weight_decay": none(0.1, 0.0),
            "progress": PROGRESS,
            "on_trial": PROGRESS,
        },
    ),
    "decay_initialization": Call(
        lambda: ntklin.decay_initialization,
        {
            "net": NETS,
            "theta": THETAS,
            "X": INPUTS,
            "Y": TARGETS,
            "weight_decay": number(0.25),
            "learning_rate": number(0.5),
            "depth": none(2, 3),
            "max_steps": count(5),
            "stop": STOP,
            "progress": PROGRESS,
        },
    ),
    "Mitigation.predict": Call(lambda: mitigation().predict, {"X": NEW}),
    # Plans, data, proofs
    "plan": Call(
        lambda: ntklin.plan,
        {
            "net": NETS,
            "n_samples": count(20, 50),
            "solver": text("packed", "auto", "eigh", "cholesky", "mixed", "pcg"),
            "preconditioner": text("ntk", "nystrom", "none"),
            "iterations": none(3, 10**400),
        },
    ),
    "plan_cluster": Call(
        lambda: ntklin.plan_cluster,
        {
            "net": NETS,
            "n_samples": count(20, None),
            "workers": count(2, None),
            "preconditioner": text("none", "nystrom", "ntk"),
            "rank": none(3),
            "iterations": none(3, 10**400),
            "threads": none(1, 10**400),
            "bandwidth": number(1e9),
            "latency": number(0.01),
        },
    ),
    "load_data": Call(
        lambda: ntklin.load_data,
        {
            "name_or_path": text("mnist01", *("fashion01", "mnist_like", "MNIST01", *PATH.words)),
            "n_train": count(4, 10**4),
            "n_test": count(2, 10**4),
            "classes": thing(
                lambda: (0, 1),
                *((1, 0), (0,), (0, 0), (0, 7), ("0", "1"), (0.0, 1.0), (b"0", b"1"), (None, 1)),
                *((np.nan, 1), (True, False), [[0], [1]], "01", {0, 1}, np.array([0, 1]), 5),
                *((1j, 0), ((0,), (1,)), (10**400, 0), iter((0, 1))),
            ),
            "rng": RNG,
            "targets": text("01", "pm1", "PM1"),
            "dtype": DTYPE,
            "progress": PROGRESS,
        },
    ),
    "Dataset": Call(
        lambda: ntklin.Dataset,
        {
            "name": text("d"),
            "X_train": INPUTS,
            "Y_train": TARGETS,
            "X_test": NEW,
            "Y_test": array(Y[:2]),
            "provenance": text("here"),
            "image_shape": none((1, 2)),
            "classes": thing(tuple, (0, 1)),
        },
    ),
    "Dataset.labels_of": Call(lambda: data().labels_of, {"outputs": TARGETS}),
    "certify": Call(
        lambda: ntklin.certify,
        {
            "K": array(2 * np.eye(4)),
            "Y": TARGETS,
            "K_new": array(X_NEW @ X.T),
            "f0": array(0 * Y),
            "f0_new": array(X_NEW[0]),
            "radii": none(
                *({"K": 1e-12}, {"K": -1}, {"Y": "x"}, {"x": 1}, {"K": np.nan}, {"Y": np.ones(4)}),
                *({"K": None}, {None: 1}, {"Y": np.ones((2, 2))}, {"K": 1e300}, [("K", 1)], "K"),
            ),
            "precision": count(64, 2000),
        },
    ),
    "Enclosure.distance": Call(
        lambda: ntklin.certify(2 * np.eye(4), Y).coefficients.distance, {"approximation": TARGETS}
    ),
    "device_namespace": Call(
        lambda: ntklin.device_namespace, {"device": text("cpu", "gpu", "CPU")}
    ),
}

# Public names that nobody calls: raised, returned, or for others to fill.
NOT_CALLED = {
    *("ClusterPlan", "Plan", "SGDMoments", "SolverProgress", "TrainingRecords", "TrainingRun"),
    *("LearningRateSearch", "LinearizedRun", "Mitigation", "FeatureMap", "StreamedFeatures"),
    *("Engine", "FeatureOperator", "Network", "Schedule", "Stop", "FirstRise", "__version__"),
}
# Parameters that are left as they are: (where, name), and why.
LEFT_OUT = {
    ("FeatureMap.gram", "blocks"): "the library's own",
    ("StreamedFeatures.gram", "blocks"): "the library's own",
    ("FeatureMap.linearized", "rule"): "working memory of the engines",
    ("Stop.first", "block"): "of the loop",
    ("FirstRise.first", "block"): "of the loop",
    ("TimeLimit.first", "block"): "of the loop",
    ("TrainingRun.write", "f"): "an open file",
    ("LinearizedRun.write", "f"): "an open file",
    ("Optimizer.step", "state"): "trusts what it gets: ``update`` checks",
}


def is_raised(public):
    """Whether a public name is an error or a warning."""
    return inspect.isclass(public) and issubclass(public, BaseException)


@st.composite
def cases(draw, where=None):
    """A call with one or two hostile arguments.

    Parameters
    ----------
    where : str, optional
        A key of CALLS; any of them when not given.

    Returns
    -------
    Case
    """
    where = where or draw(st.sampled_from(sorted(CALLS)))
    arguments = CALLS[where].arguments
    most = min(2, len(arguments))
    names = draw(
        st.lists(st.sampled_from(sorted(arguments)), min_size=1, max_size=most, unique=True)
    )
    return Case(where, {name: draw(values(arguments[name])) for name in names})
