"""Activations α and their slopes α', each as one scalar function for every backend.

The functions below are ordinary Python of one real number. On the CPU they are compiled as they
stand, but for those that ``cpu.exponentials`` has in vector lanes; for a GPU ``in_c`` writes the
same expression in C. Each is evaluated so that it keeps its digits where it is small, and overflows
nowhere. At a kink, α' is what PyTorch has there.
"""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable
from functools import cache
from math import cos, erf, erfc, exp, log1p, sin, tanh
from typing import NamedTuple

ROOT_2 = math.sqrt(2)
GAUSS = 1 / math.sqrt(2 * math.pi)
ERF_SLOPE = 2 / math.sqrt(math.pi)


class Body(NamedTuple):
    """A pair of scalar functions of h and of a number p, which most have no use for.

    Attributes
    ----------
    name : str
        Of one of ``BODIES``; "" for functions of somebody else, which take h alone.
    value, slope : callable
        α(h) and α'(h).
    p : float
    """

    name: str
    value: Callable[..., float]
    slope: Callable[..., float]
    p: float = 0.0


def relu(h, p):
    return h if h > 0 else 0.0


def relu_slope(h, p):
    return 1.0 if h > 0 else 0.0


def leaky_relu(h, p):
    return h if h > 0 else p * h


def leaky_relu_slope(h, p):
    return 1.0 if h > 0 else p


def absolute(h, p):
    return h if h > 0 else -h


def absolute_slope(h, p):
    return 1.0 if h > 0 else (-1.0 if h < 0 else 0.0)


def error_function(h, p):
    return erf(h)


def error_function_slope(h, p):
    return ERF_SLOPE * exp(-h * h)


def hyperbolic_tangent(h, p):
    return tanh(h)


def hyperbolic_tangent_slope(h, p):
    return 4.0 * exp(-2.0 * abs(h)) / (1.0 + exp(-2.0 * abs(h))) / (1.0 + exp(-2.0 * abs(h)))


def gelu(h, p):
    return 0.5 * h * erfc(-h / ROOT_2)


def gelu_slope(h, p):
    return 0.5 * erfc(-h / ROOT_2) + h * (GAUSS * exp(-0.5 * h * h))


def softplus(h, p):
    return (h if h > 0 else 0.0) + log1p(exp(-abs(p * h))) / p


def softplus_slope(h, p):
    return 1.0 / (1.0 + exp(-p * h)) if h > 0 else exp(p * h) / (1.0 + exp(p * h))


def sigmoid(h, p):
    return 1.0 / (1.0 + exp(-h)) if h > 0 else exp(h) / (1.0 + exp(h))


def sigmoid_slope(h, p):
    return exp(-abs(h)) / (1.0 + exp(-abs(h))) / (1.0 + exp(-abs(h)))


def sine(h, p):
    return sin(h)


def sine_slope(h, p):
    return cos(h)


BODIES = {
    "relu": (relu, relu_slope),
    "leaky_relu": (leaky_relu, leaky_relu_slope),
    "abs": (absolute, absolute_slope),
    "erf": (error_function, error_function_slope),
    "tanh": (hyperbolic_tangent, hyperbolic_tangent_slope),
    "gelu": (gelu, gelu_slope),
    "softplus": (softplus, softplus_slope),
    "sigmoid": (sigmoid, sigmoid_slope),
    "sin": (sine, sine_slope),
}
#: Those with a number p: its name, and its value when none is given.
PARAMETERS = {"leaky_relu": ("slope", 0.01), "softplus": ("beta", 1.0)}

RELU = Body("relu", *BODIES["relu"])


# In C

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARED = {ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
# What C and the module ``math`` call alike, and what C calls otherwise.
_CALLED = {
    **{
        name: name
        for name in (
            *("exp", "expm1", "log", "log1p", "sqrt", "cbrt", "erf", "erfc", "pow", "hypot"),
            *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "floor", "ceil", "copysign"),
            *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "fabs", "lgamma"),
        )
    },
    **{"abs": "fabs", "max": "fmax", "min": "fmin", "gamma": "tgamma"},
}


class NoCError(Exception):
    """A function that cannot be written in C: its source is not there, or says too much."""


@cache
def in_c(function):
    """A scalar function's expression in C, of the variables that its arguments name.

    Parameters
    ----------
    function : callable
        Of numbers; one ``return`` of arithmetic, comparisons, ``a if c else b``, numbers that it
        finds in its module, and functions of ``math``.

    Returns
    -------
    str

    Raises
    ------
    NoCError
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        raise NoCError("its source is not to be had: define it in a file with def") from None
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise NoCError("define it in a file with def")
    body = [node for node in definition.body if not _is_text(node)]
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        raise NoCError("it must be a def with one return, and nothing before")
    known = inspect.getclosurevars(function)
    names = {**known.builtins, **known.globals, **known.nonlocals}
    arguments = {a.arg for a in definition.args.args}
    return _written(body[0].value, names, arguments)


def c_functions(body):
    """``alpha(h, p)`` and ``alpha_slope(h, p)`` in C, on the type REAL, for a GPU.

    Parameters
    ----------
    body : Body

    Returns
    -------
    str

    Raises
    ------
    NoCError
    """
    lines = []
    for name, function in (("alpha", body.value), ("alpha_slope", body.slope)):
        first, *others = inspect.signature(function).parameters
        second = others[0] if others else "unused"
        lines.append(
            f"static __device__ inline REAL {name}(REAL {first}, REAL {second}) "
            f"{{ return (REAL){in_c(function)}; }}\n"
        )
    return "".join(lines)


def _is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _written(node, names, arguments):
    def written(part):
        return _written(part, names, arguments)

    match node:
        case ast.Constant(value=bool() | int() | float() as number):
            return f"((REAL){float(number)!r})"
        case ast.Name() if node.id in arguments:
            return node.id
        case ast.Name() if isinstance(names.get(node.id), int | float):
            return f"((REAL){float(names[node.id])!r})"
        case ast.Attribute(value=ast.Name(id="math")) if hasattr(math, node.attr):
            return f"((REAL){float(getattr(math, node.attr))!r})"
        case ast.UnaryOp(op=ast.USub()):
            return f"(-{written(node.operand)})"
        case ast.BinOp(op=ast.Pow()):
            return f"pow({written(node.left)}, {written(node.right)})"
        case ast.BinOp() if type(node.op) in _BINARY:
            return f"({written(node.left)} {_BINARY[type(node.op)]} {written(node.right)})"
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            return f"({written(node.left)} {_COMPARED[type(op)]} {written(node.comparators[0])})"
        case ast.IfExp():
            return f"({written(node.test)} ? {written(node.body)} : {written(node.orelse)})"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _CALLED:
            return f"{_CALLED[name]}({', '.join(map(written, node.args))})"
    raise NoCError(f"it says {ast.unparse(node)!r}, of which there is no C here")
