"""Schedules as users type them: factors of whatever learning rate is found."""

from collections.abc import Callable
from typing import Any

from ntklin.runs.schedules import CosineSchedule, Schedule, StepSchedule, WarmupSchedule

# By name: what makes it of the numbers behind the name, and what these are.
KINDS: dict[str, tuple[Callable[..., Schedule], str]] = {
    "cosine": (lambda steps, minimum=0.0: CosineSchedule(1.0, steps, minimum), "STEPS[:MINIMUM]"),
    "step": (lambda size, gamma=0.1: StepSchedule(1.0, size, gamma), "SIZE[:GAMMA]"),
    "warmup": (lambda steps, start=1 / 3: WarmupSchedule(steps, start), "STEPS[:START]"),
}
FORMS = ", ".join(f"{name}:{numbers}" for name, (_, numbers) in KINDS.items())


def schedule_of(text: Any, name: str = "schedule") -> Schedule:
    """The schedule of a text such as ``warmup:100*cosine:5000``, at a learning rate of 1.

    Parameters
    ----------
    text : str
        Factors, between stars: a name, a number of steps, and perhaps another number.
    name : str
        The argument's name in messages.

    Returns
    -------
    Schedule

    Raises
    ------
    TypeError
        For what is no text.
    ValueError
        Naming what is no factor.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a text such as 'cosine:5000', got {text!r}")
    first, *others = (_factor(part.strip(), name) for part in text.split("*"))
    for other in others:
        first = first * other
    return first


def _factor(text: str, name: str) -> Schedule:
    kind, *numbers = text.split(":")
    try:
        make, _ = KINDS[kind]
        steps, *rest = numbers
        return make(int(steps), *map(float, rest))
    except (KeyError, TypeError, ValueError) as e:
        why = f": {e}" if isinstance(e, ValueError) and "must be" in str(e) else ""
        raise ValueError(
            f"{name} has the factor {text!r}{why}; a factor is one of {FORMS}, and several go with "
            "stars between them, as warmup:100*cosine:5000"
        ) from None
