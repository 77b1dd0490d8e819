"""Loads the .cu sources, compiled by CuPy for the card at hand when a kernel is first launched.

One source is compiled once for each dtype and device; CuPy keeps the machine code on disk.
"""

import functools
import re
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


@functools.cache
def source(name):
    """The text of ``name``, with each header in the place of its ``#include``.

    CuPy knows compiled code by its text, and would not see a header change.

    Returns
    -------
    str
    """
    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'#include "(.+)"\n', lambda match: source(match[1]), text)


def options(dtype):
    """The compiler's options for kernels on arrays of ``dtype``."""
    return "-std=c++17", f"-DREAL={REAL[np.dtype(dtype)]}"


@functools.cache
def _module(name, definitions, dtype, device):
    import cupy

    return cupy.RawModule(code=definitions + source(name), options=options(dtype))


@functools.cache
def _kernel(name, definitions, function, dtype, device):
    """CuPy looks a function up anew each time that it is asked for one."""
    return _module(name, definitions, dtype, device).get_function(function)


def require_contiguous(function, arguments, kind):
    """Refuse arrays, those of the type ``kind``, in which a kernel would not find its elements.

    Kernels count places by shapes: a stride means nothing on an axis of length 1.

    Raises
    ------
    ValueError
        For an array that is not C-contiguous.
    """
    for argument in arguments:
        if isinstance(argument, kind) and not argument.flags.c_contiguous:
            raise ValueError(
                f"{function} takes C-contiguous arrays, got one of shape {argument.shape} that is "
                "not; make it so by cupy.ascontiguousarray(...)"
            )


def launch(name, function, dtype, shape, arguments, definitions=""):
    """Launch a kernel on the current device and stream; returns before it is done.

    Parameters
    ----------
    name : str
        The source, such as ``"update.cu"``.
    function : str
    dtype : dtype
        What REAL stands for.
    shape : pair of tuple of int
        Grid and block, from ``ntklin.kernels.gpu.launch``.
    arguments : sequence
        C-contiguous arrays, NumPy scalars of the kernel's types.
    definitions : str
        What the source finds before it.
    """
    import cupy

    require_contiguous(function, arguments, cupy.ndarray)
    kernel = _kernel(name, definitions, function, np.dtype(dtype), cupy.cuda.Device().id)
    kernel(*shape, tuple(arguments))
