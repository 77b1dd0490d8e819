"""What may be done with a solution while it comes about: kept, and gone on with."""

from __future__ import annotations

from ntklin.edge.arrays import Array


class Course:
    """The course of one solution; this one keeps nothing, and others inherit from it.

    What a solver finishes is offered here as soon as it is final, and asked for before it is
    computed. Another run of the same problem that is given the same panels comes to the same bits.
    """

    def least_shift(self) -> float:
        """The shift that ``raised`` was last told by an earlier run; 0 where there is none.

        Smaller ones broke down there, and would again.

        Returns
        -------
        float
        """
        return 0.0

    def raised(self, shift: float) -> None:
        """The shift of the diagonal is raised to this one, and panels begin anew."""

    def load(self, j: int, panel: Array, shift: float) -> bool:
        """Put panel j of the factor in its place.

        Parameters
        ----------
        j : int
        panel : ndarray
            To be overwritten, whole.
        shift : float
            What was added to the diagonal of what is factorized.

        Returns
        -------
        bool
            Whether it is there.
        """
        return False

    def filled(self, j: int) -> None:
        """Panel j holds the matrix, and is about to be factorized."""

    def save(self, j: int, panel: Array, shift: float) -> None:
        """Panel j is final, and not to be changed."""

    def begin(self) -> Array | None:
        """Where conjugate gradients are to begin: an iterate that ``iterated`` was given.

        Returns
        -------
        ndarray or None
        """
        return None

    def iterated(self, iteration: int, residual: float, iterate: Array) -> None:
        """Conjugate gradients are at this iterate, which is not to be changed."""
