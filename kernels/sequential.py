"""BLAS on one thread, for as long as somebody wants it so."""

import os
import threading


class _SequentialBlas:
    """Context in which BLAS uses one thread; nests, and is shared between Python threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._depth = 0
        self._saved = ()
        self._libraries = None

    def _find(self):
        import scipy.linalg.cython_blas  # noqa: F401  (loads the library that gemm calls)
        from threadpoolctl import ThreadpoolController

        controllers = ThreadpoolController().lib_controllers
        return [lib for lib in controllers if lib.user_api == "blas"]

    def __enter__(self):
        with self._lock:
            if self._libraries is None:
                self._libraries = self._find()
            if self._depth == 0:
                self._saved = [(lib, lib.get_num_threads()) for lib in self._libraries]
                for lib, _ in self._saved:
                    lib.set_num_threads(1)
            self._depth += 1

    def __exit__(self, *exception):
        with self._lock:
            self._depth = max(0, self._depth - 1)
            if self._depth == 0:
                for lib, n_threads in self._saved:
                    lib.set_num_threads(n_threads)

    def forked(self):
        """Start anew in a new process, in which no thread is inside, and none holds the lock."""
        self._lock = threading.Lock()
        if self._depth:
            self._depth = 0
            for lib, n_threads in self._saved:
                lib.set_num_threads(n_threads)


sequential_blas = _SequentialBlas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=sequential_blas.forked)
