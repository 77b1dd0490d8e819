"""Mini-batches: which samples each step sees, as weights of the samples."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array, to_numpy
from ntklin.edge.checks import as_count, as_flag, as_positive, as_step, require_bulk


@dataclass(frozen=True)
class Batches:
    """Mini-batches for stochastic training, Eq. (10): epoch after epoch, each sample once in each.

    The batch of step t is a function of t and the seed alone, so that a run can be continued
    anywhere. N need not be a multiple of the batch size: an epoch's last batch is then smaller, and
    its gradient is the mean over itself, as in PyTorch.

    Parameters
    ----------
    split : float, optional
        |B|/N, in (0, 1]; |B| is rounded, and at least 1. Either this or ``size``; 0.2 when neither
        is given.
    size : int, optional
        |B| itself; at most N.
    shuffle : bool
        A new order of the samples for each epoch, or the order of X.
    rng : int, numpy.random.Generator or None
        The seed of the orders. A generator is asked for one, and None takes one at random; the
        attribute is the seed, with which the same batches come again.

    Examples
    --------
    >>> import ntklin
    >>> batches = ntklin.Batches(0.4, shuffle=False)
    >>> [batches.at(step, n_samples=5).tolist() for step in range(4)]
    [[0, 1], [2, 3], [4], [0, 1]]
    """

    split: float | None = None
    size: int | None = field(default=None, kw_only=True)
    shuffle: bool = True
    rng: int | np.random.Generator | None = 0

    def __post_init__(self) -> None:
        if self.split is not None and self.size is not None:
            raise ValueError("Batches takes split or size, not both")
        if self.size is not None:
            object.__setattr__(self, "size", as_count(self.size, name="size"))
        else:
            split = as_positive(0.2 if self.split is None else self.split, name="split")
            if split > 1:
                raise ValueError(f"split is a share of the samples, in (0, 1], got {split:g}")
            object.__setattr__(self, "split", split)
        object.__setattr__(self, "shuffle", as_flag(self.shuffle, name="shuffle"))
        seed = self.rng
        if seed is None or isinstance(seed, np.random.Generator):
            seed = int(np.random.default_rng(seed).integers(2**32))
        object.__setattr__(self, "rng", as_count(seed, name="rng", minimum=0))

    def batch_size(self, n_samples: int) -> int:
        """|B| for N samples."""
        n_samples = as_step(n_samples, name="n_samples", minimum=1)
        if self.size is not None:
            if self.size > n_samples:
                raise ValueError(
                    f"size = {self.size} exceeds the number of samples, {n_samples}, of which "
                    "batches hold none twice"
                )
            return self.size
        return max(1, round(cast(float, self.split) * n_samples))

    def at(self, step: int, n_samples: int) -> Array:
        """The indices of the batch of step t = 0, 1, …, an ndarray of shape (|B_t|,)."""
        return next(self.from_step(step, n_samples))

    def from_step(self, step: int, n_samples: int) -> Iterator[Array]:
        """The batches of ``step`` and of all later steps, without end."""
        size, step = self.batch_size(n_samples), as_step(step, name="step")
        n_samples = int(n_samples)
        require_bulk(8 * n_samples, f"the order of {n_samples} samples", "take fewer")
        epoch, k = divmod(step, -(-n_samples // size))
        while True:
            order = self._order(epoch, n_samples)
            for start in range(k * size, n_samples, size):
                yield order[start : start + size]
            epoch, k = epoch + 1, 0

    def _order(self, epoch: int, n_samples: int) -> Array:
        if not self.shuffle:
            return np.arange(n_samples)
        seed = cast(int, self.rng)
        # A stream for each epoch, and none that the seed gives elsewhere, to ``net.init`` for one.
        stream = np.random.SeedSequence(seed, spawn_key=(epoch,))
        return np.random.default_rng(stream).permutation(n_samples)


# What ``train`` takes in the place of all samples: an iterable gives one batch a step.
BatchSource = Batches | Iterable[ArrayLike]


class SampleWeights:
    """The weights of the samples in each step's gradient, g = Σ_n weight_n ℓ'_n φ(x_n)^T.

    1/N for the full batch; 1/|B| on a batch, else 0. An index that a batch holds twice counts
    twice.

    Parameters
    ----------
    batches : Batches, iterable of index arrays, or None
        None is the full batch; an iterable gives one batch a step and ends the run when it ends.
    n_samples : int
        N.
    start : int
        How many steps were taken before. An iterable has to begin with step 0 again: its first
        ``start`` batches are passed over.
    """

    def __init__(self, batches: BatchSource | None, n_samples: int, start: int = 0) -> None:
        self.batches, self.n_samples = batches, n_samples
        self._step = start
        if batches is None:
            return
        if isinstance(batches, Batches):
            batches.batch_size(n_samples)  # refuses a size above N
            self._batches = batches.from_step(start, n_samples)
        elif isinstance(batches, Iterable) and not (
            isinstance(batches, str | bytes)
            or getattr(batches, "ndim", 1) == 0
            or hasattr(batches, "toarray")  # sparse
            or isinstance(batches, Mapping)
        ):
            self._batches = islice(batches, start, None)
        else:
            raise TypeError(
                "batches must be an ntklin.Batches or an iterable of index arrays, one a step; got "
                f"{type(batches).__name__}"
            )

    @property
    def full(self) -> bool:
        """Whether every step sees all samples."""
        return self.batches is None

    def take(self, steps: int, dtype: np.dtype[Any]) -> Array:
        """The weights of the next steps.

        Parameters
        ----------
        steps : int
        dtype : dtype

        Returns
        -------
        ndarray, shape (steps, N), or fewer rows where an iterable ends
        """
        if self.full:
            return np.full((steps, self.n_samples), 1 / self.n_samples, dtype)
        weights = np.zeros((steps, self.n_samples), dtype)
        taken = 0
        for batch in islice(self._batches, steps):
            batch = self._checked(batch)
            np.add.at(weights[taken], batch, 1 / len(batch))
            taken += 1
            self._step += 1
        return weights[:taken]

    def _checked(self, batch: Any) -> Array:
        last, what = self.n_samples - 1, f"the batch of step {self._step}"
        if _holds_samples(batch):
            raise TypeError(
                f"{what} holds {len(batch)} arrays, as a pair (X, Y) does: batches are given by "
                "the places of their samples in X, not by the samples; pass vectors of indices, or "
                "ntklin.Batches(size=...)"
            )
        batch = to_numpy(batch, what)
        if batch.dtype.kind == "O" and batch.ndim:
            batch = as_array(batch, what)
        if batch.ndim != 1 or len(batch) == 0 or batch.dtype.kind not in "iu":
            hint = ""
            if batch.dtype.kind == "b":
                hint = "; pass numpy.flatnonzero(mask) for a mask"
            elif batch.ndim == 0 and batch.dtype.kind in "iu":
                hint = "; a single batch is [[0, 1, …]], a list of one"
            raise ValueError(
                f"{what} must be a non-empty vector of integer indices, got shape {batch.shape} of "
                f"{batch.dtype}{hint}"
            )
        outside = batch[(batch < 0) | (batch > last)]
        if len(outside):
            raise ValueError(f"{what} has the index {outside[0]}, outside 0 … {last}")
        return batch.astype(np.intp, copy=False)


def _holds_samples(batch: Any) -> bool:
    """Whether a batch is (X, Y) or the like, as loaders of data give it, and no vector."""
    if not isinstance(batch, list | tuple) or len(batch) < 2:
        return False
    return any(isinstance(a, list | tuple) or len(getattr(a, "shape", ())) for a in batch)
