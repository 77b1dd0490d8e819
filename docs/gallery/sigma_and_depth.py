# %% [markdown]
# # σ and depth
#
# How large may the initialization be before it spoils what a network has learned, and how does
# depth change that?
#
# What the initialization leaves in the minimizer is of the size σ^L J, with L layers and
# initialization scale σ. J does not depend on σ, and its mean square over initializations has a
# closed form at infinite width, so that the law can be drawn before any network is
# ([theory](../theory.md)).

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, N, SEEDS = 400, 30, 3  # in tests: 60, 8, 2

data = ntklin.load_data("mnist01", n_train=N, n_test=100)
scales = np.array([0.25, 0.5, 1.0, 2.0])
measured, expected = {}, {}
for L in (2, 3, 4):
    widths = (784, *[WIDTH] * (L - 1), 1)
    measured[L], expected[L] = np.empty((SEEDS, len(scales))), np.empty(len(scales))
    for i, sigma in enumerate(scales):
        net = ntklin.MLP(widths, sigma=sigma, bias="none")
        limit = ntklin.InfiniteMLP(net).linearize(data.X_train).minimizer(data.Y_train)
        expected[L][i] = np.sqrt(limit.expected_initialization_loss(data.X_test))
        for seed in range(SEEDS):
            lin = ntklin.linearize(net, net.init(rng=seed), data.X_train)
            minimizer = lin.minimizer(data.Y_train)
            measured[L][seed, i] = minimizer.initialization_size(data.X_test)

# %%
for L in measured:
    growth = np.log2(measured[L][:, 1:] / measured[L][:, :-1])
    mean = np.sqrt(np.mean(measured[L][:, 2] ** 2))
    print(
        f"L = {L}: each doubling of σ gives a factor of 2^{growth.mean():.3f}; "
        f"at σ = 1 networks have {mean:.2f}, infinite width {expected[L][2]:.2f}"
    )

# %%
fig, ax = plt.subplots(num="Size of f_init against σ for two, three and four layers")
for L, marker, color in zip(measured, "os^", ("C0", "C1", "C2"), strict=True):
    ax.plot(scales, measured[L].T, marker, color=color, markersize=4, fillstyle="none")
    ax.plot(scales, expected[L], color=color, label=f"L = {L}: σ^L √E J²")
ax.set(xscale="log", yscale="log", xlabel="σ", ylabel="‖f_init‖/√(2N) on test data")
ax.set_xticks(scales, [f"{sigma:g}" for sigma in scales])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# Lines are the closed form, markers single networks: the deeper, the steeper. Since a test loss
# is about that of f_int plus the square of this size, halving σ divides the harm by 4^L.
# `ntklin.mitigate_initialization` does that for you and stops where it no longer pays; the price
# is more steps at a given learning rate, as the kernel shrinks by 4^L, too.

# %% [markdown]
# **Check**: the power is L to rounding, and the size that of the limit but for its scatter.

# %%
for L in measured:
    np.testing.assert_allclose(measured[L][:, 1:] / measured[L][:, :-1], 2.0**L, rtol=1e-6)
    ratio = np.sqrt(np.mean(measured[L][:, 2] ** 2)) / expected[L][2]
    assert 0.5 < ratio < 2
