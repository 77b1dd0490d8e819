# %% [markdown]
# # AdaGrad against gradient descent on your data
#
# Two optimizers, one network, one θ_0, the same training loss: do they end at the same function,
# and if not, is it the last step's doing or that of the whole path?
#
# Gradient descent's minimizer is decided by the kernel alone. AdaGrad moves each weight at a rate
# D_t of its own that depends on the past, and the function it finds splits into a part that
# interpolates, given the last D_t, and one that is 0 on the training data and remembers the path
# ([Theorem 3](../theory.md)). Put your own data into the first cell: any arrays (N, d) and (N,),
# rows of length 1 or shorter.

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, N, RATES = 500, 40, (0.01, 0.02, 0.05, 0.1)  # in tests: 60, 8, (0.02, 0.1)

data = ntklin.load_data("mnist01", n_train=N, n_test=200)
X, y, X_test, y_test = data.X_train, data.Y_train, data.X_test, data.Y_test


def size(f):
    """The root of the mean square over the test set."""
    return np.sqrt(np.mean(f**2))


# %%
net = ntklin.MLP((X.shape[1], WIDTH, 1), sigma=0.5)
lin = ntklin.linearize(net, net.init(rng=1), X)
descent = lin.train(y, ntklin.GradientDescent(), until=1e-5)
print(f"gradient descent: test loss {size(descent.predict(X_test) - y_test) ** 2 / 2:.4f}")

runs, of_the_metric, of_the_path = [], [], []
for rate in RATES:
    run = lin.train(y, ntklin.AdaGrad(rate), until=1e-5)
    runs.append(run)
    of_the_metric.append(size(run.interpolating(X_test) - descent.interpolating(X_test)))
    of_the_path.append(size(run.path_dependent(X_test)))
    print(
        f"AdaGrad, η = {rate}: test loss {size(run.predict(X_test) - y_test) ** 2 / 2:.4f}, "
        f"path-dependent part {of_the_path[-1]:.3f}"
    )

# %%
fig, (left, right) = plt.subplots(
    ncols=2, num="AdaGrad's outputs against gradient descent's, and the parts of their difference"
)
left.plot([-0.3, 1.3], [-0.3, 1.3], color="0.6", linestyle="-")
left.plot(descent.predict(X_test), runs[-1].predict(X_test), "o", markersize=3)
left.set(xlabel="gradient descent at a test image", ylabel=f"AdaGrad, η = {RATES[-1]}, there")
right.plot(RATES, of_the_metric, marker="s", label="interpolating parts differ by")
right.plot(RATES, of_the_path, marker="o", label="path-dependent part")
right.set(xscale="log", yscale="log", xlabel="AdaGrad's learning rate", ylabel="size on test data")
right.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
right.minorticks_off()
right.legend()
plt.show()

# %% [markdown]
# All of these runs fit the same data to the same loss and end at different functions. The part that
# interpolates differs by AdaGrad's metric, whatever the learning rate; it is as if D had always
# been what it is at the end. What the path leaves grows with the learning rate, as D_t then changes
# while there is much to be learned. Gradient descent has no such part: of it nothing but the start
# and the data counts, with mini-batches, too.

# %% [markdown]
# **Check**: all fit; the parts add up; gradient descent has no path-dependent part; AdaGrad's is
# 0 on the training data, not elsewhere, and grows with the learning rate.

# %%
for run in (descent, *runs):
    assert run.converged
    whole = run.interpolating(X_test) + run.path_dependent(X_test)
    np.testing.assert_allclose(whole, run.predict(X_test), atol=1e-6)
    assert np.abs(run.path_dependent(X)).max() < 1e-6
assert size(descent.path_dependent(X_test)) < 1e-6
assert of_the_path[-1] > 2 * of_the_path[0] > 0
