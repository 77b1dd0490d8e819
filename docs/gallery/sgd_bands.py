# %% [markdown]
# # Bands of stochastic gradient descent
#
# How far do runs that differ in nothing but their mini-batches scatter, and how far are they from
# gradient descent?
#
# Mean and covariance over batches follow exactly from the kernel, without any run: E f_t is
# gradient descent's f_t, and the covariance obeys a linear recursion ([theory](../theory.md)).

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, N, BATCH, STEPS, RUNS = 1000, 40, 4, 200, 20  # in tests: 100, 8, 2, 30, 5

data = ntklin.load_data("mnist01", n_train=N, n_test=30)
X, Y, X_test = data.X_train, data.Y_train, data.X_test
net = ntklin.MLP((784, WIDTH, 1), sigma=1.0)
theta = net.init(rng=0)

lin = ntklin.linearize(net, theta, X)
largest = lin.moments(Y, None, BATCH).max_learning_rate
moments = lin.moments(Y, largest / 4, BATCH)
times = np.unique(np.linspace(0, STEPS, 21).astype(int))
mean = moments.predict(X_test, times)
deviation = np.sqrt([np.diag(moments.covariance(X_test, t)) for t in times])
print(f"stable below η = {largest:.2f} in batches of {BATCH}, {lin.max_learning_rate:.2f} in full")

# %% [markdown]
# Now real networks, each with batches of its own, drawn anew for each step:

# %%
optimizer = ntklin.GradientDescent(moments.learning_rate)
outputs, losses = [], []
for seed in range(RUNS):
    rng = np.random.default_rng(seed)
    batches = [rng.choice(N, BATCH, replace=False) for _ in range(STEPS)]
    run = ntklin.train(
        net, theta, X, Y, optimizer, STEPS, batches=batches, record=times, X_record=X_test
    )
    outputs.append(run.records.outputs)
    losses.append(run.losses[-1])
outputs = np.array(outputs)  # runs × times × test images
scatter = np.sqrt(np.mean((outputs[:, -1] - mean[-1]) ** 2))
print(f"deviation over batches at the end: {np.sqrt(np.mean(deviation[-1] ** 2)):.3f} by the "
      f"recursion, {scatter:.3f} of {RUNS} networks")  # fmt: skip
print(f"training loss: E L = {moments.loss(STEPS):.4f}, networks {np.mean(losses):.4f}, "
      f"gradient descent {moments.mean.loss(STEPS):.4f}")  # fmt: skip

# %%
widest = np.argsort(deviation[-1])[[-1, len(X_test) // 2]]  # the widest band, and a common one
fig, axes = plt.subplots(ncols=2, num="Outputs at two test images: bands of SGD and real runs")
for ax, i in zip(axes, widest, strict=True):
    band = mean[:, i] - 2 * deviation[:, i], mean[:, i] + 2 * deviation[:, i]
    ax.fill_between(times, *band, alpha=0.25, label="mean ± 2 deviations")
    ax.plot(times, mean[:, i], color="C0", label="gradient descent")
    ax.plot(times, outputs[:8, :, i].T, color="0.4", linewidth=0.6, linestyle="-")
    ax.set(xlabel="t", title=f"test image {i}")
axes[0].set_ylabel("f_t(x)")
axes[0].legend()
plt.show()

# %% [markdown]
# Thin lines are eight runs. `moments.max_learning_rate` is the rate at which the scatter no longer
# dies out: smaller than gradient descent's, and exact, so that no search is needed. Below it all
# runs end at one minimizer, whatever their batches: the bands close for t → ∞.

# %% [markdown]
# **Check**: networks scatter as the recursion says, and nearly all are inside the band.

# %%
inside = np.abs(outputs - mean) <= 2 * deviation + 0.05
assert inside.mean() > 0.85
assert 0.4 < scatter / np.sqrt(np.mean(deviation[-1] ** 2)) < 2.5
