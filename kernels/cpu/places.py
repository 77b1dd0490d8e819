"""Where instructions get their addresses from: the arrays themselves.

Numba drops an array behind its last use, and ``a.ctypes.data`` is such a use: what ``a`` holds may
be freed while its address is still read from. So compiled code never has an address. It names a
place, an array and a number of bytes from its start, and the address is taken inside the intrinsic,
which is the array's use. Places are counted by shapes and not by strides, which mean nothing on
axes of length 1: the compiler refuses arrays that are not C-contiguous.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError


class Place(NamedTuple):
    """An array's type: two arguments, it and an offset in bytes; the code gets an address."""

    array: types.Type


class Start(NamedTuple):
    """The type of an array of any layout; the code gets the address of its first element."""

    array: types.Type


class Typed(NamedTuple):
    """No argument; the code gets a number of this type, whose value does not matter."""

    dtype: types.Type


def on_places(instructions, result, *parameters):
    """The signature and the code of an intrinsic that gives ``instructions`` addresses.

    Parameters
    ----------
    instructions : callable
        Of Numba's arguments ``(context, builder, signature, args)``; addresses are ``uintp``.
    result : Type
    *parameters : Place, Start, Typed or Type
        The parameters of ``instructions``.
    """
    arguments, passed = [], []
    for parameter in parameters:
        if isinstance(parameter, Place):
            arguments += [_contiguous(parameter.array), types.intp]
            passed.append(types.uintp)
        elif isinstance(parameter, Start):
            arguments.append(parameter.array)
            passed.append(types.uintp)
        elif isinstance(parameter, Typed):
            passed.append(parameter.dtype)
        else:
            arguments.append(parameter)
            passed.append(parameter)

    def with_addresses(context, builder, signature, args):
        given, values = iter(args), []
        for parameter, kind in zip(parameters, passed, strict=True):
            if isinstance(parameter, Typed):
                values.append(ir.Constant(context.get_value_type(kind), 0))
                continue
            value = next(given)
            if isinstance(parameter, Place | Start):
                data = context.make_array(parameter.array)(context, builder, value).data
                value = builder.ptrtoint(data, context.get_value_type(kind))
            if isinstance(parameter, Place):
                value = builder.add(value, next(given))
            values.append(value)
        return instructions(context, builder, result(*passed), values)

    return result(*arguments), with_addresses


def floating(*arrays):
    """The dtype that all these array types share, a floating-point one."""
    dtypes = {getattr(array, "dtype", array) for array in arrays}
    if len(dtypes) > 1 or not isinstance(*dtypes, types.Float):
        found = ", ".join(str(array) for array in arrays)
        raise TypingError(f"expected arrays of one floating-point type, got {found}")
    return dtypes.pop()


def _contiguous(kind):
    if not (isinstance(kind, types.Array) and kind.layout == "C"):
        raise TypingError(f"a place must be in a C-contiguous array, got {kind}")
    return kind
