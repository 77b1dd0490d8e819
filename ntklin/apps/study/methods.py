"""The optimizers that a study compares, by the names that users type."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import AdaGrad, Adam, AdamW, GradientDescent, Momentum, RMSprop

STOCHASTIC = "-sgd"


@dataclass(frozen=True)
class Method:
    """An optimizer, with mini-batches or without.

    Attributes
    ----------
    name : str
    label : str
        For tables and figures.
    optimizer : callable
        A class of optimizers; its other numbers are its defaults.
    stochastic : bool
        Whether it sees mini-batches.
    """

    name: str
    label: str
    optimizer: Callable[..., Optimizer]
    stochastic: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether D_t changes in training."""
        return self.optimizer not in (GradientDescent, Momentum)

    @property
    def closed(self) -> bool:
        """Whether the linearized network's training has a closed form."""
        return self.optimizer is GradientDescent and not self.stochastic


_ADAPTIVE = {"adagrad": AdaGrad, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}
METHODS = {
    method.name: method
    for method in (
        Method("gd", "GD", GradientDescent),
        Method("sgd", "SGD", GradientDescent, stochastic=True),
        Method("gd+momentum", "GD+momentum", Momentum),
        Method("sgd+momentum", "SGD+momentum", Momentum, stochastic=True),
        *(Method(name, kind.__name__, kind) for name, kind in _ADAPTIVE.items()),
        *(
            Method(name + STOCHASTIC, f"{kind.__name__}-SGD", kind, stochastic=True)
            for name, kind in _ADAPTIVE.items()
        ),
    )
}


def as_method_names(names: Iterable[str]) -> tuple[str, ...]:
    """Checked, different names of methods, gradient descent first: others are measured against it.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    tuple of str

    Raises
    ------
    TypeError
        For a string.
    ValueError
        For an unknown name, or one that comes twice.
    """
    if isinstance(names, str):
        raise TypeError(f"optimizers must be a sequence of names, got the string {names!r}")
    names = tuple(names)
    for name in names:
        if name not in METHODS:
            raise ValueError(
                f"optimizers contains {name!r}; known are {', '.join(METHODS)}, where sgd, "
                f"sgd+momentum and names in {STOCHASTIC} see mini-batches"
            )
        if names.count(name) > 1:
            raise ValueError(f"optimizers contains {name} more than once")
    return tuple(sorted(names, key=lambda name: name != "gd"))
