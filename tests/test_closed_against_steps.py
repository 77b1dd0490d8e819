"""Closed forms in t against the recursions: schedules, momentum, Nesterov's variant, decay."""

import numpy as np
import pytest
from tolerances import assert_close

import ntklin

RATE = 0.2
SCHEDULES = {
    "number": RATE,
    "cosine": ntklin.WarmupSchedule(10) * ntklin.CosineSchedule(RATE, 80),
    "function": lambda t: RATE / (1 + t / 50),
}
RULES = {
    "plain": {},
    "heavy ball": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "decay": {"weight_decay": 0.05},
    "decoupled": {"weight_decay": 0.05, "decoupled": True},
    "heavy ball and decay": {"momentum": 0.8, "weight_decay": 0.05},
    "nesterov and decay": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
}


@pytest.mark.filterwarnings("ignore::ntklin.UnitBallWarning")
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", RULES)
def test_closed_forms_are_where_the_steps_lead(rule, schedule, n_outputs):
    rng, t = np.random.default_rng(0), 57
    net = ntklin.MLP((6, 30, 20, n_outputs), bias="normal")
    X, X_new = rng.standard_normal((12, 6)) / 4, rng.standard_normal((5, 6)) / 4
    Y = rng.uniform(0, 1, (12, n_outputs)[: 1 + (n_outputs > 1)])
    lin = ntklin.linearize(net, net.init(0), X)
    rate = SCHEDULES[schedule]
    outputs = lin.gradient_descent(Y, rate, **RULES[rule]).predict(X_new, t)
    for method in ("reduced", "direct"):
        run = lin.train(
            Y, ntklin.GradientDescent(rate, **RULES[rule]), t, until=1e-300, method=method
        )
        assert_close(run.predict(X_new), outputs, kind="trajectory", n=t * 12)
