"""The optimizers' rules; their bodies are in rules.cuh."""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.launch import elements

# By update.cu's own numbers: AdaGrad and RMSprop are one rule with other coefficients.
RULES = {"descent": 0, "momentum": 1, "adagrad": 2, "rmsprop": 2, "adam": 3}
SLOTS = {"descent": 0, "momentum": 1, "adagrad": 1, "rmsprop": 1, "adam": 2}
MOST_COEFFICIENTS = 6


def update(rule, coefficients, theta, slots, gradient):
    """One step of an optimizer's rule on flat arrays, in place.

    Parameters
    ----------
    rule : str
        A key of ``RULES``.
    coefficients : sequence of float
    theta : ndarray, shape (P,)
        Updated.
    slots : sequence of ndarray, shape (P,)
        Updated; as many as ``SLOTS`` says.
    gradient : ndarray, shape (P,)
    """
    c = (*coefficients, *(0.0,) * (MOST_COEFFICIENTS - len(coefficients)))
    # A rule without slots never touches what stands in their place.
    first, second = (*slots, *(theta,) * (2 - len(slots)))
    arrays = theta, first, second, gradient
    arguments = (np.int32(RULES[rule]), *map(theta.dtype.type, c), *arrays, np.int64(len(theta)))
    loader.launch("update.cu", "update", theta.dtype, elements(len(theta)), arguments)
