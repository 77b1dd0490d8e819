"""The GPU's kernels on the host: the same sources, compiled by a C++ compiler, on NumPy arrays.

``launch`` takes the place of ``ntklin.kernels.gpu.loader.launch``. Every array goes in as a copy
between two stretches of NaN, so that a write beyond an array's ends is found, and so is a read that
matters.
"""

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from ntklin.kernels.gpu import loader

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
KEPT = HERE / "__pycache__" / "host_gpu"  # beside what Python and Numba compile
GUARD = 1 << 12  # elements, more than a row of what tests pass
BOUNDS = r"(?:__launch_bounds__\([^)]*\) )?"
SIGNATURE = re.compile(rf'extern "C" __global__ {BOUNDS}void (\w+)\(([^)]*)\)')
PARAMETER = re.compile(r"\s*(?:const )?(REAL|int|double|long long) (\*?)")
MOST_THREADS = 1024


def launchers(text):
    """C++ functions that run each kernel of a source over its grid."""
    for name, parameters in SIGNATURE.findall(text):
        names = ", ".join(re.findall(r"(\w+)\s*(?:,|$)", parameters))
        yield (
            f'extern "C" int launch_{name}(const int *shape, int backwards, {parameters}) {{\n'
            f"    return host::launch(shape, backwards, [&] {{ {name}({names}); }});\n}}\n"
        )


@functools.cache
def compiler_version():
    """What the compiler says of itself."""
    return subprocess.run([COMPILER, "--version"], capture_output=True, check=True).stdout


@functools.cache
def library(name, dtype, definitions):
    """The compiled source; warnings are errors. It is kept for other processes and later runs."""
    text = definitions + loader.source(name)
    text = '#include "host_cuda.h"\n' + text + "".join(launchers(text))
    command = [COMPILER, "-O1", "-shared", "-fPIC", f"-I{HERE}", *loader.options(dtype)]
    command += ["-Wall", "-Werror", "-Wno-unknown-pragmas"]
    made_from = (text.encode(), (HERE / "host_cuda.h").read_bytes(), compiler_version())
    digest = hashlib.sha256(repr((command, made_from)).encode()).hexdigest()
    kept = KEPT / f"{Path(name).stem}-{digest[:32]}.so"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="ntklin-host-", dir=KEPT))
        try:
            source, built = folder / "kernel.cpp", folder / "kernel.so"
            source.write_text(text)
            subprocess.run([*command, "-o", built, source], check=True, cwd=folder)
            built.replace(kept)
        finally:
            shutil.rmtree(folder)
    return ctypes.CDLL(str(kept))


def guarded(a):
    """A copy of ``a`` between two guards, and the view of it that the kernel gets."""
    fill = np.nan if a.dtype.kind == "f" else np.iinfo(a.dtype).min
    room = np.full(a.size + 2 * GUARD, fill, a.dtype)
    view = room[GUARD : GUARD + a.size]
    view[:] = a.reshape(-1)
    return room, view


def launch(name, function, dtype, shape, arguments, definitions="", *, backwards=False):
    """As ``loader.launch``; ``backwards`` lets the threads of a block take turns the other way.

    Raises
    ------
    AssertionError
        For what a card would not take, or would take and go wrong with.
    """
    grid, block = (tuple(int(size) for size in sizes) for sizes in shape)
    grid += (1,) * (3 - len(grid))
    assert len(block) == 1
    assert 1 <= block[0] <= MOST_THREADS
    assert min(grid) >= 1
    assert max(grid[1:]) <= 65535
    expected = parameter_types(name, function, dtype)
    assert [type_of(a) for a in arguments] == expected, f"{function}: {expected}"
    held, passed = {}, []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            assert argument.flags.c_contiguous
            key = argument.__array_interface__["data"][0], argument.size
            if key not in held:
                held[key] = (argument, *guarded(argument))
            passed.append(ctypes.c_void_p(held[key][2].ctypes.data))
        else:
            kind = np.ctypeslib.as_ctypes_type(argument.dtype)
            passed.append(kind(argument.item()))
    call = getattr(library(name, np.dtype(dtype), definitions), f"launch_{function}")
    sizes = (ctypes.c_int * 4)(*grid, block[0])
    with np.errstate(all="ignore"):
        code = call(sizes, ctypes.c_int(backwards), *passed)
    assert code == 0, f"{function}: some threads missed a barrier"
    for original, room, view in held.values():
        fresh, _ = guarded(original)
        for end in (slice(GUARD), slice(-GUARD, None)):
            same = np.array_equal(room[end], fresh[end], equal_nan=original.dtype.kind == "f")
            assert same, f"{function} wrote beyond an array"
        if not np.array_equal(view, original.reshape(-1), equal_nan=original.dtype.kind == "f"):
            original[...] = view.reshape(original.shape)


def parameter_types(name, function, dtype):
    """The types that a kernel declares, as NumPy has them; an array's in brackets."""
    parameters = dict(SIGNATURE.findall(loader.source(name)))[function]
    types = {"REAL": np.dtype(dtype), "int": np.dtype(np.int32), "double": np.dtype(np.float64)}
    types["long long"] = np.dtype(np.int64)
    found = []
    for parameter in parameters.split(","):
        kind, star = PARAMETER.match(parameter).groups()
        found.append([types[kind]] if star else types[kind])
    return found


def type_of(argument):
    """The same of an argument that is passed."""
    return [argument.dtype] if isinstance(argument, np.ndarray) else argument.dtype
