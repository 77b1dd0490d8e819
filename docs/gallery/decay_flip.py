# %% [markdown]
# # The decay flip
#
# Does a little weight decay, so little that the data is fitted all the same, take what the
# initialization has left out of the minimizer?
#
# It does not: it turns its sign. However small the decay w > 0 is, for t → ∞ the minimizer has
# −(L − 1) f_init in the place of f_init; for two layers as much harm as before, for three twice
# as much ([theory](../theory.md)). On the way there, at one time, it is gone.

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

WIDTH, N = 1000, 30  # in tests: 60, 6

data = ntklin.load_data("mnist01", n_train=N, n_test=100)
X, Y, X_test = data.X_train, data.Y_train, data.X_test


def share(f, m):
    """The a for which f is nearest to f_int + a f_init on the test set."""
    f_init = m.initialization(X_test)
    return (f - m.interpolator(X_test)) @ f_init / (f_init @ f_init)


# %%
times = np.unique(np.logspace(1, 7, 60).astype(int))
courses, ends = {}, {}
for L in (2, 3):
    net = ntklin.MLP((784, *[WIDTH] * (L - 1), 1))
    lin = ntklin.linearize(net, net.init(rng=0), X)
    m = lin.minimizer(Y)
    decay = 1e-3 * lin.eigenvalues[0] / N  # a thousandth of what the slowest direction has
    gd = lin.gradient_descent(Y, weight_decay=decay)
    courses[L] = [share(f, m) for f in gd.predict(X_test, t=times)]
    ends[L] = share(gd.predict(X_test, t=None), m), share(m.decayed(X_test), m)
    print(
        f"L = {L}: without decay f_int + {share(m.predict(X_test), m):.2f} f_init, with it "
        f"f_int {ends[L][0]:+.2f} f_init, in the limit {ends[L][1]:+.2f}"
    )

# %%
fig, ax = plt.subplots(num="How much of f_init is left under a small weight decay, against t")
for L, course in courses.items():
    ax.plot(times, course, label=f"L = {L}")
ax.axhline(0, color="0.4", linewidth=1)
ax.set(xscale="log", xlabel="t", ylabel="a in f_t ≈ f_int + a f_init", ylim=(-2.3, 1.6))
ax.legend()
plt.show()

# %% [markdown]
# The line stays at 1 as long as decay has done nothing, passes 0 where (1 − ηw)^t is 1 − 1/L, and
# ends at −(L − 1). The reason: f is homogeneous in θ of degree L, its linearization at θ_0 is not.
# Decay takes all of (1 − P_F)θ_0 away, L times what it would take to undo f_init. So decay helps
# for a while, which `ntklin.decay_initialization` makes use of, and a smaller σ helps for good
# ([σ and depth](sigma_and_depth.md)).

# %% [markdown]
# **Check**: the end is where the formula says, and on its way the line was at 1 and at 0.

# %%
for L, (with_decay, in_the_limit) in ends.items():
    np.testing.assert_allclose(in_the_limit, -(L - 1), atol=1e-6)
    np.testing.assert_allclose(with_decay, -(L - 1), atol=0.01)
    assert max(courses[L]) > 0.9
    assert min(courses[L]) < 0
