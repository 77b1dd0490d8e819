# %% [markdown]
# # A Dask cluster
#
# What changes when the rows of X lie on several machines?
#
# For what is asked of a minimizer, nothing: a `ClusterNetwork` is a network like any other, whose
# features are an operator with its rows on Dask's workers ([on a cluster](../cluster.md)). Here
# two workers are threads of this process; on real machines the address of their scheduler stands in
# the place of the client.

# %%
import numpy as np
from distributed import Client, LocalCluster
from matplotlib import pyplot as plt

import ntklin

WIDTH, N = 300, 400  # in tests: 40, 20

data = ntklin.load_data("mnist01", n_train=N, n_test=100)
net = ntklin.MLP((784, WIDTH, 1))
theta = net.init(rng=0)


def solve(network):
    """The minimizer by conjugate gradients and its residuals on the way."""
    lin = ntklin.linearize(network, theta, data.X_train)
    residuals = []

    def look(progress):
        if progress.phase == "iterations":
            residuals.append(progress.residual)

    options = {"solver": "pcg", "preconditioner": "none", "tol": 1e-8, "progress": look}
    minimizer = lin.minimizer(data.Y_train, **options)
    return minimizer.predict(data.X_test), minimizer.residual, np.array(residuals)


# %%
with (
    LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster,
    Client(cluster) as client,
    ntklin.ClusterNetwork(net, client) as spread,
):
    workers = len(client.scheduler_info()["workers"])
    far, far_residual, far_course = solve(spread)
near, near_residual, near_course = solve(net)
agree = np.abs(far - near).max() < 1e-5
print(f"{workers} workers, {N // workers} rows each")
print(f"outputs agree with those of one machine to 1e-5: {agree}")

# %%
fig, ax = plt.subplots(num="Residuals of conjugate gradients on a cluster and on one machine")
ax.plot(np.arange(1, len(near_course) + 1), near_course, linewidth=4, alpha=0.4, linestyle="-",
        label="one machine")  # fmt: skip
ax.plot(np.arange(1, len(far_course) + 1), far_course, color="C1", label="cluster")
ax.set(yscale="log", xlabel="iterations", ylabel="‖Kα − R‖/‖R‖")
ax.legend()
plt.show()

# %% [markdown]
# Both take one path, up to rounding: the cluster makes the products K v, conjugate gradients stay
# here, and vectors of length N are all that passes. If a worker dies, its rows are made again
# elsewhere, and the result has the same bits. `ntklin.plan_cluster` says what a cluster will take
# for N = 10⁷.

# %% [markdown]
# **Check**: both residuals are below what was asked for, and the outputs agree.

# %%
assert max(far_residual, near_residual) < 1e-8
assert workers == 2
assert agree
