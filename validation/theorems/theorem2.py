"""Theorem 2: how the test loss depends on the initialization scale σ.

    σ^L J − √L_T(f_int) − O(1/√m)  ≤  √L_T(f)  ≤  √L_T(f_int) + O(σ^L + 1/√m)

Both bounds rest on φ_σ = σ^L φ_1, which makes the interpolator f_int independent of σ and the
initialization term proportional to σ^L. On ReLU networks with rational parameters this is exact
without biases. With trained biases, even if they start at 0, it is not: the feature of a bias in
layer l scales as σ^{L−l+1}, and f_int moves with σ. App. F.2 prints 1/(2√N_T) for the root of the
loss, which is ‖f(X_T) − Y_T‖/√(2 N_T). No tolerance: nothing is rounded.
"""

from collections.abc import Callable

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems import theorem1, theorem2_certified, theorem2_trained
from ntklin.validation.theorems.check import Statement, joined
from ntklin.validation.theorems.rationals import (
    column,
    equality,
    inner,
    rows,
    selected,
    stacked,
)

SIGMA = fmpq(3, 2)


def gradients(
    problem: theorem1.Problem, sigma: fmpq | int
) -> list[list[tuple[fmpq_mat, fmpq_mat]]]:
    """[(∂f/∂W^l, ∂f/∂b^l)] at all inputs, at ``sigma`` times the problem's σ."""
    network = problem.network.scaled(sigma)
    return [network.gradient(x) for x in (*problem.X, *problem.X_new)]


def weight_features(problem: theorem1.Problem) -> list[fmpq_mat]:
    """∂f/∂W^l at σ."""
    return [dW for layers in gradients(problem, SIGMA) for dW, _ in layers]


def scaled_weights(
    problem: theorem1.Problem, power: Callable[[int], int] = lambda L: L
) -> list[fmpq_mat]:
    """σ^L ∂f/∂W^l at σ = 1."""
    factor = SIGMA ** power(problem.network.depth)
    return [factor * dW for layers in gradients(problem, 1) for dW, _ in layers]


def one_power_less(problem: theorem1.Problem) -> list[fmpq_mat]:
    """σ^{L−1}."""
    return scaled_weights(problem, lambda L: L - 1)


def bias_features(problem: theorem1.Problem) -> list[fmpq_mat]:
    """∂f/∂b^l at σ."""
    return [db for layers in gradients(problem, SIGMA) for _, db in layers]


def scaled_biases(
    problem: theorem1.Problem, power: Callable[[int, int], int] = lambda l, L: L - l + 1
) -> list[fmpq_mat]:
    """σ^{L−l+1} ∂f/∂b^l at σ = 1."""
    L = problem.network.depth
    return [
        SIGMA ** power(l, L) * db
        for layers in gradients(problem, 1)
        for l, (_, db) in enumerate(layers, 1)
    ]


def as_weights(problem: theorem1.Problem) -> list[fmpq_mat]:
    """σ^L for biases, too, as φ_σ = σ^L φ_1 says."""
    return scaled_biases(problem, lambda l, L: L)


def draw(rng: Generator) -> theorem1.Problem:
    """A network whose kernel is not singular without the biases' features, either."""
    while True:
        problem = theorem1.draw(rng)
        if stacked(*((row,) for row in features(problem, 1, None)[: len(problem.X)])).rank() == 3:
            return problem


def features(
    problem: theorem1.Problem, sigma: fmpq | int, weight: Callable[[int, int], fmpq | int] | None
) -> list[fmpq_mat]:
    """φ at all inputs, one row each; ``weight(l, L)`` times those of biases, without for None."""
    L, found = problem.network.depth, []
    for layers in gradients(problem, sigma):
        row = []
        for l, (dW, db) in enumerate(layers, 1):
            row += dW.entries()
            if weight is not None:
                row += [weight(l, L) * x for x in db.entries()]
        found.append(rows(row))
    return found


def interpolator_and_rest(
    problem: theorem1.Problem, sigma: fmpq | int, weight: Callable[[int, int], fmpq | int] | None
) -> tuple[fmpq_mat, fmpq_mat]:
    """f_int and f_init at the new inputs, from these features and the outputs at ``sigma``."""
    n = len(problem.X)
    phi = stacked(*((row,) for row in features(problem, sigma, weight)))
    K = phi * selected(phi, range(n)).transpose()
    cross = selected(K, range(n, phi.nrows())) * selected(K, range(n)).inv()
    network = problem.network.scaled(sigma)
    f0, f0_new = (
        column([network.output(x) for x in inputs]) for inputs in (problem.X, problem.X_new)
    )
    return cross * problem.Y, f0_new - cross * f0


