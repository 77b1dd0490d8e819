"""Arrays laid out as people's arrays may be: the same numbers behind hostile strides and flags."""

import numpy as np
from hypothesis import strategies as st


def _room(shape, dtype):
    """Memory in which only a view of it is to be read."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 99, dtype)


def _strided(a, step):
    """``step`` (0, negative, huge) on every axis of length 1, which nobody goes along."""
    strides = [step if length == 1 else own for length, own in zip(a.shape, a.strides, strict=True)]
    return np.lib.stride_tricks.as_strided(a, a.shape, strides)


def _within(a):
    """Each row a part of a longer one."""
    room = _room((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
    room[..., 1:-2] = a
    return room[..., 1:-2]


def _every_other(a):
    room = _room([2 * length for length in a.shape], a.dtype)
    view = room[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def _backwards(a):
    back = tuple(slice(None, None, -1) for _ in a.shape)
    return a[back].copy()[back]


def _broadcast(a):
    """The first entry along the first axis, again and again."""
    return np.broadcast_to(a[:1], a.shape)


def _unaligned(a):
    room = np.zeros(a.nbytes + 1, np.uint8)
    view = room[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def _field(a):
    """A field of packed records: no stride is a whole number of elements."""
    records = np.zeros(a.shape, [("tag", np.uint8), ("value", a.dtype)])
    records["value"] = a
    return records["value"]


def _frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = {
    "as it is": lambda a: a,
    "no step": lambda a: _strided(a, 0),
    "negative step": lambda a: _strided(a, -8),
    "huge step": lambda a: _strided(a, 2**62),
    "odd step": lambda a: _strided(a, 3),
    "Fortran": np.asfortranarray,
    "within": _within,
    "every other": _every_other,
    "backwards": _backwards,
    "broadcast": _broadcast,
    "unaligned": _unaligned,
    "field": _field,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "memory map": lambda a: a.copy().view(np.memmap),
    "read-only": _frozen,
}


def _from_byte(phase):
    """Aligned for its numbers, so many bytes behind the start of a cache line."""

    def placed(a):
        room = np.zeros(a.nbytes + 128, np.uint8)
        start = phase - room.ctypes.data % 64 + 64
        view = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    return placed


# Where vectors of a machine begin otherwise, with nothing that NumPy's flags would tell.
PHASES = {f"byte {phase}": _from_byte(phase) for phase in (0, 8, 16, 24, 32, 40, 48, 56)}


def plain(a):
    """A fresh, C-contiguous copy in the machine's byte order."""
    return np.array(a, dtype=a.dtype.newbyteorder("="), order="C", subok=False)


@st.composite
def relaid(draw, a, names=tuple(LAYOUTS)):
    """``a`` in one of the layouts, read-only now and then."""
    out = LAYOUTS[draw(st.sampled_from(names))](a)
    if draw(st.booleans()):
        out = out.view()
        out.flags.writeable = False
    return out
