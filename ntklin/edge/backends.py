"""NumPy or CuPy, decided by the arrays' own type."""

import mmap
import sys
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ntklin.edge.errors import DeviceError
from ntklin.edge.values import said


def namespace(*arrays: Any) -> ModuleType:
    """The array namespace that all ``arrays`` belong to.

    CuPy is never imported here: an array can only be a CuPy array when its owner imported CuPy.

    Parameters
    ----------
    *arrays : array_like
        Anything that is not a CuPy array (lists, scalars, None) counts as NumPy.

    Returns
    -------
    module
        ``numpy`` or ``cupy``.

    Raises
    ------
    TypeError
        If NumPy and CuPy arrays are mixed.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return np
    on_gpu = [isinstance(a, cupy.ndarray) for a in arrays]
    if not any(on_gpu):
        return np
    if any(isinstance(a, np.ndarray) for a in arrays):
        raise TypeError(
            "got NumPy and CuPy arrays in one call; move them to one side with "
            "cupy.asarray(...) or cupy.asnumpy(...)"
        )
    return cupy


def refuse_mixed(*arrays: Any) -> None:
    """Raise a TypeError if NumPy and CuPy arrays are mixed."""
    namespace(*arrays)


def kernels(*arrays: Any) -> ModuleType:
    """The compiled kernels for ``arrays``: ``ntklin.kernels.cpu`` or ``ntklin.kernels.gpu``.

    Returns
    -------
    module

    Raises
    ------
    TypeError
        If NumPy and CuPy arrays are mixed.
    """
    if namespace(*arrays) is not np:
        from ntklin.kernels import gpu

        return gpu
    from ntklin.kernels import cpu

    return cpu


def host(a: Any) -> NDArray[Any]:
    """``a`` as a NumPy array; a CuPy array is copied, and waited for.

    The N×N algebra and all that decides how a computation goes on is the host's: LAPACK in float64,
    a matter of milliseconds, next to which the network's own work is what a GPU is for.

    Returns
    -------
    ndarray
    """
    return a if namespace(a) is np else a.get()


def contiguous(a: NDArray[Any], dtype: DTypeLike | None = None) -> NDArray[Any]:
    """``a`` as kernels take it, not copied where it is so already.

    C-contiguous, aligned, in the machine's byte order, and writable, although they do not write to
    it: Numba would compile all kernels anew for each combination of arrays that are not. Strides of
    axes of length 1 may be anything even so. What is mapped from a file may be larger than the
    memory: where it is read-only, it is a view that gets the flag, and no copy.

    Parameters
    ----------
    a : ndarray
    dtype : dtype, optional
        That of ``a`` when not given.

    Returns
    -------
    ndarray
    """
    xp = namespace(a)
    dtype = np.dtype(a.dtype if dtype is None else dtype).newbyteorder("=")
    if xp is np:
        if not a.flags.writeable and is_mapped(a):
            a = np.asarray(_Unlocked(a))
        return np.require(a, dtype, ("C", "ALIGNED", "WRITEABLE", "ENSUREARRAY"))
    return xp.ascontiguousarray(a, dtype)


def is_mapped(a: Any) -> bool:
    """Whether ``a`` is a view of a file that is mapped into memory, as of ``numpy.memmap``.

    Such arrays are read where they are, run of rows by run of rows, and must not change; of others
    those who keep them take a copy.

    Returns
    -------
    bool
    """
    while a is not None and not isinstance(a, mmap.mmap):
        a = getattr(a, "base", None)
    return a is not None


class _Unlocked:
    """A read-only array as one that says that it can be written to; nobody may.

    Parameters
    ----------
    a : ndarray
    """

    def __init__(self, a: NDArray[Any]) -> None:
        self.base = a
        interface = a.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def beside(a: NDArray[Any], other: Any) -> NDArray[Any]:
    """A NumPy array ``a`` in the namespace of ``other``, on its device."""
    xp = namespace(other)
    return a if xp is np else xp.asarray(a)


def freeze(a: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only where arrays can be: NumPy's."""
    if isinstance(a, np.ndarray):
        a.flags.writeable = False
    return a


def free_device_memory(a: Any) -> int | None:
    """Bytes that can be had on the device of ``a``; None for a NumPy array."""
    xp = namespace(a)
    if xp is np:
        return None
    free, _ = xp.cuda.runtime.memGetInfo()
    return free + xp.get_default_memory_pool().free_bytes()


def device_namespace(device: Literal["cpu", "gpu"]) -> ModuleType:
    """The namespace of arrays on a device: NumPy for ``"cpu"``, CuPy for ``"gpu"``.

    Returns
    -------
    module
        ``numpy`` or ``cupy``.

    Raises
    ------
    ValueError
        For another name.
    DeviceError
        If CuPy is not installed, or finds no GPU.
    """
    if not isinstance(device, str) or device not in ("cpu", "gpu"):
        raise ValueError(f"device must be 'cpu' or 'gpu', got {said(device)}")
    if device == "cpu":
        return np
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as e:
        if e.name != "cupy":
            raise DeviceError(f"CuPy is installed, but cannot be imported: {e}") from e
        raise DeviceError(
            "the GPU needs CuPy, which is not installed: pip install 'ntklin[gpu]' for CUDA 12, "
            "'ntklin[gpu13]' for CUDA 13"
        ) from e
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as e:
        raise DeviceError(f"CuPy finds no GPU that it can use: {e}") from e
    if count == 0:
        raise DeviceError("CuPy finds no GPU: no CUDA device is visible to this process")
    return cupy
