"""Checks of options: what is allowed is decided where it is used, which they load late."""

from collections.abc import Callable
from typing import Any

Check = Callable[[Any, str], Any]


def positive(value: Any, name: str) -> float:
    """A positive, finite number."""
    from ntklin.edge.checks import as_positive

    return as_positive(value, name=name)


def nonnegative(value: Any, name: str) -> float:
    """A finite number from 0 on."""
    from ntklin.edge.checks import as_nonnegative

    return as_nonnegative(value, name=name)


def count(value: Any, name: str) -> int:
    """An integer from 1 on."""
    from ntklin.edge.checks import as_count

    return as_count(value, name=name)


def count_up_to(most: int) -> Check:
    """An integer from 1 to ``most``."""

    def check(value: Any, name: str) -> int:
        value = count(value, name)
        if value > most:
            raise ValueError(f"{name} must be at most {most}, got {value}")
        return value

    return check


def seed(value: Any, name: str) -> int:
    """An integer from 0 on."""
    from ntklin.edge.checks import as_count

    return as_count(value, name=name, minimum=0)


def scaling(value: Any, name: str) -> Any:
    """A scaling that carries σ: a sweep takes one θ_0 at every σ."""
    from ntklin.networks.mlp import SCALED

    if value not in SCALED:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, SCALED))}, got {value!r}")
    return value


def flag(value: Any, name: str) -> bool:
    """True or False."""
    from ntklin.edge.checks import as_flag

    return as_flag(value, name=name)


def rank_cut(value: Any, name: str) -> float | None:
    """A fraction of the largest eigenvalue, or None."""
    from ntklin.algebra.spectrum import as_rank_cut

    return as_rank_cut(value)


def split(value: Any, name: str) -> float | None:
    """A mini-batch's share of the samples."""
    from ntklin.runs.batches import Batches

    return Batches(value).split


def activation(value: Any, name: str) -> str:
    """The name of an activation of the library's own."""
    from ntklin.networks.activations import as_activation

    if not isinstance(value, str):
        raise TypeError(f"{name} must be a name, got {type(value).__name__}")
    return as_activation(value).name


def device(value: Any, name: str) -> str:
    """The CPU, or a GPU that is there."""
    from ntklin.edge.backends import device_namespace

    device_namespace(value)
    return value


def methods(value: Any, name: str) -> tuple[str, ...]:
    """Names of optimizers that a study can compare."""
    from ntklin.apps.study.methods import as_method_names

    return as_method_names(value)


def schedule(value: Any, name: str) -> str:
    """A schedule of learning rates, as it is typed."""
    from ntklin.apps.study.factors import schedule_of

    schedule_of(value, name)
    return value


def optional(check: Check) -> Check:
    """What ``check`` lets pass, or None."""
    return lambda value, name: None if value is None else check(value, name)


def one_of(*allowed: str) -> Check:
    """One of these texts."""

    def check(value: Any, name: str) -> str:
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        return value

    return check


def distinct(check: Check) -> Check:
    """A sequence with at least one value, all different, which ``check`` lets pass."""

    def check_all(values: Any, name: str) -> tuple[Any, ...]:
        values = tuple(check(value, f"{name}[{i}]") for i, value in enumerate(values))
        if not values:
            raise ValueError(f"{name} is empty")
        repeated = sorted(value for value in set(values) if values.count(value) > 1)
        if repeated:
            raise ValueError(f"{name} contains {repeated[0]:g} more than once")
        return values

    return check_all
