"""The study: what σ leaves in the minimizer (Sect. 3), and what optimizers do (Sects. 4, 5)."""

from ntklin.apps.study.comparison import ComparisonObserver, optimizer_records, require_comparable
from ntklin.apps.study.config import DEFAULT_SIGMAS, StudyConfig, default_hidden_widths
from ntklin.apps.study.methods import METHODS
from ntklin.apps.study.optimizer_record import OptimizerRecord
from ntklin.apps.study.record import CONVERGED, DIVERGED, NOT_TRAINED, STEP_LIMIT, Record
from ntklin.apps.study.result import OptimizerRow, PowerLaw, Row, Statistic, StudyResult
from ntklin.apps.study.sweep import Observer, records

__all__ = [
    "CONVERGED",
    "DEFAULT_SIGMAS",
    "DIVERGED",
    "METHODS",
    "NOT_TRAINED",
    "STEP_LIMIT",
    "ComparisonObserver",
    "Observer",
    "OptimizerRecord",
    "OptimizerRow",
    "PowerLaw",
    "Record",
    "Row",
    "Statistic",
    "StudyConfig",
    "StudyResult",
    "default_hidden_widths",
    "optimizer_records",
    "records",
    "require_comparable",
]
