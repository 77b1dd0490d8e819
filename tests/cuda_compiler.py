"""Compiles CUDA sources for given cards without one: by NVRTC's wheel, or else by nvcc."""

import ctypes
import functools
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

ARCHITECTURES = ("sm_80", "sm_90")
NOTHING = "needs NVRTC (pip install nvidia-cuda-nvrtc-cu12) or nvcc"


class CompilationError(Exception):
    """The compiler's log."""


@functools.cache
def nvrtc():
    """NVRTC's library, or None."""
    folder = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    found = sorted(folder.glob("*/lib/libnvrtc.so.*[0-9]"))
    return ctypes.CDLL(str(found[0])) if found else None


def available():
    """Whether anything here compiles."""
    return nvrtc() is not None or shutil.which("nvcc") is not None


def compile_source(text, options, architecture):
    """Compile to machine code; warnings are errors.

    Raises
    ------
    CompilationError
    """
    by = _by_nvcc if nvrtc() is None else _by_nvrtc
    by(text, [*options, f"-arch={architecture}"])


def _by_nvrtc(text, options):
    library, program = nvrtc(), ctypes.c_void_p()
    made = library.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None
    )
    assert made == 0
    flags = [option.encode() for option in options]
    code = library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if code or log.value:
        raise CompilationError(log.value.decode())


def _by_nvcc(text, options):
    with tempfile.TemporaryDirectory(prefix="ntklin-nvcc-") as folder:
        source = Path(folder) / "kernel.cu"
        source.write_text(text)
        command = ["nvcc", "-cubin", *options, "-Werror=all-warnings", source.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise CompilationError(done.stderr)
