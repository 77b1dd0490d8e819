"""Arrays of a GPU on the host."""

import numpy as np


def on_host(result):
    """An array of a GPU, or a tuple of them, as NumPy's."""
    if isinstance(result, tuple):
        return tuple(on_host(part) for part in result)
    return result if isinstance(result, np.ndarray) else result.get()
