"""What the statistical checks train on, and how far a network is from its linearization."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Setting

Values = TypeVar("Values")

N_TRAIN, N_TRAIN_QUICK, N_TEST, N_INPUTS = 10, 5, 40, 6


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs on the unit sphere and a target that they determine.

    Attributes
    ----------
    X, X_test : ndarray, shapes (N, d) and (N_T, d)
    Y, Y_test : ndarray, shapes (N,) and (N_T,)
    """

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray


def on_the_sphere(rng: Generator, n: int, d: int = N_INPUTS) -> Array:
    """n points on the unit sphere."""
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def draw_data(rng: Generator, setting: Setting) -> Data:
    """Inputs of which no two are within 45°, nor one and the opposite of another."""
    n = N_TRAIN_QUICK if setting.quick else N_TRAIN
    X = on_the_sphere(rng, 1)
    while len(X) < n:
        x = on_the_sphere(rng, 1)
        if np.abs(X @ x[0]).max() < math.sqrt(0.5):
            X = np.concatenate([X, x])
    X_test, w = on_the_sphere(rng, N_TEST), on_the_sphere(rng, 1)[0]
    return Data(X, np.sign(X @ w), X_test, np.sign(X_test @ w))


def draw_images(rng: Generator, setting: Setting) -> Data:
    """Images of MNIST's digits 0 and 1."""
    data = ntklin.load_data("mnist01", *((8, 40) if setting.quick else (20, 100)), rng=rng)
    return Data(data.X_train, data.Y_train, data.X_test, data.Y_test)


def network(m: int, depth: int = 2, d: int = N_INPUTS, **options: Any) -> ntklin.MLP:
    """An MLP with hidden layers of width m."""
    return ntklin.MLP((d, *(m,) * (depth - 1), 1), **options)


def recorded(values: Values | None) -> Values:
    """What a run was asked to record, and so has.

    Returns
    -------
    ndarray or tuple of ndarray

    Raises
    ------
    ValueError
        If it was not.
    """
    if values is None:
        raise ValueError("the run was not asked to record this")
    return values


def rms(values: ArrayLike) -> float:
    """√(mean of squares)."""
    return float(np.sqrt(np.mean(np.square(values))))


def descend(
    optimizer: Any, gradient: Callable[[int, Array], Array], size: int, steps: int
) -> Array:
    """θ after so many steps from 0, by an optimizer's rule on the gradients of a convex problem.

    Parameters
    ----------
    optimizer : Optimizer
    gradient : callable
        ``gradient(t, theta)``.
    size : int
        The length of θ.
    steps : int

    Returns
    -------
    ndarray, shape (size,)
    """
    theta = np.zeros(size)
    state = optimizer.init(theta)
    for t in range(steps):
        theta, state = optimizer.update(state, theta, gradient(t, theta))
    return theta


def train_quietly(
    net: ntklin.MLP, theta: Array, data: Data, *args: Any, **options: Any
) -> ntklin.TrainingRun:
    """``ntklin.train`` on the data, where a loss that rises in some step is no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
        return ntklin.train(net, theta, data.X, data.Y, *args, **options)


def moments(last: int, count: int = 40) -> list[int]:
    """Steps 0, 1, … up to ``last`` to look at, ever further apart."""
    return [0, *sorted({round(t) for t in np.geomspace(1, last, count)})]


def adagrad(m: int) -> ntklin.AdaGrad:
    """AdaGrad with a rate that suits width m.

    Gradients are of the size 1/√m, so that D is of the size √m and K_D as well.

    Returns
    -------
    AdaGrad
    """
    return ntklin.AdaGrad(0.3 / math.sqrt(m))


def rmsprop(m: int) -> ntklin.RMSprop:
    """RMSprop with a rate and an ε that suit width m."""
    return ntklin.RMSprop(0.01 / math.sqrt(m), eps=0.01 / math.sqrt(m))
