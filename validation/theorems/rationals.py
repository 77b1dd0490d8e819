"""Exact arithmetic: matrices of rational numbers, and ReLU networks in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Self, TypeVar

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Check, Measurement, Setting, Strength

Matrices = fmpq_mat | Sequence[fmpq_mat]
Drawn = TypeVar("Drawn")


def rows(*lists: Sequence[fmpq | int]) -> fmpq_mat:
    """A matrix from its rows."""
    return fmpq_mat(len(lists), len(lists[0]), [fmpq(x) for row in lists for x in row])


def column(values: Iterable[fmpq | int]) -> fmpq_mat:
    """A matrix of one column."""
    return rows(*([x] for x in values))


def identity(n: int) -> fmpq_mat:
    """The n×n identity."""
    return diagonal([1] * n)


def diagonal(values: Sequence[fmpq | int]) -> fmpq_mat:
    """The diagonal matrix of these values."""
    n = len(values)
    return rows(*([values[i] if i == j else 0 for j in range(n)] for i in range(n)))


def zeros(n: int, m: int) -> fmpq_mat:
    """A matrix of zeros."""
    return fmpq_mat(n, m)


def stacked(*blocks: Sequence[fmpq_mat]) -> fmpq_mat:
    """A block matrix from rows of blocks."""
    lists = []
    for blocks_of_row in blocks:
        tables = [b.tolist() for b in blocks_of_row]
        lists += [list(chain.from_iterable(parts)) for parts in zip(*tables, strict=True)]
    return rows(*lists)


def selected(A: fmpq_mat, indices: Iterable[int]) -> fmpq_mat:
    """The rows of A with these indices."""
    table = A.tolist()
    return rows(*(table[i] for i in indices))


def norm_squared(v: fmpq_mat) -> fmpq:
    """Σ v_i² over all entries."""
    return sum((x * x for x in v.entries()), fmpq(0))


def trace(A: fmpq_mat) -> fmpq:
    """Σ A_ii."""
    return sum((A[i, i] for i in range(A.nrows())), fmpq(0))


def size(A: fmpq_mat) -> float:
    """The largest |entry|, a float."""
    return max((abs(int(x.p) / int(x.q)) for x in A.entries()), default=0.0)


def fraction(rng: Generator, largest: int = 4, positive: bool = False) -> fmpq:
    """A random p/q with |p| ≤ ``largest`` and 1 ≤ q ≤ 3."""
    p = int(rng.integers(1 if positive else -largest, largest + 1))
    return fmpq(p, int(rng.integers(1, 4)))


def random_matrix(rng: Generator, n: int, m: int) -> fmpq_mat:
    """Random fractions."""
    return rows(*([fraction(rng) for _ in range(m)] for _ in range(n)))


def random_features(rng: Generator, n: int, p: int) -> fmpq_mat:
    """A random n×p matrix of full rank."""
    while True:
        phi = random_matrix(rng, n, p)
        if phi.rank() == min(n, p):
            return phi


@dataclass(frozen=True, eq=False)
class Regression:
    """A linear model f(x) = f_0(x) + φ(x)(θ − θ_0) on N inputs, with M new ones.

    Attributes
    ----------
    phi, phi_new : fmpq_mat, shapes (N, P) and (M, P)
    f0, f0_new, Y : fmpq_mat, shapes (N, 1), (M, 1) and (N, 1)
    theta0 : fmpq_mat, shape (P, 1)
    rate : fmpq
        η.
    """

    phi: fmpq_mat
    phi_new: fmpq_mat
    f0: fmpq_mat
    f0_new: fmpq_mat
    Y: fmpq_mat
    theta0: fmpq_mat
    rate: fmpq

    @classmethod
    def random(cls, rng: Generator, n: int = 3, p: int = 6, m: int = 2) -> Self:
        """Random fractions, with φ(X) of full rank."""
        phi, phi_new = random_features(rng, n, p), random_matrix(rng, m, p)
        f0, f0_new, Y, theta0 = (random_matrix(rng, k, 1) for k in (n, m, n, p))
        return cls(phi, phi_new, f0, f0_new, Y, theta0, fraction(rng, positive=True))

    @property
    def n(self) -> int:
        """N."""
        return self.phi.nrows()

    @property
    def n_parameters(self) -> int:
        """P."""
        return self.phi.ncols()

    @cached_property
    def kernel(self) -> fmpq_mat:
        """K = φ(X) φ(X)^T."""
        return self.phi * self.phi.transpose()

    @property
    def residual(self) -> fmpq_mat:
        """Y − f_0(X)."""
        return self.Y - self.f0

    def gradient(self, theta: fmpq_mat, batch: Sequence[int] | None = None) -> fmpq_mat:
        """∇L at θ: on all samples, or L_B = ‖·‖²/(2|B|) on those of a batch."""
        batch = range(self.n) if batch is None else batch
        phi = selected(self.phi, batch)
        error = phi * (theta - self.theta0) - selected(self.residual, batch)
        return phi.transpose() * error * fmpq(1, len(batch))

    def descend(
        self,
        steps: int,
        preconditioner: Sequence[fmpq_mat] | None = None,
        batches: Sequence[Sequence[int]] | None = None,
    ) -> list[fmpq_mat]:
        """θ_0, …, θ_steps by the steps θ ← θ − η D_t ∇L_{B_t}(θ) themselves."""
        path = [self.theta0]
        for t in range(steps):
            g = self.gradient(path[-1], None if batches is None else batches[t])
            step = g if preconditioner is None else preconditioner[t] * g
            path.append(path[-1] - self.rate * step)
        return path

    def limit(self, D: fmpq_mat | None = None) -> fmpq_mat:
        """Eq. (9) with f_0 at the new inputs, f_0 + φ(x) D φ(X)^T K_D^{-1} (Y − f_0(X)).

        Parameters
        ----------
        D : fmpq_mat, optional
            The identity when not given.

        Returns
        -------
        fmpq_mat, shape (M, 1)
        """
        pull = self.phi.transpose() if D is None else D * self.phi.transpose()
        return self.f0_new + self.phi_new * (pull * (self.phi * pull).inv() * self.residual)

    def predict(self, theta: fmpq_mat) -> fmpq_mat:
        """f at the new inputs."""
        return self.f0_new + self.phi_new * (theta - self.theta0)


def power(A: fmpq_mat, t: int) -> fmpq_mat:
    """A^t."""
    out = identity(A.nrows())
    for _ in range(t):
        out = A * out
    return out


def product(factors: Iterable[fmpq_mat], n: int) -> fmpq_mat:
    """The later factors to the left: F_{k−1} … F_1 F_0; the n×n identity for none."""
    out = identity(n)
    for factor in factors:
        out = factor * out
    return out


# ReLU networks


@dataclass(frozen=True, eq=False)
class RationalNetwork:
    """Eq. (1) with rational numbers: h^l = w_l W^l a^{l−1} + v_l b^l.

    Attributes
    ----------
    layers : tuple of (W, b)
        fmpq_mat of shapes (m_l, m_{l−1}) and (m_l, 1).
    w, v : tuples of fmpq
        The scales of the layers' weights and biases.
    """

    layers: tuple[tuple[fmpq_mat, fmpq_mat], ...]
    w: tuple[fmpq, ...]
    v: tuple[fmpq, ...]

    @classmethod
    def random(
        cls, rng: Generator, widths: Sequence[int], sigma: fmpq | int = 1, biases: bool = True
    ) -> Self:
        """Random parameters, no entry of which is zero, and w_l = v_l = σ/√m_l.

        The widths are squares, so that the scales are rational.

        Returns
        -------
        RationalNetwork
        """

        def entry() -> fmpq:
            return fraction(rng, positive=True) * int(rng.choice([-1, 1]))

        layers = []
        for below, m in pairwise(widths):
            W = rows(*([entry() for _ in range(below)] for _ in range(m)))
            layers.append((W, column([entry() if biases else 0 for _ in range(m)])))
        return cls(tuple(layers), *(scales(widths, sigma),) * 2)

    @property
    def depth(self) -> int:
        """L."""
        return len(self.layers)

    def scaled(self, factor: fmpq | int) -> RationalNetwork:
        """The same parameters at ``factor`` times σ."""
        return RationalNetwork(
            self.layers, *(tuple(factor * s for s in scale) for scale in (self.w, self.v))
        )

    def output(self, x: fmpq_mat) -> fmpq:
        """f(x)."""
        return self._forward(x)[1][-1][0, 0]

    def _forward(self, x: fmpq_mat) -> tuple[list[fmpq_mat], list[fmpq_mat]]:
        """a^0 … a^{L−1} and h^1 … h^L."""
        a, h = [x], []
        for (W, b), w, v in zip(self.layers, self.w, self.v, strict=True):
            h.append(w * (W * a[-1]) + v * b)
            a.append(column([max(z, fmpq(0)) for z in h[-1].entries()]))
        return a[:-1], h

    def gradient(self, x: fmpq_mat) -> list[tuple[fmpq_mat, fmpq_mat]]:
        """[(∂f/∂W^l, ∂f/∂b^l)] by the backward pass."""
        a, h = self._forward(x)
        delta, found = column([1]), []
        for l in reversed(range(self.depth)):
            found.append((self.w[l] * (delta * a[l].transpose()), self.v[l] * delta))
            if l:
                pulled = self.w[l] * (self.layers[l][0].transpose() * delta)
                pairs = zip(pulled.entries(), h[l - 1].entries(), strict=True)
                delta = column([d if z > 0 else 0 for d, z in pairs])
        return found[::-1]


def scales(widths: Sequence[int], sigma: fmpq | int) -> tuple[fmpq, ...]:
    """σ/√m_l of all layers; the widths are squares."""
    return tuple(fmpq(sigma) / round(m**0.5) for m in widths[1:])


def inner(A: fmpq_mat, B: fmpq_mat) -> fmpq:
    """⟨A, B⟩ = Σ A_ij B_ij."""
    return sum((x * y for x, y in zip(A.entries(), B.entries(), strict=True)), fmpq(0))


def flat(layers: Iterable[tuple[fmpq_mat, fmpq_mat]]) -> list[fmpq]:
    """[(W, b)] as one list, layer by layer."""
    return [x for W, b in layers for part in (W, b) for x in part.entries()]


# Checks


def equality(
    name: str,
    hypothesis: str,
    draw: Callable[[Generator], Drawn],
    truth: Callable[[Drawn], Matrices],
    formula: Callable[[Drawn], Matrices],
    wrong: Callable[[Drawn], Matrices],
    control: str,
    *,
    n_draws: int = 20,
) -> Check:
    """A check that a formula's matrices equal the true ones, to the last digit, in every draw.

    Parameters
    ----------
    name, hypothesis, control : str
    draw : callable
        ``draw(rng)``, a random problem.
    truth, formula, wrong : callable
        ``truth(problem)``, a fmpq_mat or a sequence of them.
    n_draws : int
        A quarter of them in a quick run.

    Returns
    -------
    Check
    """

    def measure(
        formula: Callable[[Drawn], Matrices], rng: Generator, setting: Setting
    ) -> Measurement:
        count = max(1, n_draws // 4) if setting.quick else n_draws
        n_equal, largest = 0, 0.0
        for _ in range(count):
            problem = draw(rng)
            found, true = _matrices(formula(problem)), _matrices(truth(problem))
            pairs = list(zip(found, true, strict=True))
            n_equal += all(a == b for a, b in pairs)
            largest = max([largest, *(size(a - b) for a, b in pairs if a != b)])
        holds = n_equal == count
        return Measurement(
            measured=f"{n_equal} of {count} equal",
            predicted="all equal",
            margin="to the last digit" if holds else f"off by up to {largest:.2g}",
            holds=holds,
        )

    return Check(
        name=name,
        strength=Strength.EXACT,
        hypothesis=hypothesis,
        measure=measure,
        formula=formula,
        wrong=wrong,
        control=control,
    )


def _matrices(value: Matrices) -> list[fmpq_mat]:
    return [value] if isinstance(value, fmpq_mat) else list(value)
