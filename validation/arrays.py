"""Arrays of a GPU on the host, and where arrays live."""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ntklin

Array = NDArray[Any]


def on_host(result: Any) -> Any:
    """An array of a GPU, or a tuple of them, as NumPy's."""
    if isinstance(result, tuple):
        return tuple(on_host(part) for part in result)
    return result if isinstance(result, np.ndarray) else result.get()


def namespace(device: str) -> ModuleType:
    """The arrays' module on this device, which is refused if it is neither "cpu" nor "gpu"."""
    known: Any = device
    return ntklin.device_namespace(known)
