"""Gradient descent with decay, a ridge or a constant D in closed form, and where it ends."""

from __future__ import annotations

from functools import partial

from flint import arb

from ntklin.validation.theorems.library import rules
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.descents import (
    FEW,
    KINDS,
    MU,
    along,
    closed,
    heavy,
    stepped,
)
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import eigenvalues, identity, root, solve
from ntklin.validation.theorems.library.rules import linear_gradient, walk


def decaying(model: Model, decay: int = 1) -> rules.Rule:
    """Plain descent with decay."""
    return rules.Rule(model["rate"], rules.plain, decay * model["decay"])


def pulled_back(model: Model) -> Named:
    """A decay towards θ_0: App. A's ridge of the same size."""
    gradient = linear_gradient(model)
    path = walk(
        rules.Rule(model["rate"], rules.plain),
        model.theta,
        lambda t, theta: gradient(t, theta) + model["decay"] * (theta - model.theta),
        FEW[-1],
    )
    return along(model, path)


def asked_end(problem: Problem) -> Named:
    """Where decay ends, and how much is left on the way."""
    lin, X_new, decay = problem.linearized, problem.X_new, problem["decay"]
    gd = lin.gradient_descent(problem.Y, problem["rate"], weight_decay=decay)
    return {
        "gradient_descent.predict()": gd.predict(X_new),
        "gradient_descent.parameters()": gd.parameters(),
        "gradient_descent.shrinkage": gd.shrinkage(FEW),
        "gradient_descent.max_learning_rate": gd.max_learning_rate,
    }


def true_end(model: Model, mean: int = 1) -> Named:
    """By the stationary point of L + (w/2)‖θ‖²; with w in the place of N w for a control."""
    n, K = model.n, model.K
    shift = (n if mean else 1) * model["decay"]
    right = model.residual + model.phi @ model.theta
    theta = model.phi.T @ solve(K + shift * identity(len(K)), right)
    left = 1 - model["rate"] * model["decay"]
    return {
        "gradient_descent.predict()": model.predict(theta),
        "gradient_descent.parameters()": theta,
        "gradient_descent.shrinkage": [left**t for t in FEW],
        "gradient_descent.max_learning_rate": 2 * n / (eigenvalues(K)[-1] + shift),
    }


DECAY = (
    agreement(
        "decay-closed-form",
        "gradient_descent(weight_decay=…) is its steps",
        KINDS,
        closed(lambda problem: {"weight_decay": problem["decay"]}),
        stepped(decaying),
        pulled_back,
        "decay towards θ_0, App. A's ridge",
    ),
    agreement(
        "decay-momentum-closed-form",
        "the same with Nesterov's momentum",
        KINDS[:1],
        closed(
            lambda problem: {
                "weight_decay": problem["decay"],
                "momentum": MU,
                "nesterov": True,
            }
        ),
        stepped(partial(heavy, nesterov=True, decay=True)),
        stepped(partial(heavy, nesterov=True, decay=True, decoupled=True)),
        "decay that momentum does not see",
    ),
    agreement(
        "decay-end",
        "where gradient_descent(weight_decay=…) ends",
        KINDS,
        asked_end,
        true_end,
        partial(true_end, mean=0),
        "w in the place of N w",
    ),
)


# Vanishing decay


def asked_flip(problem: Problem) -> Named:
    """The flipped term, and the step at which it is 0."""
    lin = problem.linearized
    gd = lin.gradient_descent(problem.Y, problem["rate"], weight_decay=problem["decay"])
    return {
        "minimizer.decayed": lin.minimizer(problem.Y).decayed(problem.X_new),
        "gradient_descent.interpolation_step": gd.interpolation_step(),
    }


def true_flip(model: Model, less: int = 1) -> Named:
    """f_int − (L − 1) f_init, and t with (1 − ηw)^t nearest to 1 − 1/L."""
    L = len(model.net.widths) - 1
    pull = solve(model.K, model.K_new.T).T
    f_int, f_init = pull @ model.y, model.f0_new - pull @ model.f0
    left = 1 - arb(model.problem["rate"]) * arb(model.problem["decay"])
    target = 1 - arb(1) / L
    t = int(float(target.log() / left.log()))
    nearest = min((t, t + 1), key=lambda t: float(abs(left**t - target)))
    return {
        "minimizer.decayed": f_int - (L - less) * f_init,
        "gradient_descent.interpolation_step": nearest,
    }


FLIP = (
    agreement(
        "decayed",
        "minimizer.decayed is f_int − (L − 1) f_init, at interpolation_step it is f_int",
        (drawn((3, 8, 1)), drawn((3, 6, 5, 1), bias="none")),
        asked_flip,
        true_flip,
        partial(true_flip, less=2),
        "f_int − (L − 2) f_init",
    ),
)


# A constant D and a ridge


def weighted(model: Model, rooted: bool = False) -> rules.Rule:
    """θ ← θ − η D ∇L, or with √D."""
    D = root(model.D) if rooted else model.D
    return rules.Rule(model["rate"], rules.preconditioned([D] * FEW[-1]))


def with_ridge(model: Model) -> Named:
    """(λ/(2N)) ‖θ − θ_0‖² beside L."""
    ridge = model["ridge"] / model.n
    gradient = linear_gradient(model)
    path = walk(
        rules.Rule(model["rate"], rules.plain),
        model.theta,
        lambda t, theta: gradient(t, theta) + ridge * (theta - model.theta),
        FEW[-1],
    )
    return along(model, path)


def decoupled(model: Model, by_itself: bool = True) -> rules.Rule:
    """θ ← (1 − ηw) θ − η D ∇L, or θ − η D (∇L + w θ)."""
    D = [model.D] * FEW[-1]
    return rules.Rule(model["rate"], rules.preconditioned(D), model["decay"], decoupled=by_itself)


WEIGHTED = (
    agreement(
        "weighted-closed-form",
        "gradient_descent(weights=D) is the steps −η D ∇L",
        KINDS,
        closed(lambda problem: {"weights": problem.D}),
        stepped(weighted),
        stepped(partial(weighted, rooted=True)),
        "√D, the R of D = R R^T",
    ),
)
RIDGE = (
    agreement(
        "ridge-closed-form",
        "gradient_descent(ridge=…) is its steps",
        KINDS,
        closed(lambda problem: {"ridge": problem["ridge"]}),
        with_ridge,
        stepped(decaying),
        "decay towards 0 of the same kind",
    ),
)
DECOUPLED = (
    agreement(
        "decoupled-closed-form",
        "gradient_descent(weights=D, weight_decay=…, decoupled=True) is its steps",
        KINDS[:2],
        closed(
            lambda problem: {
                "weights": problem.D,
                "weight_decay": problem["decay"],
                "decoupled": True,
            }
        ),
        stepped(decoupled),
        stepped(partial(decoupled, by_itself=False)),
        "decay that D weights, too",
    ),
)
