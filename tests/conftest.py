"""Settings that every test shares."""

import os

from hypothesis import settings

# Deterministic examples, so that a failure is the same for everyone; compiling a kernel on first
# use would break any deadline. Without the JIT each example costs far more, so there are fewer.
settings.register_profile("compiled", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("interpreted", settings.get_profile("compiled"), max_examples=8)
without_jit = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
settings.load_profile("interpreted" if without_jit else "compiled")
