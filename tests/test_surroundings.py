"""Kernels where Numba's cache does not work, after a fork, and on the threading layers."""

import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core.caching import CacheImpl

import ntklin
from ntklin.kernels.cpu import caching, launching
from ntklin.kernels.cpu.blas import sequential_blas
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.plain import JIT_DISABLED

compiled = pytest.mark.compiled("about compiled code")
X = np.random.default_rng(0).standard_normal((30, 5)) / 4


def run(code, **variables):
    """Run Python code in a process of its own, with environment variables."""
    env = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**env, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# The cache


def double(x):
    return 2 * x


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Numba's folder for compiled code, and a process that has not complained yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(caching, "_told", False)
    return tmp_path / "cache"


def files(folder, ending):
    return sorted(folder.rglob(f"*.{ending}"))


def test_compiled_code_is_kept(folder):
    if JIT_DISABLED:
        assert kernel(double) is double
        return
    assert kernel(double)(2.0) == 4
    assert len(files(folder, "nbi")) == len(files(folder, "nbc")) == 1
    again = kernel(double)
    assert again(3.0) == 6
    assert sum(again.stats.cache_hits.values()) == 1


def flipped(path):
    """One bit of the last part of a file: of the machine code, not of what frames it."""
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= 1
    path.write_bytes(data)


def shortened(path):
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path):
    path.write_bytes(b"")


def foreign(path):
    path.write_bytes(b"\x80\x04\x95 something else")


def replaced(path):
    path.unlink()
    path.mkdir()


@compiled
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [flipped, shortened, emptied, foreign, replaced])
def test_a_damaged_cache_is_not_believed(folder, damage, ending):
    kernel(double)(2.0)
    (path,) = files(folder, ending)
    damage(path)
    again = kernel(double)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.UncachedWarning)
        assert again(2.0) == 4
    assert not again.stats.cache_hits


@compiled
def test_of_other_sources_nothing_is_taken(folder, monkeypatch):
    kernel(double)(2.0)
    monkeypatch.setattr(caching, "SOURCES", "of a later version")
    again = kernel(double)
    assert again(2.0) == 4
    assert not again.stats.cache_hits
    kept = kernel(double)
    assert kept(2.0) == 4
    assert kept.stats.cache_hits


@compiled
def test_of_other_types_nothing_is_taken(folder):
    """Two processes that compile at a time can take the same name for different types."""
    first = kernel(double)
    first(2.0)
    first(2)
    floats, integers = files(folder, "nbc")
    integers.write_bytes(floats.read_bytes())
    again = kernel(double)
    assert again(3) == 6
    assert again.nopython_signatures == [numba.int64(numba.int64)]


class Pair(NamedTuple):
    """What a kernel of an earlier version took."""

    first: float
    second: float


def first(pair):
    return pair[0]


@compiled
def test_a_cache_of_named_tuples_that_are_gone_is_started_over(folder, monkeypatch):
    assert kernel(first)(Pair(2.0, 3.0)) == 2
    monkeypatch.delattr(sys.modules[__name__], "Pair")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ntklin.UncachedWarning)
        assert kernel(first)((4.0, 5.0)) == 4
        again = kernel(first)
        assert again((6.0, 7.0)) == 6
    assert sum(again.stats.cache_hits.values()) == 1


@compiled
def test_without_a_cache_one_warning_tells_the_remedy(folder, monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "", raising=False)
    with pytest.warns(ntklin.UncachedWarning, match="NUMBA_CACHE_DIR") as told:
        functions = [kernel(double), kernel(double)]
    assert len(told) == 1
    assert [f(2.0) for f in functions] == [4, 4]


@compiled
def test_a_cache_that_cannot_be_written_any_more_stops_nothing(folder):
    function = kernel(double)
    folder.joinpath("gone").mkdir()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()
    folder.write_text("a file where the folder was")
    with pytest.warns(ntklin.UncachedWarning, match="cannot be used"):
        assert function(2.0) == 4


@compiled
@pytest.mark.skipif(
    not hasattr(numba.config, "CACHE_LOCATOR_CLASSES"), reason="a setting of newer Numba"
)
def test_the_library_loads_where_nothing_can_be_written():
    code = (
        "import numpy as np\n"
        "from ntklin.kernels.cpu.sums import clear_rows\n"
        "a = np.ones((2, 16)); clear_rows(a, 0, 1); print(a.sum())"
    )
    locators = "UserProvidedCacheLocator,UserWideCacheLocator"
    done = run(code, HOME="/proc/none", NUMBA_CACHE_LOCATOR_CLASSES=locators)
    assert (done.returncode, done.stdout.strip()) == (0, "16.0"), done.stderr
    assert done.stderr.count("UncachedWarning") == 1


# Forks


def computed(seed):
    """Of kernels that share out their work in different ways: numbers that tell of every bit."""
    net = ntklin.MLP((5, 40, 20, 1), bias="normal")
    theta, Y = net.init(seed), X[:, 0]
    phi = net.features(theta, X)
    D = np.linspace(0, 1, net.n_parameters)
    shallow = ntklin.MLP((5, 70, 1))
    start = shallow.init(seed)
    return [
        phi.gram(),
        phi.gram(weights=D),
        phi.T @ Y,
        ntklin.train(shallow, start, X, Y, ntklin.GradientDescent(0.1), steps=5).parameters,
        ntklin.train(shallow, start, X, Y, ntklin.Adam(0.01), steps=5).parameters,
        ntklin.linearize(net, theta, X).train(Y, ntklin.Adam(0.01), steps=5).displacement,
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_computes_what_its_parent_did():
    want = computed(0)
    with sequential_blas, ProcessPoolExecutor(1, mp_context=get_context("fork")) as executor:
        got = executor.submit(computed, 0).result(timeout=120)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_wait_for_threads_that_are_not_there():
    held, done = threading.Event(), threading.Event()

    def hold():
        with sequential_blas._lock, launching._launches.turn:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        free = sequential_blas._lock.acquire(timeout=5) and launching._launches.turn.acquire(
            timeout=5
        )
        os._exit(0 if free else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


# Threading layers


@compiled
@pytest.mark.parametrize("rule", ["_ALONE", "_IN_TURN"])
def test_every_way_to_launch_gives_the_same_bits(monkeypatch, rule):
    net = ntklin.MLP((5, 20, 10, 1))
    theta = net.init(0)
    want = net.features(theta, X).gram()
    monkeypatch.setattr(launching._launches, "rule", getattr(launching, rule))
    np.testing.assert_array_equal(net.features(theta, X).gram(), want)


@compiled
def test_the_workqueue_serves_several_python_threads():
    code = (
        "import numba, numpy as np, ntklin\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "X = np.linspace(-1, 1, 400).reshape(40, 10) / 4\n"
        "net = ntklin.MLP((10, 50, 1))\n"
        "def work(seed):\n"
        "    for _ in range(40): out = net.features(net.init(seed), X).T @ X[:, 0]\n"
        "    return out\n"
        "want = [work(seed) for seed in range(4)]\n"
        "with ThreadPoolExecutor(4) as threads: got = list(threads.map(work, range(4)))\n"
        "print(numba.threading_layer(), np.array_equal(got, want))"
    )
    done = run(code, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS="2")
    assert (done.returncode, done.stdout.strip()) == (0, "workqueue True"), done.stderr
