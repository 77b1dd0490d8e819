"""The activations α of an MLP's hidden layers: the library's own, and pairs of a user's own."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.checks import as_flag
from ntklin.edge.values import said
from ntklin.kernels.activations import BODIES, PARAMETERS, Body

NAMES = tuple(BODIES)
# α(c h) = c α(h) for c > 0.
HOMOGENEOUS = ("relu", "leaky_relu", "abs")
# Where the two functions of a user are tried before anything is compiled.
TRIED = (-2.0, -0.5, 0.0, 0.5, 2.0)

Scalar = Callable[[float], float]


@dataclass(frozen=True, repr=False)
class Activation:
    r"""An activation α and its derivative α', applied to each preactivation.

    ============== ============================ =================================== ===========
    name           α(h)                         α'(h)                               homogeneous
    ============== ============================ =================================== ===========
    ``relu``       max(h, 0)                    1[h > 0]                            yes
    ``leaky_relu`` h for h > 0, else slope · h  1 for h > 0, else slope (0.01)      yes
    ``abs``        \|h\|                        sign h                              yes
    ``erf``        erf h                        2/√π exp(−h²)                       no
    ``tanh``       tanh h                       1 − tanh² h                         no
    ``gelu``       h Φ(h), exactly              Φ(h) + h φ(h)                       no
    ``softplus``   log(1 + e^{βh})/β (β = 1)    1/(1 + e^{−βh})                     no
    ``sigmoid``    1/(1 + e^{−h})               α (1 − α)                           no
    ``sin``        sin h                        cos h                               no
    ============== ============================ =================================== ===========

    ``MLP(…, activation="tanh")`` takes a name, with its number in brackets where it has one, as
    ``"leaky_relu(0.2)"``. A pair of functions of one's own is compiled for the CPU; on a GPU each
    has to be a ``def`` with one ``return`` of arithmetic and functions of ``math``.

    Parameters
    ----------
    f, df : callable
        α and α' as functions of a Python float: what Numba compiles.
    is_homogeneous : bool
        Whether α(c h) = c α(h) for c > 0, by which f_0 scales as σ^L and
        f_init = (1/L) φ(x)(1 − P_F)θ_0 (Lemma 4).
    name : str, optional
        For messages; that of ``f`` when not given.

    Attributes
    ----------
    body : Body
        What kernels take.

    Examples
    --------
    >>> import ntklin
    >>> def cube(h):
    ...     return h * h * h
    >>> def slope(h):
    ...     return 3 * h * h
    >>> ntklin.MLP((4, 50, 1), activation=ntklin.Activation(cube, slope)).activation
    Activation('cube')
    """

    f: Scalar
    df: Scalar
    is_homogeneous: bool = field(default=False, kw_only=True)
    name: str = field(default="", kw_only=True)
    body: Body = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("f", "df"):
            function: Any = getattr(self, name)
            if not callable(function):
                raise TypeError(
                    f"{name} must be a function of one float, got {said(function)}; an activation "
                    "of "
                    f"the library's own is asked for by its name: {', '.join(map(repr, NAMES))}"
                )
            _try(function, name)
        as_flag(self.is_homogeneous, name="is_homogeneous")
        if not isinstance(self.name, str):
            raise TypeError(f"name must be text, got {said(self.name)}")
        object.__setattr__(self, "name", self.name or getattr(self.f, "__name__", "activation"))
        object.__setattr__(self, "body", Body("", self.f, self.df))

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"

    @property
    def is_relu(self) -> bool:
        """Whether it is the ReLU, whose zeros most kernels skip."""
        return self.body.name == "relu"

    def described(self) -> str | dict[str, str]:
        """Its name; of a user's own the digests of its functions, too, which no file holds."""
        digests = {name: _digest(function) for name, function in (("f", self.f), ("df", self.df))}
        return {"name": self.name} | digests

    def value(self, h: Any) -> Array:
        """α(h), elementwise in float64."""
        return np.vectorize(self.f, otypes=[float])(as_array(h, "h"))

    def slope(self, h: Any) -> Array:
        """α'(h), elementwise in float64."""
        return np.vectorize(self.df, otypes=[float])(as_array(h, "h"))


@dataclass(frozen=True, repr=False)
class NamedActivation(Activation):
    """One of the library's own."""

    def __post_init__(self) -> None:
        kind, p = _parsed(self.name)
        value, slope = BODIES[kind]
        object.__setattr__(self, "body", Body(kind, value, slope, p))
        object.__setattr__(self, "is_homogeneous", kind in HOMOGENEOUS)

    def __reduce__(self) -> Any:
        return as_activation, (self.name,)

    def described(self) -> str:
        """Its name."""
        return self.name


@dataclass(frozen=True)
class _Applied:
    """A function of the library's with its number, as a function of h."""

    function: Callable[[float, float], float]
    p: float

    def __call__(self, h: float) -> float:
        return self.function(h, self.p)


def _digest(function: Any) -> str:
    """By which a function is known again: that of its code, where it has some."""
    code = getattr(function, "__code__", None)
    text = repr(function) if code is None else code.co_code.hex() + repr(code.co_consts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _try(function: Any, name: str) -> None:
    """Refuse what is no function of a number before anything is compiled."""
    for h in TRIED:
        try:
            result = float(function(h))
        except Exception as e:
            raise TypeError(
                f"{name}({h}) fails ({e}); it must take one Python float and return one"
            ) from e
        if math.isnan(result):
            raise ValueError(f"{name}({h}) is NaN; it must be defined for every real number")


def _parsed(text: str) -> tuple[str, float]:
    """``"leaky_relu(0.2)"`` as the name and its number."""
    found = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*([^()]+?)\s*\))?\s*", text)
    kind = found[1] if found else text
    if found is None or kind not in BODIES:
        raise ValueError(
            f"activation must be one of {', '.join(map(repr, NAMES))}, or an ntklin.Activation of "
            f"two functions, got {said(text)}"
        )
    what, p = PARAMETERS.get(kind, ("", 0.0))
    if found[2] is None:
        return kind, p
    if not what:
        raise ValueError(f"the activation {kind!r} takes no number, got {text!r}")
    try:
        p = float(found[2])
    except ValueError:
        p = math.nan
    if not math.isfinite(p) or (what == "beta" and p <= 0):
        kinds = "a positive number" if what == "beta" else "a finite number"
        raise ValueError(f"the {what} of {kind!r} must be {kinds}, got {text!r}")
    return kind, p


def as_activation(activation: str | Activation) -> Activation:
    """An activation from its name, or as it is.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        For an unknown name, or a number that it cannot have.
    TypeError
        For something else.
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(
            f"activation must be a name or an ntklin.Activation, got {type(activation).__name__}; "
            "for functions of your own write ntklin.Activation(f, df)"
        )
    kind, p = _parsed(activation)
    value, slope = BODIES[kind]
    default = PARAMETERS.get(kind, ("", p))[1]
    name = kind if p == default else f"{kind}({p!r})"
    return NamedActivation(_Applied(value, p), _Applied(slope, p), name=name)
