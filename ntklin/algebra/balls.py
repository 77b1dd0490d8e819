"""Arb's balls as tuples of numbers, which can be pickled, and back."""

from typing import Any

from ntklin.edge.errors import MissingPackageError

try:
    from flint import arb, arb_mat, ctx
except ModuleNotFoundError as e:
    raise MissingPackageError("ntklin.certify", "python-flint", "flint") from e

__all__ = ["arb", "arb_mat", "ball_from", "ctx", "described"]

# Arb rounds a radius up as it takes it, also one that it could hold. What is smaller by less than
# its resolution of 2^−30 is rounded up to that radius itself.
_SPARE = 64


def described(ball: arb) -> tuple[Any, Any]:
    """A ball's midpoint and radius, each (mantissa, exponent), or a float where it is not finite.

    Parameters
    ----------
    ball : arb

    Returns
    -------
    pair
    """
    return _exactly(ball.mid()), _exactly(ball.rad())


def ball_from(description: tuple[Any, Any]) -> arb:
    """The ball that ``described`` described, to the last bit.

    Parameters
    ----------
    description : pair

    Returns
    -------
    arb
    """
    midpoint, radius = description
    if isinstance(radius, float):
        return arb(midpoint, radius)
    mantissa, exponent = radius
    if mantissa == 0:
        return arb(midpoint)
    return arb(midpoint, ((mantissa << _SPARE) - 1, exponent - _SPARE))


def _exactly(x: arb) -> tuple[int, ...] | float:
    return tuple(map(int, x.man_exp())) if x.is_finite() else float(x)
