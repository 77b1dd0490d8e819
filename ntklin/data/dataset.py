"""What `load_data` returns."""

from dataclasses import dataclass

from ntklin.edge.arrays import Array


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test rows of unit length with two-valued targets.

    Attributes
    ----------
    name : str
        The name or file that was asked for.
    X_train, X_test : ndarray, shape (n_train, d) and (n_test, d)
        One sample a row, ‖x‖ = 1.
    Y_train, Y_test : ndarray, shape (n_train,) and (n_test,)
        0 and 1, or −1 and +1.
    provenance : str
        Where the samples come from and under which license, in one line.
    image_shape : tuple of int or None
        The shape that ``X_train[i].reshape(image_shape)`` is an image in; None for plain features.
    """

    name: str
    X_train: Array
    Y_train: Array
    X_test: Array
    Y_test: Array
    provenance: str
    image_shape: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {len(self.X_train)} training and {len(self.X_test)} test "
            f"samples of dimension {self.X_train.shape[1]})"
        )
