"""Which public functions each statement is about."""

from __future__ import annotations

from dataclasses import replace

from ntklin.validation.theorems.check import Check, Statement, joined
from ntklin.validation.theorems.library import (
    along_runs,
    classes,
    decayed_descents,
    descents,
    enclosures,
    exchanged,
    initialization,
    kernels,
    limits,
    linearized_runs,
    minimizers,
    moments,
    networks,
    optimizers,
    product_forms,
    recipes,
    residuals,
    resumed,
    schedules,
    training,
    training_records,
    weighted_minimizers,
)

OF: dict[str, tuple[Check, ...]] = {
    "kernel-limit": networks.FEATURES + exchanged.EXCHANGED + limits.KERNELS,
    "lemma1": training.LEMMA_1,
    "theorem1": minimizers.THEOREM_1
    + minimizers.BY_SOLVERS
    + kernels.KERNELS
    + enclosures.ENCLOSURES
    + residuals.BOUNDS,
    "theorem2": minimizers.THEOREM_2 + limits.TRAINING + recipes.MITIGATION,
    "symmetrized": networks.MADE,
    "theorem3": linearized_runs.OPTIMIZED
    + product_forms.GIVEN
    + training.THEOREM_3
    + resumed.LINEARIZED_CONTINUED,
    "example1": weighted_minimizers.EXAMPLE_1,
    "theorem4": training.THEOREM_4 + training.ENGINES_AGREE,
    "theorem5": weighted_minimizers.WEIGHTED + decayed_descents.WEIGHTED + product_forms.THEOREM_5,
    "theorem6": product_forms.THEOREM_6,
    "section6": training_records.SECTION_6 + resumed.CONTINUED,
    "appendix-a": weighted_minimizers.FEW_PARAMETERS + decayed_descents.RIDGE,
    "lemma2": minimizers.NORMS["lemma2"],
    "lemma3": minimizers.NORMS["lemma3"],
    "lemma4": networks.EULER,
    "lemma5": initialization.LEMMA_5,
    "lemma6": initialization.LEMMA_6,
    "theorem7": along_runs.THEOREM_7 + training_records.CONCENTRATING,
    "lemma7": networks.LIPSCHITZ,
    "theorem8": training_records.THEOREM_8 + training.LOSSES,
    "smooth": networks.ACTIVATIONS,
    "equation18": descents.EQUATION_18,
    "equation19": descents.EQUATION_19,
    "wilson": classes.WILSON,
    "shah": classes.SHAH,
    "momentum": descents.MOMENTUM,
    "decay": decayed_descents.DECAY + decayed_descents.DECOUPLED,
    "flip": decayed_descents.FLIP,
    "schedule": schedules.SCHEDULES,
    "sgd-moments": moments.MOMENTS + moments.OUTPUTS,
    "label-noise": minimizers.NOISE + along_runs.SENSITIVITY,
    "edge-of-stability": optimizers.EDGE + recipes.LARGEST_RATE,
    "sign-descent": along_runs.SIGN_DESCENT,
    "lazy-training": training_records.LAZY,
    "adam-batches": training.ADAM_BATCHES,
    "adamw-box": optimizers.RULES,
}

TEXT = """

The library's results are held to exact arithmetic. What they may be off by is derived in
``validation/theorems/library/agreement.py``.
"""


def held_to_it(statement: Statement) -> Statement:
    """The statement with the checks of what the library makes of it."""
    text = None if statement.text is None else joined(statement.text, TEXT)
    return replace(statement, checks=statement.checks + OF[statement.key], text=text)
