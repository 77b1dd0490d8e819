"""Networks that somebody else made, in each of which one thing is wrong."""

import functools
import math
from types import SimpleNamespace

import numpy as np

from fuzz.hostile import Hostile
from fuzz.oddities import ASKED, raising

DIRECTIONS = np.random.default_rng(0).standard_normal((2, 13))


class Features:
    """cos(X W), the features of a network that is linear in θ, as bare as they may be."""

    def __init__(self, network, theta, X):
        self.network, self.parameters, self.inputs = network, theta, X
        self.J = np.cos(np.asarray(X) @ DIRECTIONS)
        self.outputs = self.J @ theta
        self.shape, self.dtype = self.J.shape, self.J.dtype

    def __matmul__(self, v):
        return self.J @ v

    @property
    def T(self):
        return self.J.T

    def gram(self, other=None, weights=None):
        J = self.J if other is None else other.J
        return (self.J if weights is None else self.J * weights) @ J.T


def network(**changes):
    """One that is as it should be, but for these members."""
    found = SimpleNamespace(n_inputs=2, n_parameters=13)
    found.apply = lambda theta, X: Features(found, theta, X).outputs
    found.features = lambda theta, X: Features(found, theta, X)
    vars(found).update(changes)
    return found


def with_outputs(change):
    """One whose outputs are changed, those of its features, too."""
    found = network()
    found.apply = lambda theta, X: change(Features(found, theta, X).outputs)
    found.features = lambda theta, X: _changed(Features(found, theta, X), "outputs", change)
    return found


def with_features(name, change):
    """One whose features have another member of this name."""
    found = network()
    found.features = lambda theta, X: _changed(Features(found, theta, X), name, change)
    return found


def with_gram(change):
    """One whose kernel is changed."""
    found = network()

    def features(theta, X):
        phi = Features(found, theta, X)
        gram = phi.gram
        phi.gram = lambda *a, **named: change(gram(*a, **named))
        return phi

    found.features = features
    return found


def _changed(phi, name, change):
    setattr(phi, name, change(getattr(phi, name)))
    return phi


CHANGES = {
    "nothing": lambda a: None,
    "text": lambda a: "x",
    "a number": lambda a: 1.0,
    "too few": lambda a: a[:-1],
    "too many": lambda a: np.concatenate([a, a]),
    "one more axis": lambda a: a[..., None],
    "NaN": lambda a: a * math.nan,
    "infinity": lambda a: a + math.inf,
    "complex": lambda a: a + 1j,
    "integers": lambda a: a.astype(int),
    "float16": lambda a: a.astype("f2"),
    "objects": lambda a: a.astype(object),
    "lists": lambda a: a.tolist(),
    "huge numbers": lambda a: np.full_like(a, 1.7e308),
    "a mask": np.ma.masked_array,
}
MEMBERS = ("x", None, -1, 0, 1.5, 10**400, math.nan)


def _all():
    found = {"as it should be": network}
    for label, change in CHANGES.items():
        found[f"outputs: {label}"] = functools.partial(with_outputs, change)
        found[f"kernel: {label}"] = functools.partial(with_gram, change)
        found[f"J: {label}"] = functools.partial(with_features, "J", change)
    for name in ("n_inputs", "n_parameters", "n_outputs"):
        for value in MEMBERS:
            label = f"{name} = {str(value)[:10]}"
            found[label] = functools.partial(network, **{name: value})
    for name in ("apply", "features"):
        found[f"{name} raises"] = lambda name=name: network(**{name: raising(ValueError(ASKED))})
        found[f"{name} is none"] = functools.partial(network, **{name: 3})
    for shape in ((4,), (), "x", None, (4, 3)):
        found[f"shape = {shape}"] = functools.partial(
            with_features, "shape", lambda _, shape=shape: shape
        )
    for dtype in ("i8", "c16", "x", None, "f2"):
        found[f"dtype = {dtype}"] = functools.partial(
            with_features, "dtype", lambda _, dtype=dtype: dtype
        )
    return tuple(Hostile(f"a network, {label}", make) for label, make in found.items())


NETWORKS_OF_OTHERS = _all()
