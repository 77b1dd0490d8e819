"""Mini-batches: which samples each step sees, as weights of the samples."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ntklin._validate import as_count, as_positive


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
    rng : int or numpy.random.Generator
        The seed of the orders; a generator is asked for one.
    """

    split: float | None = None
    size: int | None = field(default=None, kw_only=True)
    shuffle: bool = True
    rng: int = 0

    def __post_init__(self):
        if self.split is not None and self.size is not None:
            raise ValueError("Batches takes split or size, not both")
        if self.size is not None:
            object.__setattr__(self, "size", as_count(self.size, name="size"))
        else:
            split = as_positive(0.2 if self.split is None else self.split, name="split")
            if split > 1:
                raise ValueError(f"split is a share of the samples, in (0, 1], got {split:g}")
            object.__setattr__(self, "split", split)
        if not isinstance(self.shuffle, bool | np.bool_):
            raise TypeError(f"shuffle must be True or False, got {self.shuffle!r}")
        seed = self.rng
        if isinstance(seed, np.random.Generator):
            seed = int(seed.integers(2**32))
        object.__setattr__(self, "rng", as_count(seed, name="rng", minimum=0))

    def batch_size(self, n_samples):
        """|B| for N samples."""
        if self.size is not None:
            if self.size > n_samples:
                raise ValueError(f"size = {self.size} exceeds the number of samples, {n_samples}")
            return self.size
        return max(1, round(self.split * n_samples))

    def at(self, step, n_samples):
        """The indices of the batch of a step.

        Parameters
        ----------
        step : int
            t = 0, 1, …
        n_samples : int
            N.

        Returns
        -------
        ndarray of int, shape (|B_t|,)
        """
        size = self.batch_size(n_samples)
        epoch, k = divmod(step, -(-n_samples // size))
        order = np.arange(n_samples)
        if self.shuffle:
            order = np.random.default_rng((self.rng, epoch)).permutation(n_samples)
        return order[k * size : (k + 1) * size]


class Schedule:
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
        How many steps were taken before; an iterable is taken to start at step 0, and its first
        ``start`` batches are passed over.
    """

    def __init__(self, batches, n_samples, start=0):
        self.n_samples = n_samples
        self.batches, self._iterator = batches, None
        self._step = start
        if batches is None:
            return
        if isinstance(batches, Batches):
            batches.batch_size(n_samples)  # refuses a size above N
            return
        if not isinstance(batches, Iterable) or isinstance(batches, str | bytes):
            raise TypeError(
                "batches must be an ntklin.Batches or an iterable of index arrays, one a step; got "
                f"{type(batches).__name__}"
            )
        self._iterator = iter(batches)
        for _ in range(start):
            next(self._iterator, None)

    @property
    def full(self):
        """Whether every step sees all samples."""
        return self.batches is None

    def take(self, steps, dtype):
        """The weights of the next steps.

        Parameters
        ----------
        steps : int
        dtype : dtype

        Returns
        -------
        ndarray, shape (steps, N), or fewer rows where an iterable ends
        """
        weights = np.zeros((steps, self.n_samples), dtype)
        if self.full:
            weights += dtype.type(1 / self.n_samples)
        taken = 0 if self._iterator is not None else steps
        for k in range(steps if not self.full else 0):
            if self._iterator is None:
                batch = self.batches.at(self._step + k, self.n_samples)
                weights[k, batch] = 1 / len(batch)
                continue
            batch = next(self._iterator, None)
            if batch is None:
                break
            batch = self._checked(batch, self._step + k)
            np.add.at(weights[k], batch, 1 / len(batch))
            taken = k + 1
        self._step += taken
        return weights[:taken]

    def _checked(self, batch, step):
        batch = np.atleast_1d(np.asarray(batch))
        if batch.ndim != 1 or len(batch) == 0 or batch.dtype.kind not in "iu":
            raise ValueError(
                f"the batch of step {step} must be a non-empty vector of integer indices, got "
                f"shape {batch.shape} of {batch.dtype}"
            )
        if int(batch.min()) < 0 or int(batch.max()) >= self.n_samples:
            raise ValueError(
                f"the batch of step {step} has an index outside 0 … {self.n_samples - 1}: "
                f"{int(batch.min()) if batch.min() < 0 else int(batch.max())}"
            )
        return batch
