# %% [markdown]
# # Searching for σ with scikit-learn
#
# How does a wide network's score on held-out data depend on its initialization scale, and can
# scikit-learn's grid search choose it?
#
# `ntklin.NTKRegressor` is a trained wide network as an estimator ([with
# scikit-learn](../sklearn.md)): of given width with `kernel="empirical"`, from one θ_0, or at
# infinite width, where it is the mean over all θ_0.

# %%
import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ntklin

WIDTH, N, SEEDS = 100, 120, 2  # in tests: 40, 40, 2

X, y = load_diabetes(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, (y - y.mean()) / y.std(), train_size=N, random_state=0)
scales = [0.25, 0.5, 1.0, 2.0, 4.0]


def search(**options):
    """The search over σ, of a ridge regression with the network's kernel."""
    model = ntklin.NTKRegressor(hidden_widths=(WIDTH, WIDTH), bias="none", **options)
    grid = {"ntkregressor__sigma": scales}
    return GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=5).fit(X, y)


# %%
searches = {"infinite width": search(steps=100)}
for seed in range(SEEDS):
    searches[f"network {seed}"] = search(steps=100, kernel="empirical", random_state=seed)
for name, found in searches.items():
    sigma = found.best_params_["ntkregressor__sigma"]
    print(f"{name:15s} best σ {sigma:4g}, R² on test data {found.score(X_test, y_test):.2f}")

# %%
fig, ax = plt.subplots(num="Cross-validated score against σ, at infinite width and of networks")
for name, found in searches.items():
    scores = found.cv_results_["mean_test_score"]
    ax.plot(scales, scores, marker="o", markersize=4, label=name)
ax.set(xscale="log", xlabel="σ", ylabel="R², mean of 5 folds", ylim=(-1, 0.6))
ax.set_xticks(scales, [f"{sigma:g}" for sigma in scales])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# Each is stopped after 100 steps. The learning rate goes with the kernel, so that at infinite width
# σ changes nothing here; of single networks large σ lose, as f_init grows like σ³ with three
# layers ([σ and depth](sigma_and_depth.md)). The search finds that, and takes a small one.

# %% [markdown]
# **Check**: for the limit all σ are alike, for networks the best σ is far better than the largest.

# %%
limit = searches.pop("infinite width").cv_results_["mean_test_score"]
assert np.ptp(limit) < 1e-6
for found in searches.values():
    scores = found.cv_results_["mean_test_score"]
    assert found.best_params_["ntkregressor__sigma"] <= 1
    assert scores.max() > scores[-1] + 0.2
