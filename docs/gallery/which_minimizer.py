# %% [markdown]
# # Which minimizer, in ten lines
#
# Of all networks that fit the training data, which one does gradient descent find, and what of it
# is the initialization's doing?
#
# In the limit of large width the answer is a sum of two functions, f_∞ = f_int + f_init. The first
# interpolates the data and knows nothing else; the second is 0 on the training data and is what is
# left of f_0 elsewhere ([theory](../theory.md)). Both are there before any training:

# %%
import numpy as np

import ntklin

WIDTH, N = 2000, 100  # in tests: 60, 10

data = ntklin.load_data("mnist01", n_train=N, n_test=200)
net = ntklin.MLP((784, WIDTH, 1), sigma=1.0)
theta = net.init(rng=0)

lin = ntklin.linearize(net, theta, data.X_train)
minimizer = lin.minimizer(data.Y_train)
f_int, f_init = minimizer.interpolator(data.X_test), minimizer.initialization(data.X_test)


def loss(f):
    """The test loss ‖f − y‖²/(2N)."""
    return np.mean((f - data.Y_test) ** 2) / 2


print(f"test loss of f_int alone      {loss(f_int):.4f}")
print(f"test loss of f_int + f_init   {loss(f_int + f_init):.4f}")
print(f"what f_init adds, J² σ^(2L)   {np.mean(f_init**2) / 2:.4f}")

# %% [markdown]
# The interpolator alone would have a small part of that loss; most of it is what the draw of θ_0
# has left. Is that so of the real network, too? Train it, and look:

# %%
run = ntklin.train(net, theta, data.X_train, data.Y_train, until=1e-4)
f_real = run.predict(data.X_test)
print(f"test loss of the real network {loss(f_real):.3f}")

# %%
from matplotlib import pyplot as plt

fig, axes = plt.subplots(
    ncols=2, sharey=True, num="Trained outputs against f_int and against f_int + f_init"
)
for ax, f, label in zip(axes, (f_int, f_int + f_init), ("f_int", "f_int + f_init"), strict=True):
    ax.plot([-0.7, 1.7], [-0.7, 1.7], color="0.6", linestyle="-")
    ax.plot(f, f_real, "o", markersize=3)
    ax.set(xlabel=f"{label} at a test image", aspect="equal")
axes[0].set_ylabel("trained network there")
plt.show()

# %% [markdown]
# Each dot is a test image. The interpolator alone does not say where the trained network is; with
# the initialization's part it is on the line. [The next example](sigma_and_depth.md) makes that
# part small.

# %% [markdown]
# **Check**: f_∞ predicts the trained network far better than f_int does.

# %%
assert np.linalg.norm(f_int + f_init - f_real) < 0.5 * np.linalg.norm(f_int - f_real)
