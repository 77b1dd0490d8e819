"""The paper's lemmas and theorems as checks that run, one file per statement.

``STATEMENTS`` lists them in the paper's order; ``run`` measures them, each beside its control.
"""

from ntklin.validation.theorems import (
    adam_batches,
    adamw_box,
    appendix_a,
    edge_of_stability,
    equation18,
    equation19,
    example1,
    kernel_limit,
    lazy_training,
    lemma1,
    lemma2,
    lemma3,
    lemma4,
    lemma5,
    lemma6,
    lemma7,
    section6,
    sign_descent,
    smooth,
    symmetrized,
    theorem1,
    theorem2,
    theorem3,
    theorem4,
    theorem5,
    theorem6,
    theorem7,
    theorem8,
    wilson,
)
from ntklin.validation.theorems.check import (
    Check,
    Curve,
    Measurement,
    Setting,
    Statement,
    Strength,
)
from ntklin.validation.theorems.verdicts import Verdict, run

STATEMENTS = tuple(
    module.STATEMENT
    for module in (
        kernel_limit,
        lemma1,
        theorem1,
        theorem2,
        symmetrized,
        theorem3,
        example1,
        theorem4,
        theorem5,
        theorem6,
        section6,
        appendix_a,
        lemma2,
        lemma3,
        lemma4,
        lemma5,
        lemma6,
        theorem7,
        lemma7,
        theorem8,
        smooth,
        equation18,
        equation19,
        wilson,
        edge_of_stability,
        sign_descent,
        lazy_training,
        adam_batches,
        adamw_box,
    )
)

__all__ = [
    "STATEMENTS",
    "Check",
    "Curve",
    "Measurement",
    "Setting",
    "Statement",
    "Strength",
    "Verdict",
    "run",
]
