"""What the statistical checks train on, and how far a network is from its linearization."""

import math
from dataclasses import dataclass

import numpy as np

import ntklin

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


def on_the_sphere(rng, n, d=N_INPUTS):
    """n points on the unit sphere."""
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def draw_data(rng, setting):
    """Inputs of which no two are within 45°, nor one and the opposite of another."""
    n = N_TRAIN_QUICK if setting.quick else N_TRAIN
    X = on_the_sphere(rng, 1)
    while len(X) < n:
        x = on_the_sphere(rng, 1)
        if np.abs(X @ x[0]).max() < math.sqrt(0.5):
            X = np.concatenate([X, x])
    X_test, w = on_the_sphere(rng, N_TEST), on_the_sphere(rng, 1)[0]
    return Data(X, np.sign(X @ w), X_test, np.sign(X_test @ w))


def draw_images(rng, setting):
    """Images of MNIST's digits 0 and 1."""
    data = ntklin.load_data("mnist01", *((8, 40) if setting.quick else (20, 100)), rng=rng)
    return Data(data.X_train, data.Y_train, data.X_test, data.Y_test)


def network(m, depth=2, d=N_INPUTS, **options):
    """An MLP with hidden layers of width m."""
    return ntklin.MLP((d, *(m,) * (depth - 1), 1), **options)


def rms(values):
    """√(mean of squares)."""
    return float(np.sqrt(np.mean(np.square(values))))


def moments(last, count=40):
    """Steps 0, 1, … up to ``last`` to look at, ever further apart."""
    return [0, *sorted({round(t) for t in np.geomspace(1, last, count)})]


def adagrad(m):
    """AdaGrad with a rate that suits width m.

    Gradients are of the size 1/√m, so that D is of the size √m and K_D as well.
    """
    return ntklin.AdaGrad(0.3 / math.sqrt(m))


def rmsprop(m):
    """RMSprop with a rate and an ε that suit width m."""
    return ntklin.RMSprop(0.01 / math.sqrt(m), eps=0.01 / math.sqrt(m))
