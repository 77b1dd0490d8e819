"""Results that can be copied, pickled and sent to another process, and come back as they were."""

from typing import Any

import numpy as np

from ntklin.edge.backends import freeze


class Sendable:
    """A result whose read-only arrays are read-only in its copies too.

    Pickling and copying forget NumPy's flag, and a promise with it.
    """

    def _sent(self) -> dict[str, Any]:
        """The attributes of a copy, a new dict; subclasses leave out what is made again."""
        theirs: Any = super().__getstate__()  # SciPy's operators have one of their own
        return dict(theirs or {})

    def __getstate__(self) -> Any:
        attributes = self._sent()
        return attributes, tuple(name for name, value in attributes.items() if _is_frozen(value))

    def __setstate__(self, state: Any) -> None:
        attributes, frozen = state
        for name in frozen:
            freeze(attributes[name])
        if hasattr(super(), "__setstate__"):
            super().__setstate__(attributes)  # pyright: ignore
        else:
            self.__dict__.update(attributes)


def _is_frozen(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not value.flags.writeable
