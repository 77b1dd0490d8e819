"""At which steps a run keeps something, and what."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ntklin.edge.arrays import rows_of
from ntklin.edge.checks import as_count, as_list, require_memory
from ntklin.runs.engine import Engine


class RecordedSteps:
    """At which steps something is recorded; ``t in steps`` tells.

    Parameters
    ----------
    when : None, int or iterable of int
        Never; every so many steps, 0 included; or at these steps.
    name : str
        The argument's name in messages.

    Attributes
    ----------
    every : int or None
    listed : tuple of int
        The steps that were listed, in order.
    """

    def __init__(self, when: int | Iterable[int] | None, name: str = "record") -> None:
        self.every: int | None = None
        self.listed: tuple[int, ...] = ()
        if when is None:
            return
        given = rows_of(when, name)
        several = isinstance(given, Iterable) and not isinstance(given, str | bytes)
        if several and getattr(given, "ndim", 1):
            given = as_list(given, name=name)
            steps = {as_count(t, name=f"{name}[{i}]", minimum=0) for i, t in enumerate(given)}
            self.listed = tuple(sorted(steps))
        else:
            self.every = as_count(given, name=name)

    @property
    def is_some(self) -> bool:
        """Whether anything is recorded at all, now or later."""
        return self.every is not None or bool(self.listed)

    def __contains__(self, step: int) -> bool:
        return self.until_next(step - 1) == 1

    def count(self, last: int) -> int:
        """How many of the steps 0 … ``last`` are recorded."""
        return last // self.every + 1 if self.every else bisect_right(self.listed, last)

    def until_next(self, step: int) -> int | None:
        """How many steps after ``step`` the next record is due; None when there is none."""
        if self.every:
            return self.every - step % self.every
        following = bisect_right(self.listed, step)
        return self.listed[following] - step if following < len(self.listed) else None

    def last(self, end: int | None) -> int | None:
        """The last step to record of a run that ends after ``end`` steps; None where unknown."""
        ends = [t for t in (end, max(self.listed, default=None)) if t is not None]
        return min(ends, default=None)


class Moment:
    """A run at one of its steps; what records ask the engine for is computed once.

    Parameters
    ----------
    engine : Engine
        At this step; further attributes are the results of its methods without arguments, as
        ``parameters``, ``displacement`` or ``optimizer_state``.
    step : int
    """

    def __init__(self, engine: Engine, step: int) -> None:
        self.step = step
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = self.__dict__[name] = getattr(self._engine, name)()
        return value


class Record(ABC):
    """Something that is kept of a run at each recorded step."""

    #: Under which the values are found.
    name: ClassVar[str]

    @abstractmethod
    def take(self, moment: Moment) -> Any:
        """The value at a step, for the record to keep."""

    @abstractmethod
    def nbytes(self) -> int:
        """How many bytes a value takes."""


class Recorder:
    """Keeps several records of a run at the same steps.

    Parameters
    ----------
    when : RecordedSteps
    records : sequence of Record
    what : str
        What ``count`` of them are in a message, as "the parameters of {count} step{s}".
    advice : str
        What takes less memory.
    beside : ndarray, optional
        An array of the memory that the records go to.

    Attributes
    ----------
    steps : list of int
        That were recorded.
    values : dict of str to list
        By the record's name, one value for each of ``steps``.
    """

    def __init__(
        self,
        when: RecordedSteps,
        records: Sequence[Record],
        *,
        what: str,
        advice: str,
        beside: Any = None,
    ) -> None:
        self._when, self._records = when, tuple(records)
        self._what, self._advice, self._beside = what, advice, beside
        self.steps: list[int] = []
        self.values: dict[str, list[Any]] = {record.name: [] for record in records}

    def resume(self, steps: Iterable[int], values: Mapping[str, Iterable[Any]]) -> None:
        """Go on after records that were made before."""
        self.steps = list(steps)
        self.values = {name: list(kept) for name, kept in values.items()}

    def until_next(self, step: int) -> int | None:
        """How many steps after ``step`` the run has to pause for a record; None for never."""
        return self._when.until_next(step)

    def begin(self, step: int, end: int | None, engine: Engine) -> None:
        """Refuse what will not fit, and record the first step if it is one to record.

        Parameters
        ----------
        step, end : int
            The first and the last step; ``end`` is None where it is not known.
        engine : Engine
            At the first step.
        """
        due = step in self._when and step not in self.steps
        self.require(self.to_come(step, end) + due)
        if due:
            self.take(step, engine)

    def to_come(self, step: int, end: int | None) -> int:
        """How many records are to come after ``step``, as far as is known."""
        last = self._when.last(end)
        return 0 if last is None else max(0, self._when.count(last) - self._when.count(step))

    def after(self, step: int, engine: Engine) -> None:
        """Record a step if it is one to record.

        Raises
        ------
        MemoryLimitError
            If it does not fit; nothing of the step is recorded then.
        """
        if step in self._when:
            self.take(step, engine)

    def take(self, step: int, engine: Engine) -> None:
        """Record a step, whether or not it is one to record."""
        self.require(1)
        moment = Moment(engine, step)
        taken = [(record.name, record.take(moment)) for record in self._records]
        self.steps.append(step)
        for name, value in taken:
            self.values[name].append(value)

    def require(self, count: int) -> None:
        """Refuse so many records where they do not fit."""
        if count:
            size = sum(record.nbytes() for record in self._records)
            what = self._what.format(count=count, s="s" * (count > 1))
            require_memory(count * size, what, self._advice, beside=self._beside)
