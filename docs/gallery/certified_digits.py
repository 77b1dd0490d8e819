# %% [markdown]
# # Certified digits
#
# Two training inputs are nearly the same. How many digits of the minimizer can be trusted, and who
# says so?
#
# `ntklin.certify` computes the minimizer of a kernel in ball arithmetic: every number comes with a
# radius that is proved to cover all rounding. Against it a floating-point result has an error that
# is known, not estimated ([what is proved](../trust.md)).

# %%
import numpy as np
from matplotlib import pyplot as plt

import ntklin

N, EXPONENTS = 20, range(8)  # in tests: 5, range(0, 6, 2)

rng = np.random.default_rng(0)
X = rng.standard_normal((N, 5))
X /= np.linalg.norm(X, axis=1, keepdims=True)
X_new = rng.standard_normal((10, 5))
X_new /= np.linalg.norm(X_new, axis=1, keepdims=True)
Y = np.sign(X[:, 0])
net = ntklin.MLP((5, 100, 1))

# %%
gaps, errors, bounds, digits = [], [], [], []
for exponent in EXPONENTS:
    step = 10.0**-exponent
    close = X.copy()
    close[1] = X[0] + step * X[1]
    close[1] /= np.linalg.norm(close[1])
    K = ntklin.infinite_ntk(net, close)
    K_new = ntklin.infinite_ntk(net, X_new, close)
    proof = ntklin.certify(K, Y, K_new)  # of these K, K_new, Y, taken as exact
    solved = np.linalg.solve(K, Y)
    size = np.abs(proof.coefficients.midpoint).max()
    errors.append(proof.coefficients.distance(solved).upper.max() / size)
    bounds.append(ntklin.linearize_kernel(K).minimizer(Y).error_bounds[0])
    digits.append(proof.interpolator.digits)
    gaps.append(np.linalg.norm(close[1] - close[0]))
    print(
        f"distance {gaps[-1]:.0e}: {digits[-1]:.0f} digits are certain in 128 bits, "
        f"float64 has errors below {bounds[-1]:.0e}: {errors[-1] < bounds[-1]}"
    )

# %%
fig, ax = plt.subplots(num="Error of a float64 solution and its bound as two inputs come close")
ax.plot(gaps, bounds, label="error bound by ntklin's minimizer")
ax.plot(gaps, errors, "o--", label="true error of numpy.linalg.solve, certified", markersize=4)
ax.set(xscale="log", yscale="log", xlabel="distance of the two inputs")
ax.set_ylabel("relative error of K⁻¹ Y")
ax.invert_xaxis()
ax.legend()
plt.show()

# %% [markdown]
# As the two inputs come together the condition number grows, and float64 loses a digit for each
# tenth of the distance. What ball arithmetic has are 37 digits all the way, each of them proved;
# `precision=256` has more. The bound, which every minimizer of ntklin carries, covers the kernel's
# own rounding, too, and so lies well above what this one solution has lost.

# %% [markdown]
# **Check**: all proofs have at least ten digits, and the true error never exceeds the bound.

# %%
assert min(digits) >= 10
assert all(error <= bound for error, bound in zip(errors, bounds, strict=True))
