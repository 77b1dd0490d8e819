"""The frozen cases: networks, inputs, targets and weights, the same numbers on every machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from types import ModuleType

import numpy as np

import ntklin
from ntklin.validation.arrays import Array

# Work, case, dtype and N: what shares the processes of its peers.
Group = tuple[str, str, str, int]
# (W^l, b^l), from below.
Layers = list[tuple[Array, Array]]

SIGMA = 1.4
SEED = 20261101
N_TEST = 100
DTYPES = ("float64", "float32")
INPUTS = ("gaussian", "mnist")
SIZES = (100, 1000)


@dataclass(frozen=True)
class Case:
    """A network, and how many gradient steps one timed run of training takes.

    Attributes
    ----------
    name : str
    widths : tuple of int
    steps : int
        So many that the set-up, which is timed and subtracted, is a small part of the run.
    activation : str
    """

    name: str
    widths: tuple[int, ...]
    steps: int
    activation: str = "relu"

    @property
    def n_outputs(self) -> int:
        """C."""
        return self.widths[-1]

    @property
    def is_plain(self) -> bool:
        """One output and ReLU, which all works and peers know."""
        return self.n_outputs == 1 and self.activation == "relu"


@dataclass(frozen=True)
class Scale:
    """The sizes of everything: the frozen benchmark, or a small copy that runs in seconds.

    Attributes
    ----------
    cases : tuple of Case
    n : dict
        From the frozen N to the one that runs.
    rounds, peer_rounds : int
    seconds : float
        The shortest turn; a call that is faster is repeated.
    n_times : int
        How many t the closed form is asked for.
    n_gemm, n_gpu_gemm, stream_bytes : int
        Order of the matrix product, here and on a GPU, and bytes per array that the limits are
        measured with.
    """

    cases: tuple[Case, ...]
    n: dict[int, int]
    rounds: int
    peer_rounds: int
    seconds: float
    n_times: int
    n_gemm: int
    n_gpu_gemm: int
    stream_bytes: int


FULL = Scale(
    cases=(
        Case("A", (784, 4000, 1), 400),
        Case("B", (784, 2000, 2000, 1), 60),
        Case("A10", (784, 4000, 10), 200),
        Case("Atanh", (784, 4000, 1), 200, "tanh"),
    ),
    n={100: 100, 1000: 1000},
    rounds=5,
    peer_rounds=3,
    seconds=0.25,
    n_times=1000,
    n_gemm=4096,
    n_gpu_gemm=8192,
    stream_bytes=1 << 30,
)
QUICK = Scale(
    cases=(
        Case("A", (16, 12, 1), 4),
        Case("B", (16, 10, 8, 1), 4),
        Case("A10", (16, 12, 3), 4),
        Case("Atanh", (16, 12, 1), 4, "tanh"),
    ),
    n={100: 8, 1000: 12},
    rounds=2,
    peer_rounds=1,
    seconds=0.0,
    n_times=20,
    n_gemm=64,
    n_gpu_gemm=64,
    stream_bytes=1 << 16,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """One case with data, in one dtype. W ~ N(0, 1) and b = 0, drawn in float64 and rounded.

    Attributes
    ----------
    case : Case
    inputs : {"gaussian", "mnist"}
    dtype : dtype
    layers : list of (W^l, b^l)
    X, X_test : ndarray, shapes (N, d) and (100, d)
        Unit rows.
    Y : ndarray, shape (N,), or (N, C) of more than one output
    xp : module
        The namespace of the arrays.
    """

    case: Case
    inputs: str
    dtype: np.dtype
    layers: Layers
    X: np.ndarray
    X_test: np.ndarray
    Y: np.ndarray
    xp: ModuleType = np

    def on(self, xp: ModuleType) -> Problem:
        """The same problem with arrays of another namespace."""
        return replace(
            self,
            layers=[(xp.asarray(W), xp.asarray(b)) for W, b in self.layers],
            X=xp.asarray(self.X),
            X_test=xp.asarray(self.X_test),
            Y=xp.asarray(self.Y),
            xp=xp,
        )

    @property
    def n(self) -> int:
        """N."""
        return len(self.X)

    @property
    def net(self) -> ntklin.MLP:
        """The network; ``eq1`` is the parametrization of the peers: w_l = σ/√m_l, v_l = σ."""
        options = {"activation": self.case.activation, "sigma": SIGMA, "bias": "zero"}
        return ntklin.MLP(self.case.widths, scaling="eq1", **options)

    @property
    def infinite_net(self) -> ntklin.MLP:
        """The network whose infinite-width kernel is timed: ``eq1`` has none, so ``fan_in``."""
        return ntklin.MLP(self.case.widths, sigma=SIGMA, scaling="fan_in", bias="normal")

    @cached_property
    def theta(self) -> Array:
        """θ_0, shape (P,)."""
        return self.xp.concatenate([part.ravel() for layer in self.layers for part in layer])

    @property
    def adaptive_rate(self) -> float:
        """The learning rate of the adaptive methods, by which each parameter moves at first.

        Small enough that the loss falls, as in App. D, large enough that the outputs move.
        """
        return 0.02 / math.sqrt(len(self.theta))

    @cached_property
    def weights(self) -> Array:
        """The diagonal of D, uniform on [0.5, 1.5), shape (P,)."""
        rng = np.random.default_rng(SEED + 1)
        return self.xp.asarray((0.5 + rng.random(len(self.theta))).astype(self.dtype))

    @cached_property
    def probe(self) -> Array:
        """v ~ N(0, 1) of length P; J v stands for J where J is too large to pass on."""
        return np.random.default_rng(SEED + 2).standard_normal(len(self.theta))


def draw(case: Case, n: int, inputs: str, dtype: str) -> Problem:
    """The problem of a case with N inputs.

    Parameters
    ----------
    case : Case
    n : int
    inputs : {"gaussian", "mnist"}
    dtype : {"float64", "float32"}

    Returns
    -------
    Problem
    """
    number = np.dtype(dtype)
    rng = np.random.default_rng(SEED)
    layers = [(rng.standard_normal((m, k)), np.zeros(m)) for k, m in pairwise(case.widths)]
    if inputs == "gaussian":
        X = unit_rows(rng.standard_normal((n + N_TEST, case.widths[0])))
        X, X_test = X[:n], X[n:]
        Y = rng.standard_normal((n, case.n_outputs) if case.n_outputs > 1 else n)
    else:
        data = ntklin.load_data("mnist01", n_train=n, n_test=N_TEST)
        X, X_test = (pooled(images, case.widths[0]) for images in (data.X_train, data.X_test))
        Y = data.Y_train
        if case.n_outputs > 1:
            Y = np.eye(case.n_outputs)[Y.astype(int)]
    return Problem(
        case=case,
        inputs=inputs,
        dtype=number,
        layers=[(W.astype(number), b.astype(number)) for W, b in layers],
        X=X.astype(number),
        X_test=X_test.astype(number),
        Y=Y.astype(number),
    )


def unit_rows(X: Array) -> Array:
    """The rows x/‖x‖."""
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def pooled(images: Array, n_pixels: int) -> Array:
    """28 × 28 images as unit rows of ``n_pixels`` block sums, 784 leaving them as they are."""
    if n_pixels == images.shape[1]:
        return images
    side = math.isqrt(n_pixels)
    blocks = images.reshape(len(images), side, 28 // side, side, 28 // side)
    return unit_rows(blocks.sum(axis=(2, 4)).reshape(len(images), -1))
