"""The public names, for editors and type checkers; ``__init__.py`` loads each on first use."""

from ntklin.algebra.certificate import certify as certify
from ntklin.algebra.preconditioners import LowRank as LowRank
from ntklin.data import Dataset as Dataset
from ntklin.data import load_data as load_data
from ntklin.edge.backends import device_namespace as device_namespace
from ntklin.edge.errors import AccuracyError as AccuracyError
from ntklin.edge.errors import CheckpointError as CheckpointError
from ntklin.edge.errors import ClusterError as ClusterError
from ntklin.edge.errors import ConvergenceError as ConvergenceError
from ntklin.edge.errors import DataUnavailableError as DataUnavailableError
from ntklin.edge.errors import DegenerateKernelError as DegenerateKernelError
from ntklin.edge.errors import DeviceError as DeviceError
from ntklin.edge.errors import DivergenceError as DivergenceError
from ntklin.edge.errors import FloatRangeError as FloatRangeError
from ntklin.edge.errors import InterpolationError as InterpolationError
from ntklin.edge.errors import LearningRateError as LearningRateError
from ntklin.edge.errors import MemoryLimitError as MemoryLimitError
from ntklin.edge.errors import NonMonotoneLossWarning as NonMonotoneLossWarning
from ntklin.edge.errors import NoParametersError as NoParametersError
from ntklin.edge.errors import NtklinError as NtklinError
from ntklin.edge.errors import TrainingInterrupted as TrainingInterrupted
from ntklin.edge.errors import UncachedWarning as UncachedWarning
from ntklin.edge.errors import UnitBallWarning as UnitBallWarning
from ntklin.edge.threads import reproducible as reproducible
from ntklin.networks.activations import Activation as Activation
from ntklin.networks.cluster.network import ClusterNetwork as ClusterNetwork
from ntklin.networks.empirical import ntk as ntk
from ntklin.networks.features import FeatureMap as FeatureMap
from ntklin.networks.flax_params import from_flax as from_flax
from ntklin.networks.flax_params import to_flax as to_flax
from ntklin.networks.infinite import infinite_nngp as infinite_nngp
from ntklin.networks.infinite import infinite_ntk as infinite_ntk
from ntklin.networks.mlp import MLP as MLP
from ntklin.networks.network import FeatureOperator as FeatureOperator
from ntklin.networks.network import Network as Network
from ntklin.networks.scaled import ScaledNetwork as ScaledNetwork
from ntklin.networks.state_dicts import from_state_dict as from_state_dict
from ntklin.networks.state_dicts import to_state_dict as to_state_dict
from ntklin.networks.streamed import StreamedFeatures as StreamedFeatures
from ntklin.networks.symmetrized import AntisymmetricPair as AntisymmetricPair
from ntklin.networks.symmetrized import DoubledNetwork as DoubledNetwork
from ntklin.recipes.estimators import NTKClassifier as NTKClassifier
from ntklin.recipes.estimators import NTKKernel as NTKKernel
from ntklin.recipes.estimators import NTKRegressor as NTKRegressor
from ntklin.recipes.learning_rate import LearningRateSearch as LearningRateSearch
from ntklin.recipes.learning_rate import largest_learning_rate as largest_learning_rate
from ntklin.recipes.learning_rate import search_learning_rate as search_learning_rate
from ntklin.recipes.mitigation import Mitigation as Mitigation
from ntklin.recipes.mitigation import MitigationInterrupted as MitigationInterrupted
from ntklin.recipes.mitigation import decay_initialization as decay_initialization
from ntklin.recipes.mitigation import mitigate_initialization as mitigate_initialization
from ntklin.runs.batches import Batches as Batches
from ntklin.runs.engine import Engine as Engine
from ntklin.runs.optimizers import AdaGrad as AdaGrad
from ntklin.runs.optimizers import Adam as Adam
from ntklin.runs.optimizers import AdamW as AdamW
from ntklin.runs.optimizers import GradientDescent as GradientDescent
from ntklin.runs.optimizers import Momentum as Momentum
from ntklin.runs.optimizers import Preconditioned as Preconditioned
from ntklin.runs.optimizers import RMSprop as RMSprop
from ntklin.runs.schedules import ConstantSchedule as ConstantSchedule
from ntklin.runs.schedules import CosineSchedule as CosineSchedule
from ntklin.runs.schedules import Schedule as Schedule
from ntklin.runs.schedules import StepSchedule as StepSchedule
from ntklin.runs.schedules import WarmupSchedule as WarmupSchedule
from ntklin.runs.stability import sharpness_bound as sharpness_bound
from ntklin.runs.stops import FirstRise as FirstRise
from ntklin.runs.stops import Stop as Stop
from ntklin.runs.stops import TimeLimit as TimeLimit
from ntklin.theory.any_kernel import linearize_kernel as linearize_kernel
from ntklin.theory.cluster_plan import ClusterPlan as ClusterPlan
from ntklin.theory.cluster_plan import plan_cluster as plan_cluster
from ntklin.theory.infinite_mlp import InfiniteMLP as InfiniteMLP
from ntklin.theory.linearization import linearize as linearize
from ntklin.theory.linearized_run import LinearizedRun as LinearizedRun
from ntklin.theory.moments import SGDMoments as SGDMoments
from ntklin.theory.plan import Plan as Plan
from ntklin.theory.plan import plan as plan
from ntklin.theory.solver_options import SolverProgress as SolverProgress
from ntklin.training.ensemble import train_ensemble as train_ensemble
from ntklin.training.recording import TrainingRecords as TrainingRecords
from ntklin.training.train import train as train
from ntklin.training.training_run import TrainingRun as TrainingRun
from ntklin.training.training_run import load_run as load_run

