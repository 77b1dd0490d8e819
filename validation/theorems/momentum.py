"""Momentum in closed form: its steps on the linearized network, at any t.

PyTorch's heavy ball and Nesterov's method leave p_t(ηλ_i/N) of the residual along an eigenvector of
K, p_t being the first entry of the t-th power of a 2×2 matrix. With that matrix's eigenvalues z_1,
z_2 and w = 1 − z, for which w_1 w_2 = x = ηλ_i/N,

    heavy ball   p_t = (w_2 z_1^{t+1} − w_1 z_2^{t+1})/(z_1 − z_2)
    Nesterov     p_t = (w_2 z_1^{t+2} − w_1 z_2^{t+2})/((1 − x)(z_1 − z_2))

and at a double root heavy ball has p_t = z^t (1 + t (1 − z)). All steps lie in the span of φ(X)^T,
so that the minimizer is gradient descent's. Rational arithmetic, with problems whose roots are
rational; no tolerance: nothing is rounded.
"""

from dataclasses import dataclass

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.descents import STEPS, Descent, share
from ntklin.validation.theorems.rationals import column, equality


def draw_heavy_ball(rng: Generator) -> Descent:
    """A random problem."""
    return Descent.random(rng, momentum=share(rng))


def draw_nesterov(rng: Generator) -> Descent:
    """A random problem."""
    return draw_heavy_ball(rng).replaced(is_nesterov=True)


def another_rule(descent: Descent) -> list[fmpq_mat]:
    """The closed form of the other of both rules."""
    return descent.replaced(is_nesterov=not descent.is_nesterov).closed()


@dataclass(frozen=True, eq=False)
class Roots:
    """Two rational roots in (−1, 1).

    Attributes
    ----------
    z1, z2 : fmpq
    is_nesterov : bool
    """

    z1: fmpq
    z2: fmpq
    is_nesterov: bool = False

    @property
    def kept(self) -> fmpq:
        """1 − x of Nesterov's method, whose roots have κ(1 + β) = z_1 + z_2 and κβ = z_1 z_2."""
        return self.z1 + self.z2 - self.z1 * self.z2

    def numbers(self) -> tuple[fmpq, fmpq]:
        """x and β."""
        if self.is_nesterov:
            return 1 - self.kept, self.z1 * self.z2 / self.kept
        return (1 - self.z1) * (1 - self.z2), self.z1 * self.z2


def draw_roots(rng: Generator) -> Roots:
    """Different ones of one sign."""
    while True:
        z1, z2 = share(rng), share(rng)
        if z1 != z2:
            sign = int(rng.choice([-1, 1]))
            return Roots(sign * z1, sign * z2)


def draw_nesterov_roots(rng: Generator) -> Roots:
    """Different ones, both positive."""
    while True:
        z1, z2 = share(rng), share(rng)
        if z1 != z2:
            return Roots(z1, z2, is_nesterov=True)


def draw_double(rng: Generator) -> Roots:
    """A double root."""
    z = int(rng.choice([-1, 1])) * share(rng)
    return Roots(z, z)


def recursion(roots: Roots) -> fmpq_mat:
    """p_1, … by the steps of one residual and its velocity."""
    x, beta = roots.numbers()
    p, u, found = fmpq(1), fmpq(0), []
    for _ in range(STEPS):
        g = p
        u = beta * u + g
        p = p - x * (g + beta * u if roots.is_nesterov else u)
        found.append(p)
    return column(found)


def by_roots(roots: Roots, ahead: int = 1) -> fmpq_mat:
    """The formulas with different roots."""
    z1, z2, found = roots.z1, roots.z2, []
    for t in range(1, STEPS + 1):
        n = t + ahead + roots.is_nesterov
        p = ((1 - z2) * z1**n - (1 - z1) * z2**n) / (z1 - z2)
        found.append(p / roots.kept if roots.is_nesterov else p)
    return column(found)


def one_power_less(roots: Roots) -> fmpq_mat:
    """z^t in the place of z^{t+1}, as if p_{−1} were 1."""
    return by_roots(roots, ahead=0)


def by_double_root(roots: Roots) -> fmpq_mat:
    """z^t (1 + t (1 − z))."""
    z = roots.z1
    return column([z**t * (1 + t * (1 - z)) for t in range(1, STEPS + 1)])


def single_power(roots: Roots) -> fmpq_mat:
    """z^t."""
    return column([roots.z1**t for t in range(1, STEPS + 1)])


STATEMENT = Statement(
    key="momentum",
    title="Momentum",
    claim="heavy ball and Nesterov's method have closed forms in t, with gradient descent's limit",
    text=__doc__,
    checks=(
        equality(
            "heavy-ball",
            "θ_t − θ_0 = φ(X)^T K^{-1} (1 − p_t(K)) (Y − f_0(X)) for heavy ball",
            draw_heavy_ball,
            Descent.path,
            Descent.closed,
            another_rule,
            "p_t of Nesterov's method",
        ),
        equality(
            "nesterov",
            "the same for Nesterov's method",
            draw_nesterov,
            Descent.path,
            Descent.closed,
            another_rule,
            "p_t of heavy ball",
        ),
        equality(
            "roots",
            "heavy ball's p_t by the roots of its companion matrix",
            draw_roots,
            recursion,
            by_roots,
            one_power_less,
            "z^t in the place of z^{t+1}",
        ),
        equality(
            "nesterov-roots",
            "Nesterov's p_t by the roots of its companion matrix",
            draw_nesterov_roots,
            recursion,
            by_roots,
            one_power_less,
            "z^{t+1} in the place of z^{t+2}",
        ),
        equality(
            "double-root",
            "at a double root heavy ball has p_t = z^t (1 + t (1 − z))",
            draw_double,
            recursion,
            by_double_root,
            single_power,
            "z^t alone, as for a simple root",
        ),
    ),
)
