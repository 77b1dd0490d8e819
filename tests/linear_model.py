"""A network that is its own linearization, f(x) = ⟨θ, x⟩: any matrix can be its feature map."""

import warnings

import numpy as np

import ntklin


def linear_model(J, theta=None):
    """The linearization whose features φ(X) are the rows of ``J`` and f_0(x) = ⟨θ, φ(x)⟩."""
    J = np.asarray(J)
    net = ntklin.MLP((J.shape[1], 1), bias="none")
    theta = np.zeros(net.n_parameters, J.dtype) if theta is None else theta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.UnitBallWarning)
        return ntklin.linearize(net, theta, J)