__version__: str
__all__ = [
    "MLP",
    "AccuracyError",
    "Activation",
    "AdaGrad",
    "Adam",
    "AdamW",
    "AntisymmetricPair",
    "Batches",
    "CheckpointError",
    "ClusterError",
    "ClusterNetwork",
    "ClusterPlan",
    "ConstantSchedule",
    "ConvergenceError",
    "CosineSchedule",
    "DataUnavailableError",
    "Dataset",
    "DegenerateKernelError",
    "DeviceError",
    "DivergenceError",
    "DoubledNetwork",
    "Engine",
    "FeatureMap",
    "FeatureOperator",
    "FirstRise",
    "FloatRangeError",
    "GradientDescent",
    "InfiniteMLP",
    "InterpolationError",
    "LearningRateError",
    "LearningRateSearch",
    "LinearizedRun",
    "LowRank",
    "MemoryLimitError",
    "Mitigation",
    "MitigationInterrupted",
    "Momentum",
    "NTKClassifier",
    "NTKKernel",
    "NTKRegressor",
    "Network",
    "NoParametersError",
    "NonMonotoneLossWarning",
    "NtklinError",
    "Plan",
    "Preconditioned",
    "RMSprop",
    "SGDMoments",
    "ScaledNetwork",
    "Schedule",
    "SolverProgress",
    "StepSchedule",
    "Stop",
    "StreamedFeatures",
    "TimeLimit",
    "TrainingInterrupted",
    "TrainingRecords",
    "TrainingRun",
    "UncachedWarning",
    "UnitBallWarning",
    "WarmupSchedule",
    "__version__",
    "certify",
    "decay_initialization",
    "device_namespace",
    "from_flax",
    "from_state_dict",
    "infinite_nngp",
    "infinite_ntk",
    "largest_learning_rate",
    "linearize",
    "linearize_kernel",
    "load_data",
    "load_run",
    "mitigate_initialization",
    "ntk",
    "plan",
    "plan_cluster",
    "reproducible",
    "search_learning_rate",
    "sharpness_bound",
    "to_flax",
    "to_state_dict",
    "train",
    "train_ensemble",
]
