"""L2 decay in closed form: gradient descent on L + (w/2)‖θ‖², on the linearized network.

With g(μ) = (1 − (1 − ημ/N)^t)/μ, c_t = (1 − ηw)^t and ρ = N w,

    θ_t = c_t θ_0 + φ^T [g(K + ρ) (Y − f_0(X)) − ρ (g(K + ρ) − g(ρ)) K^{-1} φ(X) θ_0]
    θ_∞ = φ^T (K + ρ)^{-1} (Y − f_0(X) + φ(X) θ_0)

The decay is one towards 0, not towards θ_0 as the ridge of App. A: what the data's features do not
reach of θ_0 shrinks as c_t. Rational arithmetic; no tolerance: nothing is rounded.
"""

from flint import fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.descents import STEPS, Descent, share
from ntklin.validation.theorems.rationals import equality, identity


def draw(rng: Generator) -> Descent:
    """A random problem with decay."""
    return Descent.random(rng, decay=share(rng))


def draw_with_momentum(rng: Generator) -> Descent:
    """With momentum of either kind, too."""
    return draw(rng).replaced(momentum=share(rng), is_nesterov=bool(rng.integers(2)))


def towards_the_start(descent: Descent) -> list[fmpq_mat]:
    """App. A's ridge of the same size, θ_0 + φ^T g(K + ρ) (Y − f_0)."""
    problem = descent.regression
    curvature = problem.kernel + problem.n * descent.decay * identity(problem.n)
    return [
        problem.theta0 + problem.phi.transpose() * (G * problem.residual)
        for G in descent.growth(curvature)
    ]


def stationary(descent: Descent) -> fmpq_mat:
    """The θ with φ^T (f(X) − Y)/N + w θ = 0, from that linear system."""
    problem = descent.regression
    phi, n = problem.phi, problem.n
    right = phi.transpose() * (problem.residual + phi * problem.theta0)
    hessian = phi.transpose() * phi + n * descent.decay * identity(problem.n_parameters)
    return hessian.solve(right)


def limit(descent: Descent, samples: int | None = None) -> fmpq_mat:
    """φ^T (K + N w)^{-1} (Y − f_0(X) + φ(X) θ_0)."""
    problem = descent.regression
    n = problem.n if samples is None else samples
    curvature = problem.kernel + n * descent.decay * identity(problem.n)
    right = problem.residual + problem.phi * problem.theta0
    return problem.phi.transpose() * (curvature.inv() * right)


def without_the_mean(descent: Descent) -> fmpq_mat:
    """w in the place of N w."""
    return limit(descent, samples=1)


def outside(descent: Descent) -> list[fmpq_mat]:
    """(1 − P_F) θ_t along the steps."""
    return [beyond(descent, theta) for theta in descent.path()]


def beyond(descent: Descent, theta: fmpq_mat) -> fmpq_mat:
    """(1 − P_F) θ."""
    problem = descent.regression
    phi = problem.phi
    return theta - phi.transpose() * (problem.kernel.inv() * (phi * theta))


def shrunk(descent: Descent, samples: int = 1) -> list[fmpq_mat]:
    """(1 − ηw)^t (1 − P_F) θ_0."""
    start = beyond(descent, descent.regression.theta0)
    c = 1 - descent.rates[0] * samples * descent.decay
    return [c**t * start for t in range(1, STEPS + 1)]


def shrunk_by_all(descent: Descent) -> list[fmpq_mat]:
    """N w in the place of w."""
    return shrunk(descent, descent.regression.n)


STATEMENT = Statement(
    key="decay",
    title="L2 decay",
    claim="gradient descent with L2 decay has a closed form in t",
    text=__doc__,
    checks=(
        equality(
            "steps",
            "θ_t of the steps with decay in closed form",
            draw,
            Descent.path,
            Descent.closed,
            towards_the_start,
            "decay towards θ_0, App. A's ridge",
        ),
        equality(
            "with-momentum",
            "the same with momentum, p_t(μ) in the place of (1 − ημ/N)^t",
            draw_with_momentum,
            Descent.path,
            Descent.closed,
            towards_the_start,
            "decay towards θ_0, App. A's ridge",
        ),
        equality(
            "limit",
            "θ_∞ is where the gradient with its decay vanishes",
            draw,
            stationary,
            limit,
            without_the_mean,
            "w in the place of N w",
        ),
        equality(
            "outside",
            "(1 − P_F) θ_t = (1 − ηw)^t (1 − P_F) θ_0",
            draw,
            outside,
            shrunk,
            shrunk_by_all,
            "N w in the place of w",
        ),
    ),
)
