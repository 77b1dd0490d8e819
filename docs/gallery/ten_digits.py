# %% [markdown]
# # Ten digits
#
# How well does a network of ten outputs read digits, by its closed form, by its limit of infinite
# width, and after real training?
#
# The 8×8 images are scikit-learn's, so that nothing has to be downloaded;
# `ntklin.load_data("mnist", classes=range(10))` has the large ones ([data](../data.md)).

# %%
import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

import ntklin

WIDTH, N, LOSS = 300, 200, 3e-2  # in tests: 300, 20, 2e-1

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
X = images[order] / np.linalg.norm(images[order], axis=1, keepdims=True)
labels = labels[order]
Y = np.eye(10)[labels]  # a column for each digit
X_test, labels_test = X[1000:], labels[1000:]
X, Y = X[:N], Y[:N]


def accuracy(outputs):
    """The share of test images whose largest output is that of their digit."""
    return np.mean(outputs.argmax(axis=1) == labels_test)


# %%
net = ntklin.MLP((64, WIDTH, 10))
theta = net.init(rng=0)
run = ntklin.train(net, theta, X, Y, until=LOSS)
gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
limit = ntklin.InfiniteMLP(net).linearize(X).minimizer(Y)
found = {
    "network, at θ_0": net.apply(theta, X_test),
    "network, trained": run.predict(X_test),
    "closed form, same step": gd.predict(X_test, t=run.steps),
    "closed form, t → ∞": gd.predict(X_test, t=None),
    "infinite width, t → ∞": limit.predict(X_test),
}
for name, outputs in found.items():
    print(f"{name:24s}{100 * accuracy(outputs):3.0f} %")

# %%
fig, (left, right) = plt.subplots(
    ncols=2,
    width_ratios=(1.2, 1),
    num="Test accuracy of five predictions, and outputs of network and closed form",
)
left.barh(list(found), [100 * accuracy(outputs) for outputs in found.values()], color="C0")
left.invert_yaxis()
left.set(xlabel="test accuracy in %", xlim=(0, 100))
right.plot([-0.6, 1.2], [-0.6, 1.2], color="0.6", linestyle="-")
there = found["closed form, same step"][:60].ravel(), found["network, trained"][:60].ravel()
right.plot(*there, "o", markersize=2)
right.set(xlabel="closed form, 60 images", ylabel="trained network there")
plt.show()

# %% [markdown]
# The closed form of step t takes one factorization of the kernel, whatever t, and says not just how
# many digits the trained network reads, but which numbers it puts out for them. At infinite width
# the ten outputs are independent and share one N×N matrix, so that the last line costs next to
# nothing; it is the mean over all initializations, and here better than a single one.

# %% [markdown]
# **Check**: the closed form is as accurate as the trained network within five points, and agrees
# with it on most single images.

# %%
same_step, trained = found["closed form, same step"], found["network, trained"]
assert abs(accuracy(same_step) - accuracy(trained)) < 0.05
assert np.mean(same_step.argmax(axis=1) == trained.argmax(axis=1)) > 0.8
assert accuracy(limit.predict(X_test)) > 0.5
