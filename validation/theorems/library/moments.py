"""SGD's moments: over all sequences of batches, and over all orders of shuffled epochs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from flint import arb

from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import eigenvalues, identity, solve

SIZE, LAST = 2, 3
TIMES = (0, 1, LAST)
KINDS = (drawn((3, 6, 1), n=3), drawn((2, 5, 1), n=3, n_new=2, bias="normal"))
Sequences = Iterable[Sequence[Sequence[int]]]


def asked(problem: Problem) -> Named:
    """Independent batches, and shuffled epochs."""
    X_new = problem.X_new
    moments = problem.linearized.moments(problem.Y, problem["rate"], SIZE)
    weighted = problem.linearized.moments(problem.Y, problem["rate"], SIZE, weights=problem.D)
    epochs = moments.epochs()
    return {
        "moments.loss": moments.loss(TIMES),
        "moments.predict": moments.predict(X_new, TIMES),
        "moments.covariance": moments.covariance(X_new, TIMES),
        "moments.covariance(X)": moments.covariance(None, LAST),
        "moments.max_learning_rate": moments.max_learning_rate,
        "moments.converges": float(moments.converges),
        "moments(weights).loss": weighted.loss(TIMES),
        "moments(weights).covariance": weighted.covariance(X_new, LAST),
        "moments.epochs.loss": epochs.loss(LAST).value,
        "moments.epochs.predict": epochs.predict(X_new, LAST).value,
        "moments.epochs.covariance": epochs.covariance(X_new, LAST).value,
    }


def true(model: Model, replacement: bool = False) -> Named:
    """The means over all of them; over batches drawn with replacement for a control."""
    n = model.n
    subsets = list(
        itertools.product(range(n), repeat=SIZE)
        if replacement
        else itertools.combinations(range(n), SIZE)
    )
    orders = [
        [order[i : i + SIZE] for i in range(0, n, SIZE)]
        for order in itertools.permutations(range(n))
    ]
    shuffled = [
        [batch for epoch in chosen for batch in epoch][:LAST]
        for chosen in itertools.product(orders, repeat=-(-LAST * SIZE // n))
    ]
    found = {t: means(model, itertools.product(subsets, repeat=t)) for t in TIMES}
    weighted = {t: means(model, itertools.product(subsets, repeat=t), model.D) for t in TIMES}
    epochs = means(model, shuffled)
    return {
        "moments.loss": [found[t]["loss"] for t in TIMES],
        "moments.predict": [found[t]["predict"] for t in TIMES],
        "moments.covariance": [found[t]["covariance"] for t in TIMES],
        "moments.covariance(X)": found[LAST]["covariance(X)"],
        "moments.max_learning_rate": (largest := largest_rate(model, subsets)),
        "moments.converges": int(model["rate"] < largest),
        "moments(weights).loss": [weighted[t]["loss"] for t in TIMES],
        "moments(weights).covariance": weighted[LAST]["covariance"],
        "moments.epochs.loss": epochs["loss"],
        "moments.epochs.predict": epochs["predict"],
        "moments.epochs.covariance": epochs["covariance"],
    }


def means(model: Model, sequences: Sequences, D: Any = 1) -> dict[str, Any]:
    """Means over sequences of batches, all of the same weight."""
    right = (D * model.phi).T
    K, across, rate = model.phi @ right, model.phi_new @ right, model["rate"]
    residuals, outputs = [], []
    for batches in sequences:
        r, f = -model.residual, model.f0_new
        for batch in batches:
            step: Any = 0 * r
            for i in batch:
                step[i] = step[i] + rate / len(batch) * r[i]
            r, f = r - K @ step, f - across @ step
        residuals.append(r)
        outputs.append(f)
    # Every run's own rounding.
    r, f = (model.shaken(np.array(a, object)) for a in (residuals, outputs))
    count = len(r)
    mean, mean_r = f.sum(axis=0) / count, r.sum(axis=0) / count
    return {
        "loss": (r * r).sum() / (2 * model.n * count),
        "predict": mean,
        "covariance": (f - mean).T @ (f - mean) / count,
        "covariance(X)": (r - mean_r).T @ (r - mean_r) / count,
    }


def largest_rate(model: Model, subsets: Sequence[Sequence[int]]) -> arb:
    """η(b): where R → E (1 − (η/b) K P_B) R (1 − (η/b) P_B K) has the eigenvalue 1.

    It is 1 − η A + η² B on symmetric matrices, A R = (KR + RK)/N, B R = E K P_B R P_B K/b², so that
    1/η is the largest eigenvalue of A^{-1} B.

    Returns
    -------
    ball
    """
    n, K = model.n, (model.K + model.K.T) / 2
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    first, second = [], []
    masks = []
    for batch in subsets:
        mask = np.array([arb(0)] * n, object)
        for i in batch:
            mask[i] = mask[i] + arb(1) / len(batch)
        masks.append(mask)
    for i, j in pairs:
        R = 0 * identity(n)
        R[i, j] = R[j, i] = arb(1)
        moved: Any = sum(K @ (mask[:, None] * R * mask) @ K for mask in masks) / len(masks)
        turned = (K @ R + R @ K) / n
        first.append([turned[p] for p in pairs])
        second.append([moved[p] for p in pairs])
    A, B = np.array(first, object).T, np.array(second, object).T
    return 1 / eigenvalues(solve(A, B))[-1]


MOMENTS = (
    agreement(
        "moments",
        "moments of SGD: E L_t, E f_t, Cov f_t and η(b), independent batches and shuffled epochs",
        KINDS,
        asked,
        true,
        partial(true, replacement=True),
        "batches drawn with replacement",
        repeats=2,
        tolerances={
            # Lanczos' bound, which is enlarged to be safe.
            "moments.max_learning_rate": 1e-9,
            # κ has independent roundings in each of the 36 runs, which average out by √36 = 6;
            # those of runs that share their first batches are alike.
            "moments.epochs.covariance": lambda eps: 6 * eps,
        },
    ),
)


def asked_outputs(problem: Problem) -> Named:
    """Two outputs, which share their batches."""
    moments = problem.linearized.moments(problem.Y, problem["rate"], SIZE)
    return {
        "moments.loss": moments.loss(LAST),
        "moments.predict": moments.predict(problem.X_new, LAST),
        "moments.covariance": moments.covariance(problem.X_new, LAST),
    }


def true_outputs(model: Model, together: bool = True) -> Named:
    """Over all sequences; outputs with batches of their own for a control."""
    n, C = model.n, model.rows // model.n
    rows = [tuple(i * C + c for i in range(n)) for c in range(C)]
    K, across, rate = model.K, model.phi_new @ model.phi.T, model["rate"]
    subsets = list(itertools.combinations(range(n), SIZE))
    residuals, outputs = [], []
    for batches in itertools.product(subsets, repeat=LAST):
        r, f = -model.residual, model.f0_new
        for k, batch in enumerate(batches):
            step: Any = 0 * r
            for c in range(C):
                chosen = batch if together or not c else subsets[(k + 1) % len(subsets)]
                for i in chosen:
                    step[rows[c][i]] = rate / SIZE * r[rows[c][i]]
            r, f = r - K @ step, f - across @ step
        residuals.append(r)
        outputs.append(f)
    # Every run's own rounding.
    r, f = (model.shaken(np.array(a, object)) for a in (residuals, outputs))
    mean = f.sum(axis=0) / len(f)
    moved = (f - mean).reshape(len(f), -1, C)
    covariance = np.stack([a.T @ a / len(f) for a in np.moveaxis(moved, -1, 0)], axis=-1)
    return {
        "moments.loss": (r * r).sum() / (2 * n * len(r)),
        "moments.predict": mean,
        "moments.covariance": covariance,
    }


OUTPUTS = (
    agreement(
        "moments-outputs",
        "the same of a network with two outputs",
        (drawn((2, 5, 2), n=3, n_new=2, bias="normal"),),
        asked_outputs,
        true_outputs,
        partial(true_outputs, together=False),
        "batches of its own for each output",
        repeats=2,
    ),
)
