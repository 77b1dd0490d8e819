# %% [markdown]
# # Many samples
#
# The kernel of N samples has N² entries, 80 GB of them for N = 100,000. Can the minimizer be found
# without it, and how many products does that take?
#
# Conjugate gradients need products φ(φ^T v) alone. How many depends on the preconditioner: none;
# a thousand columns of the kernel (Nyström); or the kernel of infinite width, factorized in
# single precision ([many samples](../scale.md)). The samples are deformed images of the digits 0
# and 1, made here.

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, N, MOST = 1000, 10_000, 200  # in tests: 200, 60, 100

data = ntklin.load_data("mnist_like", n_train=N, n_test=500)
net = ntklin.MLP((784, WIDTH, 1), sigma=0.5)
lin = ntklin.linearize(net, net.init(rng=0), data.X_train)


class Enough(Exception):
    """So many iterations are all that the picture needs of the slowest."""


def solve(preconditioner):
    """The minimizer, or None where it takes too long, and the residuals on the way."""
    residuals = []

    def look(progress):
        if progress.phase == "iterations":
            residuals.append(progress.residual)
            if preconditioner == "none" and len(residuals) == MOST:
                raise Enough

    try:
        return lin.minimizer(
            data.Y_train, solver="pcg", preconditioner=preconditioner, tol=1e-4, progress=look
        ), residuals
    except Enough:
        return None, residuals


# %%
found = {name: solve(name) for name in ("none", "nystrom", "ntk")}
for name, (minimizer, residuals) in found.items():
    ending = "has the minimizer" if minimizer else "is not there yet"
    print(f"{name:8s} residual 10^{np.log10(residuals[-1]):.0f}, {ending}")

minimizer = found["ntk"][0]
accuracy = np.mean((minimizer.predict(data.X_test) > 0.5) == data.Y_test)
print(f"accuracy of the minimizer on {len(data.X_test)} test images: {100 * accuracy:.1f} %")

# %%
fig, ax = plt.subplots(num="Residuals of conjugate gradients with three preconditioners")
for name, (_, residuals) in found.items():
    ax.plot(np.arange(1, len(residuals) + 1), residuals, label=name)
ax.set(yscale="log", xlabel="iterations", ylabel="‖Kα − R‖/‖R‖")
ax.legend(title="preconditioner")
plt.show()

# %% [markdown]
# A preconditioner changes how fast the solution is found, not which one. The limit's kernel is
# the nearer to K the wider the network is, and takes N²/4 numbers; of a narrow one, as here, some
# columns of K itself do more, and still fit where N² does not. `ntklin.plan(net, N)` says
# beforehand what fits and how long it takes; [a cluster](dask_cluster.md) is for what does not
# fit one machine.

# %% [markdown]
# **Check**: the residual is as small as was asked for, by a product with K that the solver did not
# make, and the images are read.

# %%
alpha = minimizer.coefficients[:, 0]  # K⁻¹ Y
there = lin.features @ (lin.features.T @ alpha)
assert np.linalg.norm(there - data.Y_train) < 2e-4 * np.linalg.norm(data.Y_train)
assert len(found["ntk"][1]) < len(found["none"][1])
assert accuracy > 0.9
