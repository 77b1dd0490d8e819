"""What the command line finds out of the machine, and chooses before NumPy is loaded."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from commands import invoke

import ntklin
from ntklin.apps.cli import blas, environment, threads

CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: {family}
model name\t: Some CPU
flags\t\t: fpu sse2 {flags}

processor\t: 1
vendor_id\t: Other
flags\t\t: fpu
"""


AVX512 = "avx512f avx512dq avx512bw avx512vl"


def cpuinfo(vendor, family, flags=AVX512):
    return CPUINFO.format(vendor=vendor, family=family, flags=flags)


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        (cpuinfo("AuthenticAMD", 25), {}, "SkylakeX"),  # Zen 4
        (cpuinfo("AuthenticAMD", 26), {}, "SkylakeX"),  # Zen 5
        (cpuinfo("AuthenticAMD", 26), {"OPENBLAS_CORETYPE": "Zen"}, None),
        (cpuinfo("AuthenticAMD", 26), {"OPENBLAS_CORETYPE": ""}, None),
        (cpuinfo("AuthenticAMD", 25, "avx2"), {}, None),  # Zen 3
        (cpuinfo("AuthenticAMD", 26, "avx512f avx512dq avx512bw"), {}, None),
        (cpuinfo("AuthenticAMD", 26, "xavx512f avx512dq avx512bw avx512vl"), {}, None),
        (cpuinfo("AuthenticAMD", 23), {}, None),
        (cpuinfo("GenuineIntel", 6), {}, None),
        (cpuinfo("GenuineIntel", 26), {}, None),
        ("", {}, None),
        ("nonsense", {}, None),
    ],
)
def test_the_choice_of_openblas_kernels(text, environ, expected):
    assert blas.recommended_coretype(text, environ) == expected


@pytest.mark.parametrize("first", ["", "import numpy; "])
def test_the_choice_is_made_before_numpy_is_loaded(first, tmp_path):
    script = f"""
{first}import os, sys
from ntklin.apps.cli import blas
blas.read_cpuinfo = lambda: {cpuinfo("AuthenticAMD", 26)!r}
blas.prepare()
print(os.environ.get("OPENBLAS_CORETYPE"), "numpy" in sys.modules)
"""
    environ = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    output = subprocess.check_output(
        [sys.executable, "-c", script], env=environ, text=True, cwd=tmp_path
    )
    assert output == ("None True\n" if first else "SkylakeX False\n")


def test_the_choice_lands_in_the_environment(monkeypatch):
    monkeypatch.setattr(blas, "read_cpuinfo", lambda: cpuinfo("AuthenticAMD", 26))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    blas.prepare()
    assert os.environ["OPENBLAS_CORETYPE"] == "Zen"
    monkeypatch.delenv("OPENBLAS_CORETYPE")
    blas.prepare()
    assert "OPENBLAS_CORETYPE" not in os.environ
    monkeypatch.delitem(sys.modules, "numpy")
    blas.prepare()
    assert os.environ.pop("OPENBLAS_CORETYPE") == "SkylakeX"


def test_systems_without_cpuinfo_are_left_alone(monkeypatch):
    class NoFile:
        def __init__(self, path):
            pass

        def read_text(self, **settings):
            raise FileNotFoundError

    monkeypatch.setattr(blas, "Path", NoFile)
    assert blas.read_cpuinfo() == ""


@pytest.mark.parametrize(
    ("text", "kernels", "environ", "expected"),
    [
        ("", "Haswell", {}, "unknown"),
        (cpuinfo("GenuineIntel", 6, "avx2"), "Haswell", {}, "has none"),
        (cpuinfo("GenuineIntel", 6), "SkylakeX", {}, "used by BLAS"),
        (
            cpuinfo("AuthenticAMD", 26),
            "SkylakeX",
            {"OPENBLAS_CORETYPE": "SkylakeX"},
            "used by BLAS (OPENBLAS_CORETYPE=SkylakeX)",
        ),
        (
            cpuinfo("AuthenticAMD", 26),
            "Haswell",
            {},
            "not used by the BLAS of numpy; set OPENBLAS_CORETYPE=SkylakeX before Python starts",
        ),
        (
            cpuinfo("AuthenticAMD", 26),
            "Zen",
            {"OPENBLAS_CORETYPE": "Zen"},
            "not used by the BLAS of numpy, because OPENBLAS_CORETYPE=Zen",
        ),
    ],
)
def test_advice_on_avx512(text, kernels, environ, expected):
    libraries = [{"used_by": "numpy", "name": "openblas", "architecture": kernels}]
    assert expected in environment.avx512_advice(text, libraries, environ)


