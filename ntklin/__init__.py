"""Which of its many global minima does an overparametrized ReLU network converge to? Exactly.

The public names load on first use (PEP 562), so that ``import ntklin`` neither imports Numba nor
compiles anything.
"""

import logging
from importlib import import_module

from ntklin._version import __version__

_HOME = {
    "AccuracyError": "edge.errors",
    "AdaGrad": "runs.optimizers",
    "Adam": "runs.optimizers",
    "AdamW": "runs.optimizers",
    "AntisymmetricPair": "networks.symmetrized",
    "Batches": "runs.batches",
    "CheckpointError": "edge.errors",
    "ClusterError": "edge.errors",
    "ClusterNetwork": "networks.cluster.network",
    "ClusterPlan": "theory.cluster_plan",
    "Dataset": "data",
    "ConstantSchedule": "runs.schedules",
    "ConvergenceError": "edge.errors",
    "CosineSchedule": "runs.schedules",
    "DataUnavailableError": "edge.errors",
    "device_namespace": "edge.backends",
    "DegenerateKernelError": "edge.errors",
    "DeviceError": "edge.errors",
    "DivergenceError": "edge.errors",
    "DoubledNetwork": "networks.symmetrized",
    "Engine": "runs.engine",
    "FeatureMap": "networks.features",
    "FeatureOperator": "networks.network",
    "FirstRise": "runs.stops",
    "FloatRangeError": "edge.errors",
    "InfiniteMLP": "theory.infinite_mlp",
    "GradientDescent": "runs.optimizers",
    "InterpolationError": "edge.errors",
    "LearningRateError": "edge.errors",
    "LearningRateSearch": "recipes.learning_rate",
    "LinearizedRun": "theory.linearized_run",
    "LowRank": "algebra.preconditioners",
    "MLP": "networks.mlp",
    "Activation": "networks.activations",
    "MemoryLimitError": "edge.errors",
    "Mitigation": "recipes.mitigation",
    "MitigationInterrupted": "recipes.mitigation",
    "Momentum": "runs.optimizers",
    "Network": "networks.network",
    "NTKClassifier": "recipes.estimators",
    "NTKKernel": "recipes.estimators",
    "NTKRegressor": "recipes.estimators",
    "NoParametersError": "edge.errors",
    "NonMonotoneLossWarning": "edge.errors",
    "NtklinError": "edge.errors",
    "Plan": "theory.plan",
    "Preconditioned": "runs.optimizers",
    "RMSprop": "runs.optimizers",
    "SGDMoments": "theory.moments",
    "Schedule": "runs.schedules",
    "SolverProgress": "theory.solver_options",
    "StepSchedule": "runs.schedules",
    "UncachedWarning": "edge.errors",
    "UnitBallWarning": "edge.errors",
    "WarmupSchedule": "runs.schedules",
    "from_flax": "networks.flax_params",
    "from_state_dict": "networks.state_dicts",
    "infinite_nngp": "networks.infinite",
    "infinite_ntk": "networks.infinite",
    "ScaledNetwork": "networks.scaled",
    "Stop": "runs.stops",
    "StreamedFeatures": "networks.streamed",
    "TimeLimit": "runs.stops",
    "TrainingInterrupted": "edge.errors",
    "TrainingRecords": "training.recording",
    "TrainingRun": "training.training_run",
    "certify": "algebra.certificate",
    "decay_initialization": "recipes.mitigation",
    "largest_learning_rate": "recipes.learning_rate",
    "linearize": "theory.linearization",
    "linearize_kernel": "theory.any_kernel",
    "load_data": "data",
    "mitigate_initialization": "recipes.mitigation",
    "load_run": "training.training_run",
    "ntk": "networks.empirical",
    "plan": "theory.plan",
    "plan_cluster": "theory.cluster_plan",
    "reproducible": "edge.threads",
    "search_learning_rate": "recipes.learning_rate",
    "sharpness_bound": "runs.stability",
    "to_flax": "networks.flax_params",
    "to_state_dict": "networks.state_dicts",
    "train": "training.train",
    "train_ensemble": "training.ensemble",
}

# Rooms log what they decide, under "ntklin.runs" and the like; who wants to read it adds a handler.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'ntklin' has no attribute {name!r}")
    value = getattr(import_module(f"ntklin.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
