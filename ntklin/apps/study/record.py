"""The former name of ``outcomes``."""

from ntklin.apps.study.outcomes import CONVERGED, DIVERGED, NOT_TRAINED, STEP_LIMIT

__all__ = ["CONVERGED", "DIVERGED", "NOT_TRAINED", "STEP_LIMIT"]
