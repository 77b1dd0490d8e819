"""Settings that every test shares, and the two devices that stand behind CuPy arrays."""

import os
import signal
import sys
from types import SimpleNamespace

import pytest
from hypothesis import settings

# They, or what they import, cannot be loaded where there is no module ``resource``.
POSIX_ONLY = ["test_cli_places.py", "test_faults.py", "test_files.py", "test_fuzz.py"]
collect_ignore = POSIX_ONLY if os.name == "nt" else []

# Before Numba is loaded: several test processes share the cores, and a thread that spins at a
# loop's end would take one from the thread that it waits for.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Deterministic examples, so that a failure is the same for everyone; compiling a kernel on first
# use would break any deadline. Without the JIT each example costs far more, so there are fewer.
settings.register_profile("compiled", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("interpreted", settings.get_profile("compiled"), max_examples=8)
without_jit = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
settings.load_profile("interpreted" if without_jit else "compiled")


def pytest_runtest_setup(item):
    """Skip what is marked as ``compiled`` where the JIT is off."""
    marker = item.get_closest_marker("compiled")
    if marker is not None and without_jit:
        pytest.skip(marker.args[0] if marker.args else "minutes without compiled kernels")


@pytest.fixture(scope="session", autouse=True)
def signals():
    """Signals as a terminal would leave them, for the tests and for the processes they start.

    A shell starts what it puts into the background with Ctrl-C ignored, and ``nohup`` ignores
    SIGHUP; both would be inherited.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def real_gpu():
    """CuPy, or a skipped test with the reason."""
    cupy = pytest.importorskip("cupy", reason="needs CuPy")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as e:
        pytest.skip(f"needs a CUDA device: {e}")
    if not count:
        pytest.skip("needs a CUDA device")
    return cupy


@pytest.fixture(params=["stand-in", pytest.param("GPU", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """``xp``, the namespace of CuPy arrays: on a GPU, or of a stand-in that computes on the host.

    ``put`` takes arrays, lists of them and pairs there, ``get`` takes them back.
    """
    if request.param == "GPU":
        xp = real_gpu()
    else:
        import host_gpu
        import stand_in_cupy

        from ntklin.kernels.gpu import loader

        if host_gpu.COMPILER is None:
            pytest.skip("needs g++")
        xp = stand_in_cupy.module()
        monkeypatch.setitem(sys.modules, "cupy", xp)
        monkeypatch.setitem(sys.modules, "cupyx.scipy.linalg", stand_in_cupy.solvers())
        monkeypatch.setattr(loader, "launch", stand_in_cupy.launch)

    def put(a):
        return [put(part) for part in a] if isinstance(a, list | tuple) else xp.asarray(a)

    def get(a):
        assert isinstance(a, xp.ndarray), f"expected a CuPy array, got {type(a)}"
        return a.get()

    return SimpleNamespace(xp=xp, put=put, get=get, real=request.param == "GPU")
