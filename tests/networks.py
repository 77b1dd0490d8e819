"""Random networks for the tests: the library's and the reference's, with parameters and inputs."""

from typing import NamedTuple

import naive
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from tolerances import EPS

import ntklin

SCALINGS = ("fan_out", "fan_in", "eq1")
BIASES = ("none", "zero", "normal")
DTYPES = (np.float32, np.float64)
ACTIVATIONS = tuple(name for name in naive.ACTIVATIONS if name != "bound")


class Case(NamedTuple):
    """A network twice, θ and X of one dtype, and the length of the sums behind its outputs."""

    net: ntklin.MLP
    reference: naive.Network
    theta: np.ndarray
    X: np.ndarray

    @property
    def dtype(self):
        return self.X.dtype

    @property
    def n(self):
        return sum(self.net.widths) + 4 * self.net.depth

    @property
    def bound(self):
        """The sums of absolute terms: the same network at |θ| and |X|."""
        return np.abs(self.theta), np.abs(self.X)

    @property
    def bounding(self):
        """The network of absolute terms, to be asked at |θ| and |X|."""
        is_kinked = self.reference.activation in naive.KINKED
        return self.reference._replace(activation="relu" if is_kinked else "bound")

    def jacobian(self, X=None):
        return naive.jacobian(self.reference, self.theta, self.X if X is None else X)

    def jacobian_bound(self, X=None):
        return naive.jacobian(self.bounding, np.abs(self.theta), np.abs(self.X if X is None else X))


def network(widths, **options):
    """`ntklin.MLP` and `naive.Network` of the same description."""
    return ntklin.MLP(widths, **options), naive.Network(widths=tuple(widths), **options)


def inputs(rng, n_inputs, n, dtype, kind="plain"):
    """Gaussian rows; `degenerate` adds a zero row, a copy, an opposite row and a dead column."""
    X = rng.standard_normal((n, n_inputs))
    if kind == "degenerate":
        X = np.vstack([X, 0 * X[0], X[0], -2 * X[0]])
        if n_inputs > 1:
            X[:, rng.integers(n_inputs)] = 0
    return X.astype(dtype)


def make_case(widths, seed=0, n=4, dtype=np.float64, rows="plain", start="random", **options):
    """A case with Gaussian θ in all of its entries, or as `init` draws it."""
    net, reference = network(widths, **options)
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(net.n_parameters)
    if start == "init":
        theta = net.init(seed)
    return Case(net, reference, theta.astype(dtype), inputs(rng, widths[0], n, dtype, rows))


@st.composite
def options(draw, scalings=SCALINGS, biases=BIASES):
    """Keyword arguments of a network."""
    scaling = draw(st.sampled_from(scalings))
    sigma_b = draw(st.sampled_from([None, 0.3])) if scaling == "fan_in" else None
    sigma = draw(st.sampled_from([0.3, 1.0, 1.7]))
    bias = draw(st.sampled_from(biases))
    return {"sigma": sigma, "scaling": scaling, "bias": bias, "sigma_b": sigma_b}


ROWS = ("plain", "degenerate")


@st.composite
def cases(draw, min_depth=1, max_rows=5, dtypes=DTYPES, rows=ROWS, general=False, **choices):
    """Any ReLU network of up to four layers and one output, or ``general`` ones of any kind.

    No preactivation is within rounding of its kink.
    """
    hidden = draw(st.lists(st.integers(1, 10), min_size=min_depth - 1, max_size=3))
    n_outputs = draw(st.integers(1, 4)) if general else 1
    activation = draw(st.sampled_from(ACTIVATIONS)) if general else "relu"
    case = make_case(
        (draw(st.integers(1, 6)), *hidden, n_outputs),
        seed=draw(st.integers(0, 10**6)),
        n=draw(st.integers(1, max_rows)),
        dtype=draw(st.sampled_from(dtypes)),
        rows=draw(st.sampled_from(rows)),
        start=draw(st.sampled_from(["random", "init"])),
        activation=activation,
        **draw(options(**choices)),
    )
    keep_clear_of_kinks(case)
    return case


def keep_clear_of_kinks(case, X=None):
    """Discard an example in which rounding may flip a ReLU."""
    distance = naive.kink_distance(case.reference, case.theta, case.X if X is None else X)
    assume(distance > 2 * case.n * EPS[case.dtype])
