"""Optimizers and mini-batches in words and numbers, as a saved run knows them, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, cast

from ntklin.runs import optimizers, schedules
from ntklin.runs.batches import Batches, BatchSource
from ntklin.runs.optimizer import Optimizer


def _kinds(room: Any, base: type) -> dict[str, Any]:
    """The classes of a module that inherit from one, by their names."""
    found = (kind for kind in vars(room).values() if isinstance(kind, type))
    return {kind.__name__: kind for kind in found if issubclass(kind, base)}


OPTIMIZERS = _kinds(optimizers, Optimizer)
SCHEDULES = _kinds(schedules, schedules.Schedule)
ITERABLE, FUNCTION = "an iterable", "a function"


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer in words and numbers; functions are left out.

    A schedule of ntklin's is described; of any other function of the step only that it is one.
    What an optimizer has got since files were first written is left out at its default, so that
    those are still of the same runs.

    Returns
    -------
    dict
    """
    kind = type(optimizer)
    known = OPTIMIZERS.get(kind.__name__) is kind
    name = kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"
    each = dataclasses.fields(cast(Any, optimizer)) if known else ()
    default = {f.name: f.default for f in each}
    fields = fields_of(optimizer)
    later = [n for n in optimizer.later if n in default and fields[n] == default[n]]
    return {"class": name} | {k: v for k, v in fields.items() if k not in later}


def optimizer_from(description: Mapping[str, Any]) -> Any:
    """The optimizer of a description; None where that leaves a function out."""
    kind, fields = OPTIMIZERS.get(description["class"]), dict(description)
    del fields["class"]
    if kind is None or kind is optimizers.Preconditioned or needs_function(description):
        return None
    return kind(**fields | {"learning_rate": _rate_from(fields["learning_rate"])})


def needs_function(description: Mapping[str, Any]) -> bool:
    """Whether the learning rate of an optimizer so described is a function that is not ntklin's."""
    return FUNCTION in json.dumps(description.get("learning_rate"))


def _describe_rate(learning_rate: Any) -> Any:
    """A number, the class and the fields of a schedule, or ``FUNCTION``."""
    if not callable(learning_rate):
        return learning_rate
    if isinstance(learning_rate, schedules.ProductSchedule):
        return {"class": "Product", "factors": list(map(_describe_rate, learning_rate.factors))}
    kind = type(learning_rate)
    if SCHEDULES.get(kind.__name__) is not kind:
        return FUNCTION
    return {"class": kind.__name__} | fields_of(learning_rate)


def _rate_from(description: Any) -> Any:
    """The learning rate of a description that needs no function."""
    if not isinstance(description, Mapping):
        return description
    fields = dict(description)
    kind = fields.pop("class")
    if kind == "Product":
        return schedules.ProductSchedule(tuple(map(_rate_from, fields["factors"])))
    return SCHEDULES[kind](**fields)


def describe_batches(batches: BatchSource | None) -> dict[str, Any] | str | None:
    """Mini-batches in words and numbers; an iterable has none of its own."""
    if batches is None:
        return None
    return fields_of(batches) if isinstance(batches, Batches) else ITERABLE


def batches_from(description: Any) -> BatchSource | None:
    """The mini-batches of a description; () stands for an iterable, None for the full batch."""
    if description is None:
        return None
    return () if description == ITERABLE else Batches(**description)


def fields_of(instance: Any) -> dict[str, Any]:
    """A dataclass as JSON has it, so that what comes from a file compares equal."""
    if not dataclasses.is_dataclass(instance):
        return {}
    values = {f.name: getattr(instance, f.name) for f in dataclasses.fields(instance) if f.init}
    if "learning_rate" in values:
        values["learning_rate"] = _describe_rate(values["learning_rate"])
    return json.loads(json.dumps({name: v for name, v in values.items() if not callable(v)}))
