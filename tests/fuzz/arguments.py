"""A small problem, the arguments that several functions have, and how a call is written down."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ntklin
from fuzz.hostile import Argument, Hostile
from fuzz.places import PLACES

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
# What no integer of a machine counts.
BEYOND = 2**63


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


def count(n, most=FEW, again=BEYOND, **options):
    return Argument(lambda: n, "count", most=most, again=again, **options)


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
def adagrad_training():
    return ntklin.train(NET, THETA, X, Y, ADAGRAD, steps=3, record=1)


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


def is_much(value):
    """Whether work with an array, as with all pairs of its rows, takes long."""
    return np.size(value) > 10**4


# Of which there are two or three rows at a time.
SOME_INPUTS, SOME_NEW = array(X, unless=is_much), array(X_NEW, unless=is_much)
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
    ntklin.GradientDescent(lambda t: "x" if t else 0.1),
    ntklin.GradientDescent(lambda t: float("nan") if t else 0.1),
    ntklin.GradientDescent(lambda t: -1.0 if t else 0.1),
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
RUNS = (
    Hostile("a run", training),
    Hostile("a run by AdaGrad", adagrad_training),
    Hostile("a linearized run", linearized_run),
)
RESUME = none(*PLACES, *RUNS, lambda: None)
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
TIMES = array(STEPS, unless=is_much)
# Where one step is taken after the other.
STEPWISE = array(STEPS, unless=lambda value: 10**4 < max(np.size(value), np.max(value)) < BEYOND)
ROWS = none(1, 2, 3, 100)
SIGMA = number(1.0)
PATH = text("no/such/file", *PLACES)
# Where a run is saved: what can be written stays in the folder of the cases.
TARGET = thing(lambda: "/dev/full/x", *PLACES)
TOL = number(1e-6)
# Without one pyplot opens a figure, in each case another.
AXES = thing(lambda: Figure().add_subplot(), unless=lambda value: value is None)
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
