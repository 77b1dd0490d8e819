"""The study: what σ leaves in the minimizer (Sect. 3), and what optimizers do (Sects. 4, 5)."""

from ntklin.apps.study.config import StudyConfig, default_hidden_widths
from ntklin.apps.study.methods import METHODS
from ntklin.apps.study.observer import StudyObserver
from ntklin.apps.study.optimizer_comparison import optimizer_results, require_comparable
from ntklin.apps.study.optimizer_result import OptimizerResult
from ntklin.apps.study.outcomes import CONVERGED, DIVERGED, NOT_TRAINED, STEP_LIMIT
from ntklin.apps.study.scale_result import ScaleResult
from ntklin.apps.study.scale_sweep import scale_results
from ntklin.apps.study.study_result import OptimizerRow, PowerLaw, ScaleRow, Statistic, StudyResult

__all__ = [
    "CONVERGED",
    "DIVERGED",
    "METHODS",
    "NOT_TRAINED",
    "STEP_LIMIT",
    "OptimizerResult",
    "OptimizerRow",
    "PowerLaw",
    "ScaleResult",
    "ScaleRow",
    "Statistic",
    "StudyConfig",
    "StudyObserver",
    "StudyResult",
    "default_hidden_widths",
    "optimizer_results",
    "require_comparable",
    "scale_results",
]
