"""The initialization study of Sect. 3: what the scale σ leaves in the minimizer."""

from ntklin.study.config import DEFAULT_SIGMAS, StudyConfig, default_hidden_widths
from ntklin.study.record import CONVERGED, DIVERGED, NOT_TRAINED, STEP_LIMIT, Record
from ntklin.study.result import PowerLaw, Row, Statistic, StudyResult
from ntklin.study.sweep import Observer, records

__all__ = [
    "CONVERGED",
    "DEFAULT_SIGMAS",
    "DIVERGED",
    "NOT_TRAINED",
    "STEP_LIMIT",
    "Observer",
    "PowerLaw",
    "Record",
    "Row",
    "Statistic",
    "StudyConfig",
    "StudyResult",
    "default_hidden_widths",
    "records",
]
