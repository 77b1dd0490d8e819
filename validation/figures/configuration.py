"""What a run is: a frozen configuration, from which everything in it follows."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

import ntklin
from ntklin.edge.files.names import shown
from ntklin.validation.arrays import Array

# Of what execution.py computes: raised where a change makes stored results obsolete.
VERSION = 1

OPTIMIZERS = {
    "gd": ntklin.GradientDescent,
    "adagrad": ntklin.AdaGrad,
    "rmsprop": ntklin.RMSprop,
    "adam": ntklin.Adam,
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network with trained biases that start at 0, and its data.

    Attributes
    ----------
    dataset : str
        A name or a path that ``ntklin.load_data`` knows: where the data are found.
    digest : str
        Of the data: a result belongs to these numbers, whatever their name.
    n_pool, n_train, n_test : int
        ``n_pool`` training points are drawn, of which the first ``n_train`` are used, so that the
        sets of different sizes are nested and have the same test points.
    depth, width : int
    sigma : float
    seed : int
        Of θ_0 and of the order of the mini-batches.
    """

    dataset: str
    digest: str
    n_pool: int
    n_train: int
    n_test: int
    depth: int
    width: int
    sigma: float
    seed: int

    @property
    def key(self) -> str:
        """A hash of the configuration, of the data but not their place, and of VERSION."""
        values = asdict(self)
        del values["dataset"]
        text = json.dumps([type(self).__name__, VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def alike(self) -> Task:
        """What is equal for tasks that can be computed at once: itself alone."""
        return self

    @property
    def adaptive(self) -> bool:
        """Whether there is a learning rate that has to be searched for."""
        return False

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """X, Y, X_T, Y_T."""
        source = self.dataset, self.n_pool, self.n_test
        data = load(*source)
        if digest(*source) != self.digest:
            raise ValueError(
                f"{shown(self.dataset)}: these are not the data that the figure was begun with; "
                "use another output folder for them"
            )
        return data.X_train[: self.n_train], data.Y_train[: self.n_train], data.X_test, data.Y_test

    @property
    def network(self) -> tuple[ntklin.MLP, Array]:
        """The MLP and θ_0."""
        d = load(self.dataset, self.n_pool, self.n_test).X_train.shape[1]
        net = ntklin.MLP((d, *(self.width,) * (self.depth - 1), 1), sigma=self.sigma)
        return net, net.init(rng=self.seed)


class Record(Protocol):
    """What a task leaves: a frozen dataclass of numbers, strings and tuples of them."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measurement(Task, ABC):
    """A task of one figure alone, which itself says what it computes.

    Attributes
    ----------
    leaves : type
        Of its record.
    """

    leaves: ClassVar[type]

    @abstractmethod
    def measured(self, device: str) -> Record:
        """Its record, computed; on the CPU where nothing of it is for a GPU."""

    @abstractmethod
    def estimated_seconds(self, device: str) -> float:
        """About how long it will take."""

    def record(self, values: dict[str, Any]) -> Record:
        """The record that these values from JSON are of."""
        return self.leaves(**{name: _in_tuples(value) for name, value in values.items()})


def _in_tuples(value: Any) -> Any:
    return tuple(map(_in_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True, kw_only=True)
class Training(Task):
    """Training of that network up to a loss.

    Attributes
    ----------
    loss : {"squared", "logistic"}
    optimizer : str
        A key of OPTIMIZERS.
    until : float
        Training ends when the loss first drops below it,
    max_steps : int
        or after so many steps.
    """

    loss: Literal["squared", "logistic"]
    optimizer: str
    until: float
    max_steps: int


@dataclass(frozen=True, kw_only=True)
class Search(Training):
    """A search for the largest learning rate whose training loss only falls, on all samples."""


@dataclass(frozen=True, kw_only=True)
class Run(Training):
    """Training of the network and of its linearization, by the same steps.

    Attributes
    ----------
    learning_rate : float or None
        None where it follows from θ_0, as for gradient descent, or is still to be searched for.
    split : float
        |B|/N.
    shuffle : bool
        Whether each epoch of mini-batches has a new order.
    """

    learning_rate: float | None = None
    split: float = 1.0
    shuffle: bool = True

    @property
    def method(self) -> str:
        """The optimizer's name; sgd for gradient descent on mini-batches."""
        return "sgd" if self.optimizer == "gd" and self.split < 1 else self.optimizer

    @property
    def adaptive(self) -> bool:
        """Whether D_t changes in training, so that the learning rate has to be searched for."""
        return self.optimizer != "gd"

    @property
    def alike(self) -> Task:
        """What is equal for runs that differ in nothing but their seeds and learning rates."""
        return replace(self, seed=0, learning_rate=None)

    @property
    def search(self) -> Search:
        """The search for its learning rate: on all samples, from the first initialization.

        It is that of the squared loss, whatever is trained on: where a single step of any length
        classifies the samples, the logistic loss has no largest rate that keeps it monotone.
        """
        values = asdict(self)
        for name in ("learning_rate", "split", "shuffle"):
            del values[name]
        return Search(**values | {"seed": 0, "loss": "squared"})

    @property
    def batches(self) -> ntklin.Batches | None:
        """What each step sees; None for all samples."""
        if self.split == 1:
            return None
        return ntklin.Batches(self.split, shuffle=self.shuffle, rng=self.seed)


@lru_cache(maxsize=2)
def load(dataset: str, n_pool: int, n_test: int) -> ntklin.Dataset:
    """The data of a problem."""
    return ntklin.load_data(dataset, n_pool, n_test)


@lru_cache(maxsize=2)
def digest(dataset: str, n_pool: int, n_test: int) -> str:
    """A hash of all their numbers."""
    data, h = load(dataset, n_pool, n_test), hashlib.sha256()
    for array in (data.X_train, data.Y_train, data.X_test, data.Y_test):
        h.update(np.ascontiguousarray(array).data)
    return h.hexdigest()[:16]