def test_a_blas_of_another_kind_gets_no_advice():
    libraries = [{"used_by": "numpy", "name": "mkl", "architecture": None}]
    assert environment.avx512_advice(cpuinfo("GenuineIntel", 6), libraries, {}) == "used by BLAS"


def test_info_prints_and_parses():
    done = invoke("info")
    assert done.exit_code == 0, done.output
    for name in ("ntklin", "numba", "llvmlite", "CPU", "BLAS of numpy", "memory", "GPU", "CuPy"):
        assert name in done.output, name
    done = invoke("info", "--json")
    facts = json.loads(done.output)
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["threads"]["numba"] == numba.get_num_threads()
    assert {library["used_by"] for library in facts["blas"]} & {"numpy", "shared"}
    assert facts["memory"]["total"] > 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/site-packages/numpy.libs/libscipy_openblas64_-32a4.so", "numpy"),
        ("/site-packages/scipy.libs/libscipy_openblas-6cdc.so", "scipy"),
        ("C:\\site-packages\\numpy.libs\\openblas.dll", "numpy"),
        ("/usr/lib/libopenblas.so.0", "shared"),
    ],
)
def test_who_owns_a_blas(path, expected):
    assert environment.owner(path) == expected


def test_gpus_are_asked_from_the_driver(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/nvidia-smi")

    def answer(returncode, stdout=""):
        done = SimpleNamespace(returncode=returncode, stdout=stdout)
        monkeypatch.setattr(environment.subprocess, "run", lambda *args, **settings: done)
        return environment.gpus()

    assert answer(0, "NVIDIA H200\nNVIDIA L4\n") == ["NVIDIA H200", "NVIDIA L4"]
    assert answer(9, "driver trouble") == []

    def late(*args, **settings):
        raise subprocess.TimeoutExpired("nvidia-smi", 20)

    monkeypatch.setattr(environment.subprocess, "run", late)
    assert environment.gpus() == []
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    assert environment.gpus() == []


def test_a_distribution_that_is_not_there():
    assert environment.installed("ntklin-no-such-thing") is None
    assert environment.installed("ntklin") == ntklin.__version__


def test_cupy_is_found_under_any_of_its_names(monkeypatch):
    monkeypatch.setattr(environment, "installed", {"cupy-cuda13x": "14.0"}.get)
    assert environment.cupy_version() == "14.0"
    monkeypatch.setattr(environment, "installed", {}.get)
    assert environment.cupy_version() is None


def test_systems_that_tell_no_memory(monkeypatch):
    def refuse(name):
        raise ValueError(name)

    monkeypatch.setattr(environment.os, "sysconf", refuse)
    assert environment.memory()["total"] is None


def test_threads_are_limited_for_numba_and_blas_and_restored(tmp_path):
    """In a process of its own, which has two threads of each kind to begin with."""
    script = """
import numba, numpy, scipy.linalg.cython_blas
from threadpoolctl import threadpool_info, threadpool_limits
from ntklin.apps.cli import threads

def counts():
    blas = {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}
    return numba.get_num_threads(), blas

threadpool_limits(2, "blas")
print(counts() == (2, {2}))
with threads.limited(1):
    print(counts() == (1, {1}))
print(counts() == (2, {2}))
with threads.limited(None):
    print(counts() == (2, {2}))
"""
    output = subprocess.check_output(
        [sys.executable, "-c", script],
        env=os.environ | {"NUMBA_NUM_THREADS": "2"},
        text=True,
        cwd=tmp_path,
    )
    assert output == "True\n" * 4


def test_waiting_threads_sleep_unless_the_user_chose(monkeypatch):
    monkeypatch.delitem(sys.modules, "numba")
    environ = {}
    threads.sleep_while_waiting(environ)
    assert environ == {"OMP_WAIT_POLICY": "passive"}
    environ = {"OMP_WAIT_POLICY": "active"}
    threads.sleep_while_waiting(environ)
    assert environ == {"OMP_WAIT_POLICY": "active"}
    monkeypatch.setitem(sys.modules, "numba", numba)
    environ = {}
    threads.sleep_while_waiting(environ)
    assert environ == {}
