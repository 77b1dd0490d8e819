"""Numba's cache of compiled code, as one that may fail: then code is compiled for this process.

What comes back from a file is run as it is. So an entry also tells from which sources and for which
types it was compiled, since Numba looks at one source file only and two processes that write at a
time can exchange their entries, and carries a digest of its bytes.
"""

import hashlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from ntklin.kernels import UncachedWarning

_told = False
_when_missing: Callable[[], object] | None = None


def when_missing(call):
    """Have ``call()`` called once, when something has to be compiled that is not kept.

    Parameters
    ----------
    call : callable or None
        In the place of an earlier one.
    """
    global _when_missing
    _when_missing = call


def _source_digest():
    """Of all that compiled code of this folder may have been made from; some stands one up."""
    found, here = hashlib.sha256(), Path(__file__).parent
    for path in (*sorted(here.parent.glob("*.py")), *sorted(here.glob("*.py"))):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


SOURCES = _source_digest()


class _Entries(CompileResultCacheImpl):
    """What an entry holds: sources, types, digest, and the bytes of Numba's own."""

    def reduce(self, cres):
        code = dumps(super().reduce(cres))
        return SOURCES, _types(cres.signature), hashlib.sha256(code).hexdigest(), code

    def rebuild(self, target_context, entry):
        """The compiled code; None where it is of other sources."""
        if not isinstance(entry, tuple) or len(entry) != 4 or entry[0] != SOURCES:
            return None
        _, types, digest, code = entry
        if hashlib.sha256(code).hexdigest() != digest:
            raise ValueError("a file of compiled code is damaged")
        cres = super().rebuild(target_context, pickle.loads(code))
        return cres if _types(cres.signature) == types else None


class TolerantCache(FunctionCache):
    """A function's compiled code on disk. Whatever goes wrong there costs time and nothing else."""

    _impl_class = _Entries

    def load_overload(self, sig, target_context):
        """The code that is kept for ``sig``; None where there is none that serves."""
        cres = self._load(sig, target_context)
        if cres is not None and _types(cres.signature) == _types(sig):
            return cres
        _miss()
        return None

    def _load(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError):  # of other sources: it names a class that is not here
            self._forget()
        except Exception as e:  # pickle, zlib and LLVM raise of all kinds where bytes are damaged
            _tell(e)
        return None

    def _forget(self):
        """Start over with an empty index, since Numba would read the old one before it saves."""
        try:
            self.flush()
        except Exception as e:
            _tell(e)

    def save_overload(self, sig, data):
        """Keep the code for ``sig``, if that can be."""
        try:
            super().save_overload(sig, data)
        except Exception as e:
            _tell(e)


def with_cache(dispatcher):
    """Let ``dispatcher`` keep its compiled code between processes, where that can be.

    Parameters
    ----------
    dispatcher : Dispatcher
        Without the JIT a plain function, which is returned as it is.

    Returns
    -------
    callable
        ``dispatcher`` itself.
    """
    if isinstance(dispatcher, Dispatcher):
        try:
            dispatcher._cache = TolerantCache(dispatcher.py_func)  # pyright: ignore
        except Exception as e:  # Numba's RuntimeError where no folder can be written to
            _tell(e)
    return dispatcher


def _types(signature):
    arguments, _ = normalize_signature(signature)
    return str(tuple(arguments))


def _miss():
    global _when_missing
    call, _when_missing = _when_missing, None
    if call is not None:
        call()


def _tell(problem):
    """Say once in a process that the cache does not work."""
    global _told
    if not _told:
        _told = True
        warnings.warn(
            f"Numba's cache of compiled code cannot be used ({problem or type(problem).__name__}); "
            "kernels are compiled anew in each process, for a few seconds each. Set "
            "NUMBA_CACHE_DIR to a folder that can be written to",
            UncachedWarning,
            stacklevel=2,
        )
