"""The lines of a benchmark's picture: which works, in which order, and what they are called."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ntklin.edge.files.names import without_math
from ntklin.validation.benchmarks.standings import Standing, Standings

KINDS = {
    "kernels": ("jacobian", "gram", "weighted_gram", "infinite"),
    "training": ("gd_step", "ensemble_step", "adagrad_step", "adam_step"),
    "linearized network": ("linearized_step", "split", "closed_form"),
}
TITLES = {
    "jacobian": "Jacobian",
    "gram": "Gram matrix",
    "weighted_gram": "weighted Gram matrix",
    "infinite": "infinite-width kernel",
    "gd_step": "step of gradient descent",
    "ensemble_step": "the same, one of ten networks",
    "adagrad_step": "step of AdaGrad",
    "adam_step": "step of Adam",
    "linearized_step": "step of AdaGrad",
    "split": "split of an end state",
    "closed_form": "closed form",
}
OTHER_KIND = "other works"
INPUTS = {"gaussian": "Gaussian", "mnist": "MNIST"}
PROBLEM = ("case", "inputs", "n")


@dataclass(frozen=True)
class Heading:
    """A kind of works, or a work, above its lines."""

    place: float
    text: str
    is_kind: bool


@dataclass(frozen=True)
class Line:
    """A work on one problem.

    Attributes
    ----------
    place : float
        On the axis, downwards.
    label : str
    headings : tuple of Heading
        What begins with it.
    standings : dict
        By dtype.
    """

    place: float
    label: str
    headings: tuple[Heading, ...]
    standings: dict[str, Standing]


def lines_of(found: Standings) -> Iterator[Line]:
    """The lines in the order of the kinds and works, labelled by what tells them apart."""
    groups: dict[tuple[Any, ...], dict[str, Standing]] = {}
    for one in found.standings:
        groups.setdefault(one.key[:-1], {})[one.dtype] = one
    order = [work for works in KINDS.values() for work in works]
    problems = [next(iter(group.values())) for group in groups.values()]
    works = [*order, *(one.work for one in problems if one.work not in order)]
    cases = list(found.networks)
    names = list(dict.fromkeys((one.work, one.variant) for one in problems))

    def rank(key: tuple[Any, ...]) -> tuple[Any, ...]:
        one = next(iter(groups[key].values()))
        place = works.index(one.work), names.index((one.work, one.variant))
        return *place, one.frozen_n, cases.index(one.case), one.inputs

    varying = set(PROBLEM) - shared(found.standings)
    place, kind, title = -0.5, "", ""
    for key in sorted(groups, key=rank):
        one = next(iter(groups[key].values()))
        headings = []
        if _kind(one.work) != kind:
            kind, title = _kind(one.work), ""
            headings.append(Heading(place + 0.5, kind, is_kind=True))
            place += 1.5
        if varying and _title(one) != title:
            headings.append(Heading(place, _title(one), is_kind=False))
            place += 0.9
        title = _title(one)
        problem = without_math(" · ".join(facts(one, found.networks, varying)))
        yield Line(place, problem or title, tuple(headings), groups[key])
        place += 1


def _kind(work: str) -> str:
    return next((kind for kind, works in KINDS.items() if work in works), OTHER_KIND)


def _title(one: Standing) -> str:
    title = TITLES.get(one.work, one.work)
    return without_math(f"{title}, {one.variant}" if one.variant else title)


def facts(one: Standing, networks: Mapping[str, str], names: Collection[str]) -> Iterator[str]:
    """What a line's problem is, as far as its names are asked for."""
    texts = {
        "case": networks[one.case],
        "inputs": INPUTS.get(one.inputs, one.inputs),
        "n": f"N = {one.n:,}",
    }
    return (text for name, text in texts.items() if name in names)


def shared(standings: Sequence[Standing]) -> set[str]:
    """The names of what is the same in all problems."""
    return {name for name in PROBLEM if len({getattr(one, name) for one in standings}) == 1}
