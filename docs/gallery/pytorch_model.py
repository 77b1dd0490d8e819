# %% [markdown]
# # The kernel of a PyTorch model
#
# What is the tangent kernel of a model that I have in PyTorch, and which learning rates will it
# stand?
#
# `ntklin.from_state_dict` reads what `model.state_dict()` returns, and needs no PyTorch for that.
# Of a real model:
#
#     model = torch.nn.Sequential(
#         torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
#     state = model.state_dict()
#
# Here the same dictionary is made by hand, with PyTorch's own uniform initialization:

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, N = 256, 60  # in tests: 32, 12

rng = np.random.default_rng(0)


def linear(n_in, n_out):
    """The weight and the bias of a new torch.nn.Linear."""
    bound = 1 / np.sqrt(n_in)
    return rng.uniform(-bound, bound, (n_out, n_in)), rng.uniform(-bound, bound, n_out)


state = dict(zip(("0.weight", "0.bias"), linear(20, WIDTH), strict=True))
state |= zip(("2.weight", "2.bias"), linear(WIDTH, 1), strict=True)

Y = np.repeat([-1.0, 1.0], N // 2)  # two clouds of points, one after the other
X = rng.standard_normal((N, 20)) + Y[:, None]
X /= np.linalg.norm(X, axis=1).max()

# %%
net, theta = ntklin.from_state_dict(state)
K = ntklin.ntk(net, theta, X)
lin = ntklin.linearize(net, theta, X)
print(f"widths {net.widths}, scaling {net.scaling!r}")
print(f"K is {K.shape[0]}×{K.shape[1]}, λ_max/N = {lin.eigenvalues[-1] / N:.2f}")
print(f"loss ‖f − y‖²/(2N): learning rates below {lin.max_learning_rate:.2f}")
print(f"torch.nn.MSELoss, without the 1/2: below {lin.max_learning_rate / 2:.2f}")

# %%
trained = {}
for factor in (0.9, 1.1):
    gd = lin.gradient_descent(Y, learning_rate=factor * lin.max_learning_rate)
    trained[factor] = gd.loss(np.arange(0, 101, 5))
    print(
        f"η = {factor} times that: loss {gd.loss(0):.3f} → {trained[factor][-1]:.2g} in 100 steps"
    )

# %%
fig, (left, right) = plt.subplots(
    ncols=2, num="The model's kernel, and the loss below and above the largest learning rate"
)
image = left.imshow(K, cmap="cividis")
left.set(title="K(x, x')", xlabel="sample", ylabel="sample")
left.grid(False)
fig.colorbar(image, ax=left)
for factor, losses in trained.items():
    right.plot(np.arange(0, 101, 5), losses, label=f"η = {factor} · largest")
right.set(yscale="log", xlabel="t", ylabel="loss")
right.legend()
plt.show()

# %% [markdown]
# A model read this way has PyTorch's parametrization, `scaling="standard"`: no factors 1/√m, the
# same numbers as in the state dict, and the kernel that `torch.func` computes for it.
# `ntklin.to_state_dict(net, run.parameters)` takes a trained θ back, for `load_state_dict`.

# %% [markdown]
# **Check**: K is the sum over all parameters of products of derivatives, written out by hand, and
# the dictionary comes back with the same bits.

# %%
hidden = np.maximum(X @ state["0.weight"].T + state["0.bias"], 0)
slopes = (hidden > 0) * state["2.weight"]
by_hand = (X @ X.T + 1) * (slopes @ slopes.T) + hidden @ hidden.T + 1
np.testing.assert_allclose(K, by_hand, rtol=1e-10)
back = ntklin.to_state_dict(net, theta)
assert all(np.array_equal(back[key], state[key]) for key in state)
assert trained[0.9][-1] < trained[0.9][0] < trained[1.1][-1]
