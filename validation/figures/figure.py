"""What a figure is: a grid of runs, and the panels that are drawn from their results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ntklin.validation.figures.configuration import Run, Task
from ntklin.validation.figures.outcomes import CONVERGED, End, Result, Results
from ntklin.validation.figures.panel import Rows, Series
from ntklin.validation.figures.style import LABELS

# The settings of a scale; what makes a run of a configuration; the height of a curve at a run.
Scale = dict[str, Any]
Make = Callable[..., Any]
Height = Callable[[Run, Result], float | None]
Sentences = Callable[[Results], list[str]]

# Of SGD's mini-batches, where nothing else is said.
SPLIT = 0.1
SCALES = ("quick", "standard", "paper")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One of the paper's figures, or one beyond it.

    Attributes
    ----------
    name : int or str
        The paper's number, or the word by which it is asked for.
    title : str
    dataset : str
        The paper's, or the first choice; embedded.
    claim : str
        What it is said to show, by the paper where it is the paper's.
    scales : mapping
        By the names in SCALES: ``n_train`` (the most of all runs), ``n_test``, ``n_seeds``, for
        runs ``until`` and ``max_steps``, and what else its grid needs.
    grid : callable
        ``grid(scale, make)``, the runs, by ``make(n_train=…, depth=…, width=…, sigma=…,
        optimizer=…, seed=…, …)``.
    panels : callable
        ``panels(results, scale)``, rows of Panel.
    task : type
        Of its tasks: Run, or a Measurement of its own.
    notes : callable, optional
        ``notes(results)``, sentences of the caption on how its tasks went; those on training where
        there are none.
    """

    name: int | str
    title: str
    dataset: str
    claim: str
    scales: Mapping[str, Scale]
    grid: Callable[[Scale, Make], Iterator[Task]]
    panels: Callable[[Results, Scale], Rows]
    task: type[Task] = Run
    notes: Sentences | None = None


def for_both(
    numbers: tuple[int, int],
    title: str,
    *,
    scales: dict[str, Scale],
    fashion: Scale | None = None,
    **parts: Any,
) -> tuple[Figure, ...]:
    """The same figure of MNIST and of Fashion-MNIST, which takes four times as many steps.

    Parameters
    ----------
    numbers : pair of int
    title : str
    scales : mapping
        Of MNIST. Fashion-MNIST has three initializations at standard scale,
    fashion : mapping, optional
        and there these other settings.
    **parts
        The rest of Figure.

    Returns
    -------
    tuple of Figure
    """
    less = scales["standard"] | {"n_seeds": 3} | (fashion or {})
    return tuple(
        Figure(name=number, title=f"{title}, {name}", dataset=dataset, scales=own, **parts)
        for number, name, dataset, own in zip(
            numbers,
            ("MNIST", "Fashion-MNIST"),
            ("mnist01", "fashion01"),
            (scales, scales | {"standard": less}),
            strict=True,
        )
    )


# What figures share at the three scales.
SHARED = (
    {"n_train": 20, "n_test": 50, "n_seeds": 2, "until": 1e-3, "max_steps": 20_000},
    {"n_train": 100, "n_test": 100, "n_seeds": 5, "until": 1e-5, "max_steps": 200_000},
    {"n_train": 100, "n_test": 100, "n_seeds": 10, "until": 1e-5, "max_steps": 500_000},
)


def scales(**own: Scale) -> dict[str, Scale]:
    """The settings of a figure's scales: what figures share, and the figure's own at each."""
    return {name: shared | own[name] for name, shared in zip(SCALES, SHARED, strict=True)}


def taking(method: str) -> dict[str, Any]:
    """What a run of a method is made with: its optimizer and |B|/N."""
    return {"optimizer": "gd", "split": SPLIT} if method == "sgd" else {"optimizer": method}


def method_curves(results: Results, x: str, y: Height, **options: Any) -> list[Series]:
    """One curve against the attribute x for each method that there is.

    Parameters
    ----------
    results : Results
    x : str
    y : callable
        ``y(run, result)``.
    **options
        Of Series.

    Returns
    -------
    list of Series
    """
    return [
        part.series(LABELS[method], x, y, method, **options)
        for method in LABELS
        if (part := results.where(method=method)).items
    ]


def of_networks(value: Callable[[End], float | None]) -> Height:
    """A curve's y: ``value(end)`` of the trained networks that converged."""
    return lambda run, result: _of(result.network, value)


def of_linearizations(value: Callable[[End], float | None]) -> Height:
    """A curve's y: ``value(end)`` of the linearized networks that converged."""
    return lambda run, result: _of(result.linearized, value)


def of_interpolating(run: Run, result: Result) -> float | None:
    """A curve's y: the interpolating part's test loss, where the linearized network converged."""
    return _of(result.linearized, lambda end: result.interpolating_loss)


def _of(end: End, value: Callable[[End], float | None]) -> float | None:
    return value(end) if end.outcome == CONVERGED else None


def test_loss(end: End) -> float | None:
    """Its test loss."""
    return end.test_loss


def steps(end: End) -> float:
    """How many it took."""
    return end.steps