def parts_at_sigma(problem: theorem1.Problem) -> tuple[fmpq_mat, fmpq_mat]:
    """f_int and f_init at σ, biases absent from θ."""
    return interpolator_and_rest(problem, SIGMA, None)


def parts_scaled(
    problem: theorem1.Problem, power: Callable[[int], int] = lambda L: L
) -> tuple[fmpq_mat, fmpq_mat]:
    """f_int at σ = 1, and σ^L times f_init there."""
    f_int, f_init = interpolator_and_rest(problem, 1, None)
    return f_int, SIGMA ** power(problem.network.depth) * f_init


def rest_scaled_less(problem: theorem1.Problem) -> tuple[fmpq_mat, fmpq_mat]:
    """σ^{L−1} f_init."""
    return parts_scaled(problem, lambda L: L - 1)


def interpolator_with_biases(problem: theorem1.Problem) -> fmpq_mat:
    """f_int at σ with trained biases that start at 0."""
    return interpolator_and_rest(problem, SIGMA, lambda l, L: 1)[0]


def interpolator_reweighted(problem: theorem1.Problem) -> fmpq_mat:
    """f_int from the features at σ = 1, those of biases times σ^{1−l}."""
    return interpolator_and_rest(problem, 1, lambda l, L: SIGMA ** (1 - l))[0]


def interpolator_unchanged(problem: theorem1.Problem) -> fmpq_mat:
    """f_int at σ = 1."""
    return interpolator_and_rest(problem, 1, lambda l, L: 1)[0]


def loss(problem: theorem1.Problem) -> fmpq_mat:
    """L = (1/N) Σ_n (f_n − y_n)²/2 on the training inputs."""
    pairs = zip(problem.outputs(problem.X).entries(), problem.Y.entries(), strict=True)
    return column([sum(((f - y) * (f - y) / 2 for f, y in pairs), fmpq(0)) / len(problem.X)])


def norm_squared_over(problem: theorem1.Problem, divisor: int = 2) -> fmpq_mat:
    """‖f(X) − Y‖²/(2N), the square of ‖f(X) − Y‖/√(2N)."""
    error = problem.outputs(problem.X) - problem.Y
    return column([inner(error, error) / (divisor * len(problem.X))])


def printed_root(problem: theorem1.Problem) -> fmpq_mat:
    """The square of ‖f(X) − Y‖/(2√N)."""
    return norm_squared_over(problem, divisor=4)


STATEMENT = Statement(
    key="theorem2",
    title="Theorem 2",
    claim="the initialization term grows like σ^L, the interpolator does not depend on σ",
    text=joined(__doc__, theorem2_certified.__doc__, theorem2_trained.__doc__),
    checks=(
        equality(
            "weights",
            "derivatives by weights scale as σ^L, biases at 0",
            theorem1.draw,
            weight_features,
            scaled_weights,
            one_power_less,
            "σ^{L−1}",
        ),
        equality(
            "biases",
            "derivatives by trained biases of layer l that start at 0 scale as σ^{L−l+1}",
            theorem1.draw,
            bias_features,
            scaled_biases,
            as_weights,
            "φ_σ = σ^L φ_1 for all of θ, as in the proof",
        ),
        equality(
            "interpolator",
            "with b absent from θ, f_int does not depend on σ and f_init is proportional to σ^L",
            draw,
            parts_at_sigma,
            parts_scaled,
            rest_scaled_less,
            "σ^{L−1} for f_init",
        ),
        equality(
            "interpolator-biases",
            "with trained biases f_int moves with σ, as if those of layer l were scaled by σ^{1−l}",
            draw,
            interpolator_with_biases,
            interpolator_reweighted,
            interpolator_unchanged,
            "an f_int that does not depend on σ, as in the proof",
        ),
        equality(
            "root-of-the-loss",
            "√L_T = ‖f(X_T) − Y_T‖/√(2 N_T); App. F.2 prints 1/(2√N_T)",
            theorem1.draw,
            loss,
            norm_squared_over,
            printed_root,
            "1/(2√N_T) as it is printed",
        ),
        *theorem2_certified.CHECKS,
        *theorem2_trained.CHECKS,
    ),
)
