"""Ball arithmetic: ReLU networks, their kernels and the problem that certified checks share."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from flint import arb, arb_mat, ctx
from numpy.typing import DTypeLike

import ntklin
from ntklin.validation.arrays import Array

if TYPE_CHECKING:
    from ntklin.algebra.certificate import Certificate, Enclosure
    from ntklin.theory.linearization import Linearization

PRECISION = 128


@dataclass(frozen=True, eq=False, kw_only=True)
class Enclosed:
    """What Thm 1 needs of a network, all entries proved to lie in their balls.

    Attributes
    ----------
    K, K_new : flint.arb_mat, shapes (N, N) and (N_new, N)
    f0, f0_new : flint.arb_mat, shapes (N, 1) and (N_new, 1)
    g, g_new : flint.arb_mat, shapes (N, 1) and (N_new, 1)
        φ(x) θ_0, summed over weights and biases.
    """

    K: arb_mat
    K_new: arb_mat
    f0: arb_mat
    f0_new: arb_mat
    g: arb_mat
    g_new: arb_mat


def enclose(
    net: ntklin.MLP, theta: Array, X: Array, X_new: Array, precision: int = PRECISION
) -> Enclosed:
    """Forward and backward passes in ball arithmetic, and the kernel K of docs/theory.md.

    θ and the inputs are exact binary numbers. The only roundings are those of Arb, each of which
    is in the radii; signs of preactivations must therefore be certain.

    Parameters
    ----------
    net : ntklin.MLP
    theta : ndarray, shape (P,)
    X, X_new : ndarray, shapes (N, d) and (N_new, d)
    precision : int
        Bits.

    Returns
    -------
    Enclosed

    Raises
    ------
    ArithmeticError
        If it is not certain on which side of its kink a ReLU is.
    """
    with ctx.workprec(precision):
        return _enclose(net, theta, X, X_new)


def _enclose(net: ntklin.MLP, theta: Array, X: Array, X_new: Array) -> Enclosed:
    n, inputs = len(X), np.concatenate([X, X_new])
    live = (inputs != 0).any(axis=0)  # pixels that are 0 everywhere add 0
    layers = net.unpack(theta)
    layers[0] = (layers[0][0][:, live], layers[0][1])
    layers = [
        (matrix(W), matrix(np.zeros((1, len(W))) if b is None else b[None, :])) for W, b in layers
    ]
    w, v = scales(net)
    ones = arb_mat(len(inputs), 1, [1] * len(inputs))
    a, h = [matrix(inputs[:, live])], []
    for l, (W, b) in enumerate(layers):
        h.append(a[-1] * W.transpose() * w[l] + ones * b * v[l])
        if l + 1 < len(layers):
            a.append(where_active(h[-1], h[-1]))
    K, g, delta = arb_mat(len(inputs), n), arb_mat(len(inputs), 1), ones
    for l in reversed(range(len(layers))):
        deltas = delta * rows(delta, n).transpose()
        K += times(a[l] * rows(a[l], n).transpose() * w[l] ** 2 + constant(K, v[l] ** 2), deltas)
        g += times(delta, h[l]) * arb_mat(h[l].ncols(), 1, [1] * h[l].ncols())
        if l:
            delta = where_active(h[l - 1], delta * layers[l][0] * w[l])
    new = slice(n, None)
    return Enclosed(
        K=rows(K, n),
        K_new=rows(K, new),
        f0=rows(h[-1], n),
        f0_new=rows(h[-1], new),
        g=rows(g, n),
        g_new=rows(g, new),
    )


def scales(net: ntklin.MLP) -> tuple[list[arb], list[arb]]:
    """w_l and v_l of Eq. (1) as balls, not as their roundings in float64."""
    fans = net.widths[:-1] if net.scaling == "fan_in" else net.widths[1:]
    w = [arb(net.sigma) / arb(m).sqrt() for m in fans]
    if not net.has_bias:
        return w, [arb(0)] * net.depth
    sigma_b = net.sigma if net.sigma_b is None else net.sigma_b
    return w, w if net.scaling == "fan_out" else [arb(sigma_b)] * net.depth


def matrix(A: Array) -> arb_mat:
    """The exact numbers of a float array."""
    n, m = A.shape
    return arb_mat(n, m, A.ravel().tolist())


def rows(A: arb_mat, part: int | slice) -> arb_mat:
    """The first rows of A, or those of a slice."""
    part = part if isinstance(part, slice) else slice(part)
    return arb_mat(A.tolist()[part])


def constant(like: arb_mat, value: arb) -> arb_mat:
    """A matrix of the same number."""
    n, m = like.nrows(), like.ncols()
    return arb_mat(n, m, [value] * (n * m))


def times(A: arb_mat, B: arb_mat) -> arb_mat:
    """The products of entries."""
    pairs = zip(A.entries(), B.entries(), strict=True)
    return arb_mat(A.nrows(), A.ncols(), [x * y for x, y in pairs])


def where_active(h: arb_mat, A: arb_mat) -> arb_mat:
    """The entries of A where h > 0, and 0 elsewhere."""
    zero, found = arb(0), []
    for z, x in zip(h.entries(), A.entries(), strict=True):
        if z > 0:
            found.append(x)
        elif z <= 0:
            found.append(zero)
        else:
            raise ArithmeticError(
                f"a preactivation within {float(z.upper()):.2g} of 0 has no certain sign; "
                "use more bits"
            )
    return arb_mat(A.nrows(), A.ncols(), found)


def at_most(x: arb | float, digits: int = 2) -> str:
    """An upper bound in decimal digits, rounded up."""
    return _decimal(x, digits, ROUND_CEILING)


def at_least(x: arb | float, digits: int = 2) -> str:
    """A lower bound in decimal digits, rounded down."""
    return _decimal(x, digits, ROUND_FLOOR)


def _decimal(x: arb | float, digits: int, rounding: str) -> str:
    rounded = Context(prec=digits, rounding=rounding).create_decimal(float(x))
    return f"{float(rounded):.{digits}g}"


def known(enclosure: Enclosure | None) -> Enclosure:
    """What a certificate has, as it was given new inputs and f_0.

    Returns
    -------
    Enclosure

    Raises
    ------
    ValueError
        If it has not.
    """
    if enclosure is None:
        raise ValueError("the certificate was made without new inputs, or without f_0")
    return enclosure


# The problem of the certified checks


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A network at initialization on real images, all of whose numbers float32 holds.

    Attributes
    ----------
    net : ntklin.MLP
    theta : ndarray, shape (P,), float32
    X, X_new : ndarray, shapes (N, 784) and (N_new, 784), float32
    Y, Y_new : ndarray, shapes (N,) and (N_new,), float32
    enclosed : Enclosed
    """

    net: ntklin.MLP
    theta: np.ndarray
    X: np.ndarray
    X_new: np.ndarray
    Y: np.ndarray
    Y_new: np.ndarray
    enclosed: Enclosed

    @property
    def longest(self) -> int:
        """The length of the longest sum in a kernel entry."""
        return max(self.net.widths)

    def linearized(self, dtype: DTypeLike) -> Linearization:
        """ntklin's linearization, computed in this precision."""
        return ntklin.linearize(self.net, self.theta.astype(dtype), self.X.astype(dtype))

    def certificate(self, **changes: Any) -> Certificate:
        """ntklin's certificate for the kernel's enclosure; K, say, replaced where it is given."""
        e = self.enclosed
        arguments: dict[str, Any] = {
            "K": e.K,
            "Y": self.Y,
            "K_new": e.K_new,
            "f0": e.f0,
            "f0_new": e.f0_new,
        }
        return ntklin.certify(**arguments | changes, precision=PRECISION)


