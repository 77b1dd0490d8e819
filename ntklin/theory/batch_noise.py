"""What a random batch does to second moments: one step's map, its spectrum, where it is stable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ntklin.algebra.lanczos import largest_eigenvalue
from ntklin.edge.arrays import Array

# Columns that are worked on at once: they stay in the cache between two products.
_PANEL = 256

# Where Lanczos' recursion may end, relative to its eigenvalue, and how many matrices it keeps.
_TOLERANCE = 1e-9
_KEPT = 24

Place = tuple[slice, slice]


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchNoise:
    r"""Steps on batches of b of N samples, uniform without replacement and independent.

    In the eigenbasis V of K, with y_i = ηλ_i/N and κ = (N − b)/(b(N − 1)), the coefficients c_t of
    θ_t = θ_0 + φ(X)^T c_t have a covariance (η/N)² H_t, and the residual R_t = E r_t r_t^T the
    mean's part P_t = E r_t E r_t^T and another, K Cov(c_t) K:

    .. math::

        R &= P + y \circ H \circ y^T \\
        H' &= M \circ H + \kappa (N V^T \operatorname{diag}(V R V^T) V - P) \\
        M_{ij} &= (1 - y_i)(1 - y_j) - \kappa y_i y_j

    Of a kernel with C rows a sample, diag keeps the sample's C×C block. Matrices are symmetric and
    given by their upper triangle, in panels of columns; what stands below is not read.

    Attributes
    ----------
    vectors : ndarray, shape (M, M)
        V.
    steps : ndarray, shape (M,)
        y.
    n_samples, batch_size : int
    """

    vectors: Array
    steps: Array
    n_samples: int
    batch_size: int

    @property
    def share(self) -> float:
        """κ: 1 for single samples, 0 for the full batch."""
        n, b = self.n_samples, self.batch_size
        return (n - b) / (b * (n - 1)) if n > 1 else 0.0

    @property
    def places(self) -> list[Place]:
        """Rows and columns of the panels that hold an upper triangle."""
        m = len(self.steps)
        return [
            (slice(0, min(i + _PANEL, m)), slice(i, min(i + _PANEL, m)))
            for i in range(0, m, _PANEL)
        ]

    def images(self, P: Array, H: Array) -> Iterator[tuple[Place, Array, Array]]:
        """P' and H' for P and H, panel by panel; the caller may change a panel that it has seen.

        Parameters
        ----------
        P, H : ndarray, shape (M, M)

        Yields
        ------
        place : tuple of two slices
        mean : ndarray
            (1 − y_i)(1 − y_j) P_ij there.
        noise : ndarray
            H' there.
        """
        y, kappa = self.steps, self.share
        blocks = self._blocks(P, H, y)
        for place, spread in self._spread(blocks):
            rows, columns = place
            left = np.multiply.outer(1 - y[rows], 1 - y[columns])
            spread *= self.n_samples
            spread -= P[place]
            spread *= kappa
            spread += (left - kappa * np.multiply.outer(y[rows], y[columns])) * H[place]
            left *= P[place]
            yield place, left, spread

    def trace(self, H: Array) -> float:
        """tr K Cov(c) K = Σ_i y_i² H_ii, what the batches add to N times twice the loss."""
        return float(self.steps**2 @ H.diagonal())

    def _blocks(self, P: Array | None, H: Array, y: Array) -> Array:
        """The samples' blocks of V (P + y H y^T) V^T, (N, C, C)."""
        V, n = self.vectors, self.n_samples
        m = len(V)
        blocks = np.zeros((n, m // n, m // n))
        for rows, columns in self.places:
            panel = np.multiply.outer(y[rows], y[columns])
            panel *= H[rows, columns]
            if P is not None:
                panel += P[rows, columns]
            # The upper triangle twice and the diagonal once: the same symmetric part.
            panel[: columns.start] *= 2
            square = panel[columns.start :]
            square[:] = 2 * np.triu(square) - np.diag(square.diagonal())
            left = (V[:, rows] @ panel).reshape(n, m // n, -1)
            right = V[:, columns].reshape(n, m // n, -1)
            if m == n:
                blocks[:, 0, 0] += np.einsum("nci,nci->n", left, right)
            else:
                blocks += left @ right.transpose(0, 2, 1)
        return (blocks + blocks.transpose(0, 2, 1)) / 2

    def _spread(self, blocks: Array) -> Iterator[tuple[Place, Array]]:
        """V^T diag(blocks) V, panel by panel."""
        V, n = self.vectors, self.n_samples
        for rows, columns in self.places:
            right = V[:, columns].reshape(n, -1, columns.stop - columns.start)
            right = blocks * right if len(V) == n else blocks @ right
            yield (rows, columns), V[:, rows].T @ right.reshape(len(V), -1)

    @cached_property
    def curvature(self) -> float:
        """μ, the mean square is stable for learning rates below 1/μ times this one's, from above.

        With Q(H) = y H + H y and E(H) what H' has in second order of η, one step is 1 − Q + E. Both
        are symmetric and positive in the coordinates √y_i √y_j H_ij, and the map takes positive
        semidefinite matrices to such, so that its largest eigenvalue is its spectral radius: it
        contracts on the range of K if E < Q, and with η times as large if η E < Q. So μ is the
        largest eigenvalue of Q^{-1/2} E Q^{-1/2}, a symmetric operator on symmetric matrices:

            X ↦ (1 − κ) w² ∘ X + κ N w ∘ V^T diag(V (w ∘ X) V^T) V,    w² = y y^T/(y + y^T)
        """
        m, top = len(self.steps), float(self.steps.max())
        if top == 0:
            return 0.0
        y = self.steps / top  # no product of two of them leaves the range
        upper = np.triu(np.ones((m, m), dtype=bool))
        with np.errstate(divide="ignore", invalid="ignore"):
            w = np.sqrt(np.multiply.outer(y, y) / np.add.outer(y, y))
        w[~(w > 0)] = 0.0
        ones, own = np.ones(m), 1 - self.share
        scales = np.where(np.eye(m, dtype=bool), 1.0, np.sqrt(0.5))[upper]

        def product(v: Array) -> Array:
            X, image = np.zeros((m, m)), np.zeros((m, m))
            X[upper] = v * scales
            X *= w
            for place, spread in self._spread(self._blocks(None, X, ones)):
                image[place] = self.share * self.n_samples * spread + own * X[place]
            image *= w
            return image[upper] / scales

        return top * largest_eigenvalue(product, len(scales), _TOLERANCE, _KEPT)

    @property
    def interval(self) -> tuple[float, float]:
        """What holds all eigenvalues of one step's map, P' ← P included.

        M has the smallest one, as the rest is positive; not above 1 where the map is stable, and
        else by E ≤ μ Q at most 1 + 2 y_max (μ − 1). No eigenvalue is below minus the largest.
        """
        y, excess = self.steps, self.curvature - 1
        top, bottom = float(y.max()), float(y.min())
        high = 1 + 2 * top * max(0.0, excess)
        corners = [(top, top), (top, bottom), (bottom, bottom)]
        low = min((1 - a) * (1 - b) - self.share * a * b for a, b in corners)
        # An operator of one eigenvalue has an interval, too.
        return min(max(low, -high), high - 1e-3), high
