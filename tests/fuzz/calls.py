"""Every public function with arguments that are as they should be, and hostile ones instead."""

import contextlib
import functools
import inspect
import tempfile
from typing import NamedTuple

from hypothesis import strategies as st

from fuzz.calls_of_data import DATA
from fuzz.calls_of_networks import NETWORKS
from fuzz.calls_of_theory import THEORY
from fuzz.calls_of_training import TRAINING
from fuzz.hostile import Hostile, each, values
from fuzz.outcomes import Verdict, judged
from fuzz.places import prepare

CALLS = NETWORKS | THEORY | TRAINING | DATA


@functools.cache
def folder():
    """Where files go, with all that can be in their place; gone when the process ends."""
    found = tempfile.TemporaryDirectory(prefix="ntklin-fuzz-")
    prepare(found.name)
    return found


class Case(NamedTuple):
    """A call with some hostile arguments."""

    where: str
    hostile: dict[str, Hostile]

    @property
    def label(self):
        """How it is called in reports."""
        inside = ", ".join(f"{name} = {value.label}" for name, value in self.hostile.items())
        return f"{self.where}({inside})"

    def __repr__(self):
        return self.label

    def judged(self) -> Verdict:
        """What comes of it."""
        with contextlib.chdir(folder().name):  # some of them write files
            return judged(CALLS[self.where], self.hostile)


# Public names that nobody calls: raised, returned, or for others to fill.
NOT_CALLED = {
    *("ClusterPlan", "Plan", "SGDMoments", "SolverProgress", "TrainingRecords", "TrainingRun"),
    *("LearningRateSearch", "LinearizedRun", "Mitigation", "FeatureMap", "StreamedFeatures"),
    *("Engine", "FeatureOperator", "Network", "Schedule", "Stop", "FirstRise", "__version__"),
    *("reproducible", "NTKClassifier", "NTKKernel", "NTKRegressor"),
}
CHECKED_BY_SCIKIT_LEARN = {
    **dict.fromkeys(("NTKRegressor.fit", "NTKClassifier.fit"), ("X", "y", "sample_weight")),
    "NTKRegressor.predict": ("X", "return_std"),
    **dict.fromkeys(("NTKClassifier.predict", "NTKClassifier.decision_function"), ("X",)),
    "NTKKernel.diag": ("X",),
}
# Parameters that are left as they are: (where, name), and why.
LEFT_OUT = {
    **{
        (f"ClusterNetwork.{method}", name): "tests/test_cluster.py, which has a cluster"
        for method in ("apply", "features")
        for name in ("theta", "X")
    },
    **{
        (where, name): "scikit-learn checks, and check_estimator holds that"
        for where, names in CHECKED_BY_SCIKIT_LEARN.items()
        for name in names
    },
    ("FeatureMap.gram", "blocks"): "the library's own",
    ("StreamedFeatures.gram", "blocks"): "the library's own",
    **{
        (f"{kind}.linearized", "rule"): "working memory of the engines"
        for kind in ("FeatureMap", "StreamedFeatures")
    },
    ("Stop.first", "block"): "of the loop",
    ("FirstRise.first", "block"): "of the loop",
    ("TimeLimit.first", "block"): "of the loop",
    ("TrainingRun.write", "f"): "an open file",
    ("LinearizedRun.write", "f"): "an open file",
    ("Optimizer.step", "state"): "trusts what it gets: ``update`` checks",
}


def is_raised(public):
    """Whether a public name is an error or a warning."""
    return inspect.isclass(public) and issubclass(public, BaseException)


@st.composite
def cases(draw, where=None):
    """A call with one or two hostile arguments.

    Parameters
    ----------
    where : str, optional
        A key of CALLS; any of them when not given.

    Returns
    -------
    Case
    """
    where, first = draw(st.sampled_from(parameters(where)))  # each as often as any other
    arguments = CALLS[where].arguments
    names = [first]
    if draw(st.booleans()):  # an error at one argument hides what another would lead to
        names.append(draw(st.sampled_from(parameters(where)))[1])
    return Case(where, {name: draw(values(arguments[name])) for name in names})


def grid(number):
    """One parameter with each value that is listed, and all others as they should be.

    Parameters
    ----------
    number : int
        Of the parameter, among all of all functions; beyond the last there is none.

    Yields
    ------
    Case
    """
    for where, name in parameters()[number : number + 1]:
        for value in each(CALLS[where].arguments[name]):
            yield Case(where, {name: value})


@functools.cache
def parameters(where=None):
    """All parameters as (function, name): of one function, or of all."""
    chosen = sorted(CALLS) if where is None else [where]
    return [(one, name) for one in chosen for name in sorted(CALLS[one].arguments)]
