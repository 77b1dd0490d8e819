"""Checks of options: what is allowed is decided where it is used, which they load late."""


def positive(value, name):
    """A positive, finite number."""
    from ntklin.edge.checks import as_positive

    return as_positive(value, name=name)


def count(value, name):
    """An integer from 1 on."""
    from ntklin.edge.checks import as_count

    return as_count(value, name=name)


def count_up_to(most):
    """An integer from 1 to ``most``."""

    def check(value, name):
        value = count(value, name)
        if value > most:
            raise ValueError(f"{name} must be at most {most}, got {value}")
        return value

    return check


def seed(value, name):
    """An integer from 0 on."""
    from ntklin.edge.checks import as_count

    return as_count(value, name=name, minimum=0)


def scaling(value, name):
    """A scaling that carries σ: a sweep takes one θ_0 at every σ."""
    from ntklin.networks.mlp import SCALED

    if value not in SCALED:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, SCALED))}, got {value!r}")
    return value


def flag(value, name):
    """True or False."""
    from ntklin.edge.checks import as_flag

    return as_flag(value, name=name)


def rank_cut(value, name):
    """A fraction of the largest eigenvalue, or None."""
    from ntklin.algebra.spectrum import as_rank_cut

    return as_rank_cut(value)


def split(value, name):
    """A mini-batch's share of the samples."""
    from ntklin.runs.batches import Batches

    return Batches(value).split


def device(value, name):
    """The CPU, or a GPU that is there."""
    from ntklin.edge.backends import device_namespace

    device_namespace(value)
    return value


def methods(value, name):
    """Names of optimizers that a study can compare."""
    from ntklin.apps.study.methods import as_method_names

    return as_method_names(value)


def optional(check):
    """What ``check`` lets pass, or None."""
    return lambda value, name: None if value is None else check(value, name)


def one_of(*allowed):
    """One of these texts."""

    def check(value, name):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        return value

    return check


def distinct(check):
    """A sequence with at least one value, all different, which ``check`` lets pass."""

    def check_all(values, name):
        values = tuple(check(value, f"{name}[{i}]") for i, value in enumerate(values))
        if not values:
            raise ValueError(f"{name} is empty")
        repeated = sorted(value for value in set(values) if values.count(value) > 1)
        if repeated:
            raise ValueError(f"{name} contains {repeated[0]:g} more than once")
        return values

    return check_all