# Hidden widths by depth, in a full and in a quick run.
HIDDEN = {2: ((4000,), (60,)), 3: ((1000, 1000), (30, 30))}


# A check and its control, and all checks of a statement, look at the same networks.
@lru_cache(maxsize=4)
def mnist(
    seed: int,
    quick: bool,
    sigma: float = 1.0,
    bias: Literal["zero", "none", "normal"] = "zero",
    depth: int = 2,
) -> Problem:
    """MNIST 0/1 and a network at initialization; N = N_T = 100, in a quick run 12.

    Parameters
    ----------
    seed : int
        Of the images and of θ_0.
    quick : bool
    sigma, bias
        Of the network.
    depth : int
        L.

    Returns
    -------
    Problem
    """
    n = 12 if quick else 100
    data = ntklin.load_data("mnist01", n_train=n, n_test=n, rng=seed, dtype=np.float32)
    widths = (data.X_train.shape[1], *HIDDEN[depth][quick], 1)
    net = ntklin.MLP(widths, sigma=sigma, bias=bias)
    theta = net.init(rng=seed, dtype=np.float32)
    return Problem(
        net=net,
        theta=theta,
        X=data.X_train,
        X_new=data.X_test,
        Y=data.Y_train,
        Y_new=data.Y_test,
        enclosed=enclose(net, theta, data.X_train, data.X_test),
    )
