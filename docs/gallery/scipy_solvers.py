# %% [markdown]
# # SciPy's solvers on φ
#
# The Jacobian of a wide network does not fit into memory. Which of SciPy's iterative solvers can
# work with it all the same, and do they find the minimizer?
#
# `net.features(theta, X)` is φ(X) = ∇_θ f(X) as a SciPy `LinearOperator`: it multiplies, and never
# stores its N × P entries. Gradient descent ends at the shortest step with φ(X)(θ − θ_0) = Y − f_0,
# and that is what least-squares solvers find from 0 ([design](../design.md)).

# %%
import numpy as np
from matplotlib import pyplot as plt
from scipy.sparse.linalg import cg, lsmr, lsqr

import ntklin

WIDTH, N = 2000, 200  # in tests: 60, 12

data = ntklin.load_data("mnist01", n_train=N, n_test=100)
net = ntklin.MLP((784, WIDTH, 1))
theta = net.init(rng=0)
phi = net.features(theta, data.X_train)
residual = data.Y_train - phi.outputs
print(f"φ has the shape {phi.shape}: {8 * phi.shape[0] * phi.shape[1] / 1e9:.1f} GB if stored")

# %%
steps = {
    "lsqr": lsqr(phi, residual, atol=1e-12, btol=1e-12)[0],
    "lsmr": lsmr(phi, residual, atol=1e-12, btol=1e-12, maxiter=10 * N)[0],
}
history = []  # of conjugate gradients on K c = Y − f_0, with K as a product
coefficients, info = cg(
    phi @ phi.T, residual, rtol=1e-11, callback=lambda c: history.append(c.copy())
)
steps["cg"] = phi.T @ coefficients

minimizer = ntklin.linearize(net, theta, data.X_train).minimizer(data.Y_train)
exact = minimizer.predict(data.X_test)
there = net.features(theta, data.X_test)
for name, step in steps.items():
    error = np.abs(there.outputs + there @ step - exact).max()
    print(
        f"{name:5s} differs from the closed form on test images by less than 1e-6: {error < 1e-6}"
    )

# %%
maps = there @ phi.T  # K(X_test, X), as a product
errors = [np.linalg.norm(there.outputs + maps @ c - exact) for c in history]
lin = minimizer.linearization
times = np.unique(np.logspace(0, np.log10(len(history)), 12).astype(int))
descent = lin.gradient_descent(data.Y_train).predict(data.X_test, t=times)
fig, ax = plt.subplots(num="Distance from the minimizer after conjugate gradients and descent")
ax.plot(np.arange(1, len(errors) + 1), errors / np.linalg.norm(exact), label="conjugate gradients")
ax.plot(times, np.linalg.norm(descent - exact, axis=1) / np.linalg.norm(exact), "o--",
        label="gradient descent", markersize=4)  # fmt: skip
ax.set(xscale="log", yscale="log", xlabel="products with K")
ax.set_ylabel("relative distance from f_∞ on test data")
ax.legend()
plt.show()

# %% [markdown]
# All three go to the same function, since all stay in the span of the N gradients φ(X)^T. The same
# number of products leaves plain gradient descent far behind: it is the minimizer that training
# goes to, not the way to compute it. `lin.minimizer(Y, solver="pcg")` is such a solver with a
# preconditioner ([many samples](../scale.md)).

# %% [markdown]
# **Check**: each solver's step gives the closed form's outputs, and conjugate gradients are nearer.

# %%
assert info == 0
for step in steps.values():
    np.testing.assert_allclose(there.outputs + there @ step, exact, atol=1e-6)
assert errors[-1] < np.linalg.norm(descent[-1] - exact)
