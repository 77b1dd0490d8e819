"""Images by the thousand from a few: elastic deformations and shifts of stored ones.

Sample i is a function of (seed, i) and of the stored images alone: its random numbers are Philox's
own, a counter that begins at i. So any block of samples can be made by itself, on any machine and
by any number of threads, and N samples are the first N of more.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ntklin.edge.arrays import Array

# For an image of 28 × 28 pixels, of which other images take their share. The field is what Simard,
# Steinkraus and Platt (2003) take for MNIST: uniform noise, smoothed by a Gaussian of standard
# deviation SMOOTH and multiplied by STRENGTH, which moves a pixel by 1.4 (standard deviation).
SMOOTH, STRENGTH = 4.0, 34.0
# Pixels, either way, uniformly.
SHIFT = 2.0
SIDE = 28
# Below, a Philox counter of 256 bits has its words for the random numbers of one sample.
TRAIN, TEST = 0, 1


@dataclass(frozen=True, eq=False)
class Deformed:
    """Samples that are made when they are asked for.

    Attributes
    ----------
    images : ndarray, shape (n_images, height, width)
        Those that samples are deformations of.
    image_labels : ndarray, shape (n_images,)
    n : int
        How many samples there are.
    seed : int
        Of at most 128 bits.
    stream : int
        ``TRAIN`` or ``TEST``.
    where : str
        What they are called.
    """

    images: Array
    image_labels: Array
    n: int
    seed: int
    stream: int
    where: str

    def __len__(self) -> int:
        return self.n

    @cached_property
    def labels(self) -> Array:
        """Those of the images that the samples are made of, shape (n,)."""
        origins = [self._origin(self._numbers(i, 1)) for i in range(self.n)]
        return self.image_labels[origins]

    def samples(self, start: int, stop: int) -> Array:
        """Samples ``start`` … ``stop`` − 1, float64, in the range of the images' greys.

        Returns
        -------
        ndarray, shape (stop − start, height, width)
        """
        shape = self.images.shape[1:]
        from scipy.ndimage import map_coordinates  # which in SciPy 1.13 loads scipy.linalg

        numbers = np.stack(
            [self._numbers(i, 3 + 2 * shape[0] * shape[1]) for i in range(start, stop)]
        )
        moves = 2 * numbers[:, 1:] - 1
        shifts, noise = moves[:, :2, None, None], moves[:, 2:].reshape(-1, 2, *shape)
        down, across = self._smoothing
        field = STRENGTH * self._share * (down @ noise @ across)
        places = np.indices(shape) + self._share * (SHIFT * shifts + field)
        made = np.empty((stop - start, *shape))
        for k, first in enumerate(numbers[:, :1]):
            image = self.images[self._origin(first)].astype(np.float64)
            # Linear between pixels, so that greys stay in their range, and 0 outside.
            map_coordinates(image, places[k], made[k], order=1, mode="grid-constant")
        return made

    def place(self, i: int) -> str:
        """What sample i is called in messages."""
        return f"sample {i} of {self.where}"

    def _numbers(self, i: int, n: int) -> Array:
        """The first ``n`` random numbers of sample i, uniform in [0, 1)."""
        # Philox's stream is the same in every version of NumPy, which its distributions are not.
        drawn = np.random.Philox(key=self.seed, counter=[0, 0, i, self.stream]).random_raw(n)
        return (drawn >> np.uint64(11)) * 2.0**-53

    def _origin(self, numbers: Array) -> int:
        """Which image a sample is a deformation of."""
        return int(numbers[0] * len(self.images))

    @property
    def _share(self) -> float:
        """The size of these images, in units of those that the constants are for."""
        return min(self.images.shape[1:]) / SIDE

    @cached_property
    def _smoothing(self) -> tuple[Array, Array]:
        """The Gaussian as a matrix from the left for rows, and one from the right for columns."""
        height, width = self.images.shape[1:]
        return self._gaussian(height), self._gaussian(width).T

    def _gaussian(self, n: int) -> Array:
        from scipy.ndimage import gaussian_filter1d

        return gaussian_filter1d(np.eye(n), self._share * SMOOTH, axis=0, mode="constant")
