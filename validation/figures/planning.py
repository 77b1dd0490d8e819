"""From a figure to its runs, and to their results."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ntklin.edge.files.names import at_home, shown
from ntklin.validation.figures.configuration import (
    Record,
    Search,
    Task,
    Training,
    digest,
    load,
)
from ntklin.validation.figures.execution import execute
from ntklin.validation.figures.figure import Figure, Scale
from ntklin.validation.figures.outcomes import Rate, Results
from ntklin.validation.figures.scheduler import results_of
from ntklin.validation.figures.store import Store


class IncompleteError(ValueError):
    """A figure cannot be drawn: some of its runs have not been computed."""


@dataclass(frozen=True)
class Plan:
    """A figure at a scale on a data set: all its runs, before any has started.

    Attributes
    ----------
    figure : Figure
    scale_name : str
    dataset : str
    runs : tuple of Run, or of the figure's Measurement
        Without the learning rates that have to be searched for.
    """

    figure: Figure
    scale_name: str
    dataset: str
    runs: tuple[Any, ...]

    @property
    def scale(self) -> Scale:
        """The figure's settings at this scale."""
        return self.figure.scales[self.scale_name]

    @property
    def searches(self) -> tuple[Search, ...]:
        """The searches for learning rates, each once."""
        return tuple(dict.fromkeys(run.search for run in self.runs if run.adaptive))

    @property
    def independent(self) -> tuple[Task, ...]:
        """The searches and the runs that need none."""
        return (*self.searches, *(run for run in self.runs if not run.adaptive))

    @property
    def n_tasks(self) -> int:
        """How many results it takes."""
        return len(self.runs) + len(self.searches)


def plan(figure: Figure, scale_name: str, dataset: str | None = None) -> Plan:
    """All runs of a figure; loads the data, and so finds out whether they are there.

    Parameters
    ----------
    figure : Figure
    scale_name : {"quick", "standard", "paper"}
    dataset : str, optional
        A name or a path; the figure's own when not given.

    Returns
    -------
    Plan
    """
    dataset = figure.dataset if dataset is None else dataset
    scale = figure.scales[scale_name]
    shared = {
        "dataset": dataset,
        "n_pool": scale["n_train"],
        "n_train": scale["n_train"],
        "n_test": scale["n_test"],
    }
    if issubclass(figure.task, Training):
        shared |= {"until": scale["until"], "max_steps": scale["max_steps"]}
        shared["loss"] = scale.get("loss", "squared")
    data = load(dataset, shared["n_pool"], shared["n_test"])
    shared["digest"] = digest(dataset, shared["n_pool"], shared["n_test"])
    if data.provenance.startswith("local files"):
        dataset = shared["dataset"] = str(Path(at_home(dataset)).resolve())

    def make(**values: Any) -> Task:
        return figure.task(**shared | values)

    return Plan(figure, scale_name, dataset, tuple(dict.fromkeys(figure.grid(scale, make))))


def compute(
    planned: Plan, store: Store, executor: Executor, slots: int, device: str = "cpu"
) -> Iterator[tuple[Task, Record]]:
    """Compute what is missing of a figure's results; yield each task with its result.

    Searches and the runs that need none come first, then the runs with the rates that were found.

    Parameters
    ----------
    planned : Plan
    store : Store
    executor : concurrent.futures.Executor
    slots : int
    device : {"cpu", "gpu"}
        Where networks are trained. Results do not name it: they are the same up to rounding. A GPU
        trains those in one batch that differ in nothing but their seeds.

    Yields
    ------
    (Task, Result or Rate)
    """
    function, together = partial(execute, device=device), device == "gpu"
    options = {"store": store, "executor": executor, "slots": slots}
    run_all = partial(results_of, **options, function=function, together=together)
    rates: dict[Search, float] = {}
    for task, result in run_all(planned.independent):
        if isinstance(task, Search) and isinstance(result, Rate):
            rates[task] = result.learning_rate
        yield task, result
    yield from run_all(rated(run, rates) for run in planned.runs if run.adaptive)


def rated(run: Any, rates: Mapping[Search, float]) -> Any:
    """The run with its learning rate, if it has to be searched for."""
    return replace(run, learning_rate=rates[run.search]) if run.adaptive else run


def results(planned: Plan, store: Store) -> Results:
    """All results of a figure from the store, with the learning rates in the configurations.

    Returns
    -------
    Results

    Raises
    ------
    IncompleteError
        If one is missing.
    """
    searched = ((search, store.read(search)) for search in planned.searches)
    searches = tuple((search, rate) for search, rate in searched if rate is not None)
    rates = {search: rate.learning_rate for search, rate in searches}
    runs = [rated(run, rates) for run in planned.runs if not run.adaptive or run.search in rates]
    found = [(run, store.read(run)) for run in runs]
    items = tuple((run, result) for run, result in found if result is not None)
    if len(items) < len(planned.runs):
        raise IncompleteError(
            f"figure {planned.figure.name}: {len(planned.runs) - len(items)} of "
            f"{len(planned.runs)} runs of the {planned.scale_name} scale on "
            f"{shown(planned.dataset)} have not been computed in {shown(store.folder)}; run the "
            "command without --replot"
        )
    return Results(items, searches)
