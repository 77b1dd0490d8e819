"""Turns that Numba's threads share out, as one call of a compiled function.

Numba has ``prange`` for this, which makes a function of the loop's body and compiles it four
times over, in the wrappers that ufuncs need; most of what a parallel kernel took to compile was
that. Here the body is a kernel already, compiled within the one that launches it. What it is called
with goes to the threads by a pointer, and the threads are Numba's own, by the function of its
threading layers that ``prange`` and parallel ufuncs end in.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler
from numba.extending import intrinsic

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.plain import twin

BYTES, NUMBER = cgutils.voidptr_t, cgutils.intp_t
NONE, ONE = ir.Constant(NUMBER, 0), ir.Constant(NUMBER, 1)
# What a thread calls: with pointers that it has moved to its first turn, numbers of turns, the
# bytes by which the pointers move from turn to turn, and what all turns share.
SHARE = ir.FunctionType(ir.VoidType(), (BYTES.as_pointer(), *[NUMBER.as_pointer()] * 2, BYTES))
# ``SHARE``'s address and what it is called with, lengths of its lists, and how many threads.
LAUNCH = ir.FunctionType(ir.VoidType(), (*[BYTES] * 5, *[NUMBER] * 3))
FAILED = "a turn of a parallel kernel has failed, as it does where memory is short"


@twin(plain.parallel_for)
@intrinsic(prefer_literal=False)
def parallel_for(typing_context, turn, n_turns, arguments):
    """Call ``turn(k, *arguments)`` for all k < n_turns, on Numba's threads.

    One thread takes its turns itself, in their order.

    Parameters
    ----------
    turn : compiled function
        That returns nothing, and does not call itself.
    n_turns : int
    arguments : tuple

    Returns
    -------
    None

    Raises
    ------
    RuntimeError
        Behind all others, if a turn has raised anything.
    """
    arguments = types.Tuple([types.unliteral(kind) for kind in arguments.types])
    signature = types.void(turn, types.intp, arguments)

    def code(context, builder, _, args):
        _, n_turns, values = args
        values = _lent(context, builder, arguments, values)
        compiled = _as_a_part(context, turn.dispatcher, (types.intp, *arguments.types))
        return _launch(context, builder, compiled, n_turns, values)

    return signature, code


def _as_a_part(context, function, kinds):
    """A function's code within that of the kernel which is being compiled.

    By itself it would be optimized and translated twice: as a function that nobody calls, and once
    more where it is launched.

    Returns
    -------
    CompileResult
    """
    flags = compiler.Flags()
    function.targetdescr.options.parse_as_flags(flags, function.targetoptions)
    for left_out in ("no_compile", "no_cpython_wrapper", "no_cfunc_wrapper"):
        setattr(flags, left_out, True)
    library = context.active_code_library
    typing = context.typing_context
    result = compiler.compile_extra(
        typing, context, function.py_func, kinds, None, flags, {}, library=library
    )
    # Nothing of it is left over where it is inlined.
    library.get_function(result.fndesc.llvm_func_name).linkage = "linkonce_odr"
    return result


def _lent(context, builder, kind, value):
    """The value with arrays that have no owner, while the caller keeps them for all turns.

    Threads that counted references to one owner, at every slice, would wait for each other.

    Returns
    -------
    Value
    """
    if isinstance(kind, types.BaseTuple):
        for place, own in enumerate(kind.types):  # pyright: ignore
            lent = _lent(context, builder, own, builder.extract_value(value, place))
            value = builder.insert_value(value, lent, place)
    elif isinstance(kind, types.Array):
        fields = context.data_model_manager[kind]
        for place in map(fields.get_field_position, ("meminfo", "parent")):
            nobody = cgutils.get_null_value(builder.extract_value(value, place).type)
            value = builder.insert_value(value, nobody, place)
    return value


def _launch(context, builder, turn, n_turns, arguments):
    module = builder.module
    asks = ir.FunctionType(NUMBER, ())
    n_threads = builder.call(cgutils.get_or_insert_function(module, asks, "get_num_threads"), ())
    has_few = builder.icmp_signed("<", n_turns, n_threads)
    n_shares = builder.select(has_few, n_turns, n_threads)
    n_shares = builder.select(builder.icmp_signed("<", n_shares, ONE), ONE, n_shares)
    # The arguments, how many turns in how many shares, and whether a turn has failed.
    shared = ir.LiteralStructType((arguments.type, *[NUMBER] * 3))
    values = arguments, n_turns, n_shares, NONE
    known = cgutils.make_anonymous_struct(builder, values, shared)
    share = _share(context, module, turn, shared)
    # A pointer that begins at 0 and moves by 1 is the number of a share.
    first = ir.Constant(BYTES, None)
    at = [cgutils.alloca_once_value(builder, value) for value in (first, n_shares, ONE, known)]
    with builder.if_else(builder.icmp_signed("==", n_shares, ONE)) as (by_itself, by_threads):
        with by_itself:
            builder.call(share, (*at[:3], builder.bitcast(at[3], BYTES)))
        with by_threads:
            launch = cgutils.get_or_insert_function(module, LAUNCH, "numba_parallel_for")
            passed = [builder.bitcast(pointer, BYTES) for pointer in (share, *at)]
            builder.call(launch, (*passed, NONE, ONE, n_threads))
    failed = builder.load(cgutils.gep_inbounds(builder, at[3], 0, 3))
    with cgutils.if_unlikely(builder, cgutils.is_not_null(builder, failed)):
        context.call_conv.return_user_exc(builder, RuntimeError, (FAILED,))
    return context.get_dummy_value()


def _share(context, module, turn, shared):
    """The function of type ``SHARE`` that takes shares of the turns."""
    share = ir.Function(module, SHARE, module.get_unique_name("share"))
    share.linkage = "internal"
    # Inlined for one thread and not for several, it would be compiled twice, to other roundings.
    share.attributes.add("noinline")
    builder = ir.IRBuilder(share.append_basic_block())
    firsts, counts, _, data = share.args
    known = builder.bitcast(data, shared.as_pointer())
    arguments, n_turns, n_shares = (
        builder.load(cgutils.gep_inbounds(builder, known, 0, place)) for place in range(3)
    )
    result, (_, *kinds) = turn.signature.return_type, turn.signature.args
    callee = context.declare_function(module, turn.fndesc)
    values = cgutils.unpack_tuple(builder, arguments, len(kinds))

    def begin(place):
        return builder.sdiv(builder.mul(place, n_turns), n_shares)

    first = builder.ptrtoint(builder.load(firsts), NUMBER)
    stop = begin(builder.add(first, builder.load(counts)))
    with cgutils.for_range_slice(builder, begin(first), stop, ONE) as (k, _):
        status, _ = context.call_conv.call_function(
            builder, callee, result, turn.signature.args, (k, *values)
        )
        with cgutils.if_unlikely(builder, status.is_error):
            builder.store(ONE, cgutils.gep_inbounds(builder, known, 0, 3))
    builder.ret_void()
    return share
