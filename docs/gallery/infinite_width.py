# %% [markdown]
# # Coming from infinite width
#
# At infinite width a network is a Gaussian process: what are its mean and its scatter over
# initializations after t steps of gradient descent, and do real networks keep to them?
#
# `ntklin.InfiniteMLP` is the limit as an object; its linearization has closed forms at every t, and
# `covariance` beside `predict` ([coming from neural-tangents](../from_neural_tangents.md)).

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, NETWORKS, TIMES = 500, 10, (0, 50, 500)  # in tests: 300, 10, (0, 10, 300)

x = np.array([-0.8, -0.3, 0.2, 0.7])
X = np.column_stack([x, np.ones_like(x)]) / np.sqrt(2)
y = np.array([-0.3, 0.6, 0.3, -0.6])
grid = np.linspace(-1, 1, 41)
X_grid = np.column_stack([grid, np.ones_like(grid)]) / np.sqrt(2)

# %%
net = ntklin.MLP((2, WIDTH, 1))
gd = ntklin.InfiniteMLP(net).linearize(X).gradient_descent(y)
mean = gd.predict(X_grid, t=TIMES)
deviation = np.array([np.sqrt(np.diag(gd.covariance(X_grid, t=t))) for t in TIMES])

optimizer = ntklin.GradientDescent(gd.learning_rate)
outputs = np.empty((NETWORKS, len(TIMES), len(grid)))
for seed in range(NETWORKS):
    run = ntklin.train(
        net, net.init(rng=seed), X, y, optimizer, steps=TIMES[-1], record=TIMES, X_record=X_grid
    )
    outputs[seed] = run.records.outputs

scatter = np.sqrt(np.mean(outputs.var(axis=0, ddof=1), axis=1))
limit = np.sqrt(np.mean(deviation**2, axis=1))
away = np.sqrt(np.mean((outputs.mean(axis=0) - mean) ** 2, axis=1))
for k, t in enumerate(TIMES):
    print(
        f"t = {t:4d}: scatter at infinite width {limit[k]:.2f}, of {NETWORKS} networks "
        f"{scatter[k]:.2f}; their mean is {away[k]:.2f} away"
    )

# %%
fig, axes = plt.subplots(
    ncols=3, sharey=True, num="Mean and scatter over initializations at three times"
)
for ax, k in zip(axes, range(3), strict=True):
    ax.fill_between(grid, mean[k] - 2 * deviation[k], mean[k] + 2 * deviation[k], alpha=0.2)
    ax.plot(grid, outputs[:8, k].T, color="0.45", linewidth=0.6, linestyle="-")
    ax.plot(grid, mean[k], color="C0", linewidth=2)
    ax.plot(x, y, "ko", markersize=4)
    ax.set(xlabel="x", title=f"t = {TIMES[k]:,}")
axes[0].set_ylabel("f_t(x)")
plt.show()

# %% [markdown]
# The band is the mean ± 2 standard deviations at infinite width, thin lines are eight trained
# networks. Training removes the scatter where there is data and leaves it elsewhere: what is left
# for t → ∞ is f_init, whose mean is 0. It is no uncertainty of a posterior; it is the answer to
# "what if I had started elsewhere". Where the band is thin, networks of width 500 scatter more, and
# their mean is as far away: that is of the order 1/√m.

# %% [markdown]
# **Check**: networks scatter as the limit says, and most of their outputs are in the band, or
# nearer to it than 0.1, what a finite width may cost where it is thin.

# %%
assert np.all(np.abs(scatter - limit) < 0.4 * limit + 0.03)
assert np.mean(np.abs(outputs - mean) <= 2 * deviation + 0.1) > 0.85
