"""Where instructions get their addresses from: the arrays themselves.

Numba drops an array behind its last use, and ``a.ctypes.data`` is such a use: what ``a`` holds may
be freed while its address is still read from. So compiled code never has an address. It names a
place, a pair of an array and a number of bytes from its start, and the address is taken inside the
intrinsic, which is the array's use. Places are counted by shapes and not by strides, which mean
nothing on axes of length 1: the compiler refuses arrays that are not C-contiguous.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError


class Place(NamedTuple):
    """The type of a pair, an array and an offset in bytes; the code gets an address."""

    pair: types.Type

    @property
    def array(self):
        """The array's type."""
        return getattr(self.pair, "types", (self.pair,))[0]


class Start(NamedTuple):
    """The type of an array of any layout; the code gets the address of its first element."""

    array: types.Type


class Numbers(NamedTuple):
    """A tuple of so many numbers of one type; the code gets each of them."""

    dtype: types.Type
    count: int


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
    *parameters : Place, Start, Numbers, Typed or Type
        The parameters of ``instructions``.

    Returns
    -------
    signature : Signature
    code : callable
    """
    arguments, passed = [], []
    for parameter in parameters:
        if isinstance(parameter, Place):
            arguments.append(types.Tuple((_contiguous(parameter.array), types.intp)))
            passed.append(types.uintp)
        elif isinstance(parameter, Start):
            arguments.append(parameter.array)
            passed.append(types.uintp)
        elif isinstance(parameter, Numbers):
            arguments.append(types.UniTuple(*parameter))
            passed += [parameter.dtype] * parameter.count
        elif isinstance(parameter, Typed):
            passed.append(parameter.dtype)
        else:
            arguments.append(parameter)
            passed.append(parameter)

    def with_addresses(context, builder, signature, args):
        def address(array, value):
            data = context.make_array(array)(context, builder, value).data
            return builder.ptrtoint(data, context.get_value_type(types.uintp))

        given, values = iter(args), []
        for parameter in parameters:
            if isinstance(parameter, Typed):
                values.append(ir.Constant(context.get_value_type(parameter.dtype), 0))
            elif isinstance(parameter, Place):
                array, offset = cgutils.unpack_tuple(builder, next(given), 2)
                values.append(builder.add(address(parameter.array, array), offset))
            elif isinstance(parameter, Start):
                values.append(address(parameter.array, next(given)))
            elif isinstance(parameter, Numbers):
                values += cgutils.unpack_tuple(builder, next(given), parameter.count)
            else:
                values.append(next(given))
        return instructions(context, builder, result(*passed), values)

    return result(*arguments), with_addresses


def floating(*operands):
    """The dtype that places, arrays or numbers of these types share, a floating-point one."""
    dtypes = set()
    for operand in operands:
        array = Place(operand).array
        dtypes.add(getattr(array, "dtype", array))
    if len(dtypes) > 1 or not isinstance(*dtypes, types.Float):
        found = ", ".join(str(Place(operand).array) for operand in operands)
        raise TypingError(f"expected arrays of one floating-point type, got {found}")
    return dtypes.pop()


def _contiguous(kind):
    if not (isinstance(kind, types.Array) and kind.layout == "C"):
        raise TypingError(f"a place must be in a C-contiguous array, got {kind}")
    return kind
