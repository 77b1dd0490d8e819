"""Other libraries, each row a fresh process of a peer script in an environment of its own.

A peer script is called as

    PYTHON SCRIPT WORKLOAD IMPLEMENTATION --setting CASE --n N --dtype f64|f32

and prints one JSON object as its last line: ``median_s``, ``min_s``, ``max_s``, ``foreign_cores``,
``versions``, and where its result can be checked either ``result_file``, an ``.npy`` file below the
folder in the environment variable ``PEER_OUT``, or the ``loss`` that its training ended with.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntklin.validation.benchmarks.cases import Group
from ntklin.validation.benchmarks.machine import has_avx512
from ntklin.validation.benchmarks.memory import available_bytes

# Library: its environment, its script, and what it needs in the environment for its best.
LIBRARIES = {
    "JAX": ("venv-jax", "peer_jax.py", {}),
    # What no script of theirs has stands beside this one.
    "JAX, own forms": ("venv-jax", str(Path(__file__).with_name("jax_forms.py")), {}),
    "neural-tangents": ("venv-nt", "peer_jax.py", {}),
    "torch": ("venv", "peer_torch.py", {}),
    "torch, huge pages": (
        "venv",
        "peer_torch.py",
        {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "PEER_NAME": "torch-hugepage"},
    ),
    "NumPy": ("venv", "peer_numpy.py", {}),
    "NumPy AVX-512": (
        "venv",
        "peer_numpy.py",
        {"OPENBLAS_CORETYPE": "SkylakeX", "PEER_NAME": "numpy-avx512"},
    ),
}
WORKLOADS = {
    "jacobian": "jacobian",
    "gram": "ntk_gram",
    "weighted_gram": "weighted_gram",
    "gd_step": "gd_step",
    "adagrad_step": "gd_step",
    "adam_step": "gd_step",
    "linearized_step": "lin_adagrad",
    "infinite": "analytic",
}
# ntklin's own settings, and those of whoever started it, are no peer's best.
DROPPED = (
    "OPENBLAS_CORETYPE",
    "OMP_WAIT_POLICY",
    "GLIBC_TUNABLES",
    "PYTHONPATH",
    "XLA_FLAGS",
    "NUMPY_MADVISE_HUGEPAGE",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TIMEOUT = 600.0
# A peer that leaves less than this free is stopped before the system stops something else.
SPARE_BYTES = 1 << 30


@dataclass(frozen=True)
class Peer:
    """One implementation of one library."""

    library: str
    implementation: str

    def __str__(self) -> str:
        return f"{self.library} {self.implementation}"


@dataclass(frozen=True)
class PeerFolders:
    """Where the peers are.

    Attributes
    ----------
    environments : Path
        Holds the virtual environments ``venv``, ``venv-jax`` and ``venv-nt``.
    scripts : Path
        Holds ``peer_*.py``.
    results : Path
        An empty folder for the arrays that they leave.
    """

    environments: Path
    scripts: Path
    results: Path


def run_peer(peer: Peer, group: Group, folders: PeerFolders, threads: int) -> dict[str, Any]:
    """Run one row of a peer.

    Parameters
    ----------
    peer : Peer
    group : tuple
        Work, case, dtype and N, as in ``Target.group``.
    folders : PeerFolders
    threads : int

    Returns
    -------
    dict
        What the script printed, or ``{"failed": reason}``.
    """
    work, case, dtype, n = group
    environment, script, variables = LIBRARIES[peer.library]
    # Not resolved: a virtual environment's interpreter is a link that must be called as itself.
    python = (folders.environments / environment / "bin" / "python").absolute()
    path = (folders.scripts / script).absolute()
    missing = [str(file) for file in (python, path) if not file.exists()]
    if missing:
        return {"failed": f"{' and '.join(missing)} missing"}
    if variables.get("OPENBLAS_CORETYPE") and not has_avx512():
        return {"failed": "this CPU has no AVX-512"}
    command = [python, path, WORKLOADS[work], peer.implementation]
    command += ["--setting", case, "--n", n, "--dtype", f"f{dtype[-2:]}"]
    variables = {
        **{name: value for name, value in os.environ.items() if name not in DROPPED},
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PEER_OUT": str(folders.results),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    with _born_on(threads):
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folders.results,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    try:
        return _finish(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def _born_on(threads: int) -> Iterator[None]:
    """Children are born onto the first ``threads`` of the cores in use.

    Some libraries take one thread per core that they may run on, whatever the environment says.
    """
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    began = time.monotonic()
    while True:
        try:
            output, errors = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            if time.monotonic() - began > TIMEOUT:
                return {"failed": f"stopped after {TIMEOUT:.0f} s"}
            free = available_bytes()
            if free is not None and free < SPARE_BYTES:
                return {"failed": f"stopped with {free / 1e9:.1f} GB of memory left"}
    lines = output.strip().splitlines()
    if process.returncode != 0 or not lines:
        reason = (errors.strip().splitlines() or ["it printed nothing"])[-1]
        return {"failed": f"exit status {process.returncode}: {reason[:200]}"}
    try:
        result = json.loads(lines[-1])
        float(result["median_s"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {"failed": f"its last line is no result: {lines[-1][:200]}"}
    return result
