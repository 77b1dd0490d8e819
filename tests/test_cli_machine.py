"""What the command line finds out of the machine, and chooses before NumPy is loaded."""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from commands import invoke
from threadpoolctl import threadpool_info

import ntklin
from ntklin.apps.cli import blas, environment, info, threads
from ntklin.kernels.cpu import sizes

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


@pytest.mark.parametrize("kernels", ["SkylakeX", "Cooperlake", "SapphireRapids"])
def test_kernels_that_use_avx512(kernels):
    libraries = [{"used_by": "numpy", "name": "openblas", "architecture": kernels}]
    assert environment.avx512_advice(cpuinfo("GenuineIntel", 6), libraries, {}) == "used by BLAS"


def test_every_blas_that_leaves_avx512_unused_is_named():
    libraries = [
        {"used_by": name, "name": "openblas", "architecture": kernels}
        for name, kernels in (("numpy", "Haswell"), ("shared", "SkylakeX"), ("scipy", None))
    ]
    advice = environment.avx512_advice(cpuinfo("AuthenticAMD", 26), libraries, {})
    assert advice.startswith("not used by the BLAS of numpy and scipy; set ")


def test_a_blas_of_another_kind_gets_no_advice():
    libraries = [{"used_by": "numpy", "name": "mkl", "architecture": None}]
    assert environment.avx512_advice(cpuinfo("GenuineIntel", 6), libraries, {}) == "used by BLAS"


def test_info_prints_and_parses():
    done = invoke("info")
    assert done.exit_code == 0, done.output
    for name in ("ntklin", "numba", "llvmlite", "CPU", "BLAS of numpy", "memory", "GPU", "CuPy"):
        assert re.search(rf"^{name}  ", done.output, re.MULTILINE), name
    done = invoke("info", "--json")
    facts = json.loads(done.output)
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["threads"]["numba"] == numba.get_num_threads()
    assert {library["used_by"] for library in facts["blas"]} & {"numpy", "shared"}
    assert facts["memory"]["total"] > 0
    told = {library.get("architecture") for library in threadpool_info()}
    assert {library["architecture"] for library in facts["blas"]} <= told


def test_the_kernels_and_the_system_see_the_same_cpu():
    flags = blas.first_processor(blas.read_cpuinfo()).get("flags")
    if flags is None:
        pytest.skip("this system does not list CPU features")
    assert ("avx512f" in flags.split()) == sizes.AVX512


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


@pytest.mark.skipif(os.name == "nt", reason="a script stands for the driver's tool")
def test_the_driver_s_tool_is_asked_for_names_alone(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        'test "$*" = "--query-gpu=name --format=csv,noheader" || exit 3\n'
        "echo of no matter >&2\n"
        "printf ' NVIDIA H200 \\n\\377\\n'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert environment.gpus() == ["NVIDIA H200", "\N{REPLACEMENT CHARACTER}"]


def test_the_machine_in_a_few_words(monkeypatch):
    libraries = [
        {"used_by": "numpy", "name": "openblas", "version": "0.3.31", "architecture": "Zen"},
        {"used_by": "scipy", "name": "mkl", "version": "2025", "architecture": None},
    ]
    monkeypatch.setattr(environment, "blas_libraries", lambda: libraries)
    monkeypatch.setattr(environment.blas, "read_cpuinfo", lambda: cpuinfo("GenuineIntel", 6))
    assert environment.machine() == {
        "system": platform.platform(),
        "cpu": "Some CPU",
        "threads": numba.get_num_threads(),
        "BLAS": "numpy: openblas 0.3.31 (Zen), scipy: mkl 2025 (None)",
    }
    monkeypatch.setattr(environment, "blas_libraries", list)
    assert environment.machine()["BLAS"] == "unknown"
    monkeypatch.setattr(environment.platform, "processor", lambda: "z80")
    assert [environment.cpu_model(text) for text in ("", "model name : 6502")] == ["z80", "6502"]
    monkeypatch.setattr(environment.platform, "processor", str)
    assert environment.cpu_model("") == "unknown"


def test_how_a_report_came_about(monkeypatch):
    found = environment.provenance(["scale", "--out", "a b"], 12.345)
    assert list(found) == ["command", "created", "elapsed_seconds", "versions", "machine"]
    assert found["command"] == "ntklin scale --out 'a b'"
    assert found["elapsed_seconds"] == 12.3
    created = datetime.fromisoformat(found["created"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60
    assert len(found["created"]) == len("2021-05-03T10:00:00+00:00")
    monkeypatch.setattr(environment, "installed", {"numpy": "1.2"}.get)
    versions = environment.versions()
    assert versions.pop("ntklin") == ntklin.__version__
    assert versions.pop("python") == platform.python_version()
    assert versions.pop("numpy") == "1.2"
    named = {"scipy", "numba", "llvmlite", "python-flint", "matplotlib"}
    assert versions == dict.fromkeys(named, "not installed")


def test_info_in_lines():
    facts = {
        "versions": {"ntklin": "0.0", "python": "3"},
        "system": "CP/M",
        "cpu": {"model": "Z80", "cores": 1},
        "avx512": "this CPU has none",
        "threads": {"numba": 2, "numba_most": 4, "layer": "omp"},
        "blas": [
            {
                **{"used_by": "numpy", "name": "openblas", "version": "0.3"},
                **{"architecture": "Zen", "threads": 2},
            }
        ],
        "memory": {"total": 64_000, "available": None},
        "gpu": {"devices": ["H200", "L4"], "cupy": None},
    }
    lines = dict(info.lines(facts))
    assert lines == {
        "ntklin": "0.0",
        "python": "3",
        "system": "CP/M",
        "CPU": "Z80, 1 logical cores",
        "AVX-512": "this CPU has none",
        "Numba threads": "2 of 4, omp",
        "BLAS of numpy": "openblas 0.3, Zen kernels, 2 threads",
        "memory": "64 kB total",
        "GPU": "H200, L4",
        "CuPy": "not installed",
    }
    facts["memory"] = {"total": 64_000, "available": 2_000}
    assert dict(info.lines(facts))["memory"] == "64 kB total, 2 kB available"
    facts["memory"] = {"total": None, "available": None}
    facts["gpu"] = {"devices": [], "cupy": "14.0"}
    lines = dict(info.lines(facts))
    assert (lines["memory"], lines["GPU"], lines["CuPy"]) == ("unknown", "none", "14.0")
    assert environment.everything().keys() == facts.keys()


def test_a_distribution_that_is_not_there():
    assert environment.installed("ntklin-no-such-thing") is None
    assert environment.installed("ntklin") == ntklin.__version__


def test_cupy_is_found_under_any_of_its_names(monkeypatch):
    for name in ("cupy", "cupy-cuda12x", "cupy-cuda13x"):
        monkeypatch.setattr(environment, "installed", {name: "14.0"}.get)
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
