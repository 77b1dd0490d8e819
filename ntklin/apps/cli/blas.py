"""OPENBLAS_CORETYPE, chosen before NumPy loads where OpenBLAS would leave AVX-512 unused."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
CORETYPE = "SkylakeX"
NEEDED = frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"})
# Zen 4 is family 25, as Zen 3 without AVX-512 is; Zen 5 is family 26. Some builds of OpenBLAS, such
# as NumPy's own 0.3.31, have no kernels of their own for these and fall back on Haswell's.
FIRST_AMD_FAMILY = 25


def read_cpuinfo() -> str:
    """The text of /proc/cpuinfo; empty on systems without it."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def first_processor(cpuinfo: str) -> dict[str, str]:
    """The fields of the first processor in the text of /proc/cpuinfo.

    Returns
    -------
    dict of str to str
    """
    fields = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def has_avx512(cpuinfo: str) -> bool:
    """Whether the CPU has all that OpenBLAS's AVX-512 kernels need."""
    return set(first_processor(cpuinfo).get("flags", "").split()) >= NEEDED


def recommended_coretype(cpuinfo: str, environ: Mapping[str, str]) -> str | None:
    """The value that OPENBLAS_CORETYPE should get, or None to leave it alone.

    Parameters
    ----------
    cpuinfo : str
        The text of /proc/cpuinfo.
    environ : mapping
        A setting of the user's is never overridden, not even an empty one.

    Returns
    -------
    str or None
        A core type where the CPU has AVX-512 and OpenBLAS would not find out by itself: on AMD's.
        Intel's are detected.
    """
    if VARIABLE in environ or not has_avx512(cpuinfo):
        return None
    processor = first_processor(cpuinfo)
    family = processor.get("cpu family", "")
    unknown = (
        processor.get("vendor_id") == "AuthenticAMD"
        and family.isdigit()
        and int(family) >= FIRST_AMD_FAMILY
    )
    return CORETYPE if unknown else None


def prepare() -> None:
    """Set OPENBLAS_CORETYPE for this process where that helps and NumPy is still to be loaded."""
    if "numpy" in sys.modules:
        return
    coretype = recommended_coretype(read_cpuinfo(), os.environ)
    if coretype is not None:
        os.environ[VARIABLE] = coretype
