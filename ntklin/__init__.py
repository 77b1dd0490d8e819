"""Which of its many global minima does an overparametrized ReLU network converge to? Exactly.

The public names load on first use (PEP 562), so that ``import ntklin`` neither imports Numba nor
compiles anything.
"""

from importlib import import_module

from ntklin._version import __version__

_HOME = {
    "AdaGrad": "optimizers",
    "Adam": "optimizers",
    "AntisymmetricPair": "symmetrized",
    "Batches": "batches",
    "CheckpointError": "errors",
    "Dataset": "data",
    "DataUnavailableError": "errors",
    "device_namespace": "backends",
    "DegenerateKernelError": "errors",
    "DeviceError": "errors",
    "DivergenceError": "errors",
    "DoubledNetwork": "symmetrized",
    "FeatureMap": "features",
    "FloatRangeError": "errors",
    "GradientDescent": "optimizers",
    "InterpolationError": "errors",
    "LearningRateError": "errors",
    "LearningRateSearch": "learning_rate",
    "LinearizedRun": "dynamics.linearized_run",
    "LowRank": "preconditioners",
    "MLP": "network",
    "MemoryLimitError": "errors",
    "Mitigation": "mitigation",
    "MitigationInterrupted": "mitigation",
    "Momentum": "optimizers",
    "NonMonotoneLossWarning": "errors",
    "NtklinError": "errors",
    "Preconditioned": "optimizers",
    "RMSprop": "optimizers",
    "UncachedWarning": "errors",
    "UnitBallWarning": "errors",
    "infinite_nngp": "infinite",
    "infinite_ntk": "infinite",
    "TrainingInterrupted": "errors",
    "TrainingRecords": "recording",
    "TrainingRun": "training_run",
    "certify": "certificate",
    "largest_learning_rate": "training",
    "linearize": "linearization",
    "load_data": "data",
    "mitigate_initialization": "mitigation",
    "load_run": "training_run",
    "ntk": "empirical",
    "search_learning_rate": "learning_rate",
    "train": "training",
    "train_ensemble": "ensemble",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'ntklin' has no attribute {name!r}")
    value = getattr(import_module(f"ntklin.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
