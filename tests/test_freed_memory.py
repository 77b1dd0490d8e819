"""Kernels under allocators that scribble over what is freed, and over what is not yet written.

A read of freed memory is right by luck otherwise: nothing else has been put there yet.
"""

import os
import subprocess
import sys
from pathlib import Path

import kernel_numbers
import pytest

pytestmark = pytest.mark.compiled("only compiled code frees early")
SURROUNDINGS = {
    "development mode": {"PYTHONDEVMODE": "1"},
    "Python's allocator": {"PYTHONMALLOC": "debug"},
    "glibc's allocator": {
        "PYTHONMALLOC": "malloc",
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165",
    },
}


def test_the_numbers_in_this_process():
    kernel_numbers.check()


def test_nothing_that_is_freed_is_read():
    """The children run side by side: they spend most of their time on imports."""
    command = [sys.executable, "-W", "ignore", str(Path(kernel_numbers.__file__))]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    children = {
        name: subprocess.Popen(command, env={**os.environ, **variables}, **pipe)
        for name, variables in SURROUNDINGS.items()
    }
    told = {name: child.communicate(timeout=600)[0] for name, child in children.items()}
    wrong = {name: text for name, text in told.items() if children[name].returncode != 0}
    assert not wrong, "\n".join(f"{name}: {text[-2000:]}" for name, text in wrong.items())
