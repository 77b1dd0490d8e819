# %% [markdown]
# # AdaGrad against gradient descent on your data
#
# Two optimizers, one network, one θ_0, the same training loss: do they end at the same function,
# and if not, is it the last step's doing or that of the whole path?
#
# Gradient descent's minimizer is decided by the kernel alone. AdaGrad moves each weight at a rate
# D_t of its own that depends on the past, and the function it finds splits into a part that
# interpolates, given the last D_t, and one that is 0 on the training data and remembers the path
# ([Theorem 3](../theory.md)). Put your own X and y into the first cell: any array (N, d) and (N,).

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH = 1000  # in tests: 50

x = np.array([-0.9, -0.6, -0.3, 0.1, 0.5, 0.9])
X = np.column_stack([x, np.ones_like(x)]) / np.sqrt(2)  # rows of at most length 1, a bias in them
y = np.array([0.2, 0.7, 0.4, -0.3, 0.1, 0.6])
grid = np.linspace(-1, 1, 81)
X_grid = np.column_stack([grid, np.ones_like(grid)]) / np.sqrt(2)

# %%
net = ntklin.MLP((X.shape[1], WIDTH, 1), sigma=1.0)
lin = ntklin.linearize(net, net.init(rng=1), X)
runs = {
    "gradient descent": lin.train(y, ntklin.GradientDescent(), until=1e-5),
    "AdaGrad": lin.train(y, ntklin.AdaGrad(0.1), until=1e-5),
}
for name, run in runs.items():
    parts = run.interpolating(X_grid), run.path_dependent(X_grid)
    sizes = [np.sqrt(np.mean(part**2)) for part in parts]
    print(f"{name:17s} interpolating part {sizes[0]:.2f}, path-dependent part {sizes[1]:.3f}")

# %%
descent, adagrad = runs.values()
fig, (left, right) = plt.subplots(
    ncols=2, sharex=True, num="Where two optimizers end, and the two parts of their difference"
)
for name, run in runs.items():
    left.plot(grid, run.predict(X_grid), label=name)
left.plot(x, y, "ko", markersize=4)
left.set(xlabel="x", ylabel="f_t(x)", title="where they end")
kernel_s_part = adagrad.interpolating(X_grid) - descent.interpolating(X_grid)
right.plot(grid, kernel_s_part, color="C1", label="of the interpolating part")
right.plot(grid, adagrad.path_dependent(X_grid), color="C3", label="path-dependent part")
right.plot(x, 0 * y, "ko", markersize=4)
right.set(xlabel="x", title="AdaGrad − gradient descent")
for ax in (left, right):
    ax.legend(loc="best")
plt.show()

# %% [markdown]
# Both curves fit the six points, and differ between and beyond them. AdaGrad's difference is mostly
# in the part that interpolates, by another metric than gradient descent's; what the path has left
# is 0 at the data and small elsewhere. Gradient descent has no such part: of it nothing but the
# start and the data counts, with mini-batches, too.

# %% [markdown]
# **Check**: both fit; the parts add up; gradient descent has no path-dependent part, AdaGrad's is
# 0 on the data and not elsewhere.

# %%
for run in runs.values():
    assert run.losses[-1] < 1e-4
    whole = run.interpolating(X_grid) + run.path_dependent(X_grid)
    np.testing.assert_allclose(whole, run.predict(X_grid), atol=1e-6)
assert np.abs(descent.path_dependent(X_grid)).max() < 1e-6
assert np.abs(adagrad.path_dependent(X)).max() < 1e-6
assert np.abs(adagrad.path_dependent(X_grid)).max() > 1e-3
