"""What a report says beside its numbers; sentences without their full stops."""

from collections.abc import Iterator

from ntklin.apps.study import DIVERGED, METHODS, STEP_LIMIT, OptimizerRow, StudyConfig, StudyResult


def titles(result: StudyResult) -> dict[str, str]:
    """Texts by the tables' names: "dynamics", "test", "term", "training", "ends", "accuracies".

    Parameters
    ----------
    result : StudyResult

    Returns
    -------
    dict of str to str
    """
    config = result.config
    sigma, until, n_test = config.optimizer_sigma, config.until, len(config.data.X_test)
    batches = ""
    if any(METHODS[row.optimizer].stochastic for row in result.optimizer_rows):
        batches = f"; SGD on |B|/N = {config.split:g}"
    return {
        "dynamics": f"Gradient descent to loss {until:g}",
        "test": f"Test loss ‖f − Y‖²/(2N) on {n_test} test points",
        "term": f"Initialization term{_and_accuracy(result)} on {n_test} test points",
        "training": f"Optimizers at σ = {sigma:g} to loss {until:g}{batches}",
        "ends": f"Where they end, root mean squares over {n_test} test points",
        "accuracies": f"Accuracy on {n_test} test points, σ = {sigma:g}",
    }


def _and_accuracy(result: StudyResult) -> str:
    """Words of a title, where there are classes."""
    is_known = any(one.accuracy_minimizer is not None for one in result.scale_results)
    return " and accuracy" if is_known else ""


def slope_sentence(result: StudyResult) -> str | None:
    """How the initialization term grows with σ, beside Thm 2's power; None without a fit."""
    slope = result.slope
    if slope is None:
        return None
    spread = "" if slope.std is None else f" ± {slope.std:.3f}"
    config = result.config
    theory = f"no power is predicted for {config.activation}"
    if config.power is not None:
        theory = f"theory: {config.power}"
    return f"The initialization term grows like σ^p with p = {slope.mean:.3f}{spread}; {theory}"


def optimizer_sentence(result: StudyResult) -> str | None:
    """How far from gradient descent's minimizer each optimizer ends; None without a comparison."""
    ends = [
        f"{METHODS[row.optimizer].label} {format(distance.mean, '.1e')}"
        for row in result.optimizer_rows
        if (distance := row.statistics["minimizer_distance_linearized"]) is not None
    ]
    if not ends:
        return None
    return (
        f"At σ = {result.config.optimizer_sigma:g} the linearized networks end this far from GD's "
        f"minimizer (root mean square over the test points): {', '.join(ends)}"
    )


def outcome_sentences(result: StudyResult) -> list[str]:
    """What the tables alone do not tell: networks that did not reach the target, missing runs."""
    config = result.config
    sentences = []
    for row in result.rows:
        if count := row.outcomes.get(DIVERGED):
            sentences.append(
                f"σ = {row.sigma:g}: {_networks(count)} diverged at the learning rate at which "
                "the linearized one converges; wider layers stay closer to it"
            )
        if count := row.outcomes.get(STEP_LIMIT):
            sentences.append(
                f"σ = {row.sigma:g}: {_networks(count)} stopped at the step limit, above the "
                f"target loss {config.until:g}"
            )
    for row in result.optimizer_rows:
        sentences += _optimizer_outcomes(config, row)
    if result.infinite_width_missing:
        sentences.append(f"Nothing to compare at infinite width: {result.infinite_width_missing}")
    if not result.complete:
        finished = len(result.scale_results) + len(result.optimizer_results)
        sentences.append(
            f"Incomplete: {finished} of {result.expected} runs finished; "
            "everything shown rests on those"
        )
    return sentences


def _networks(count: int, kind: str = "real") -> str:
    return f"the {kind} network" if count == 1 else f"{count} {kind} networks"


def _optimizer_outcomes(config: StudyConfig, row: OptimizerRow) -> Iterator[str]:
    """The same for one optimizer."""
    if row.optimizer == "gd" and config.optimizer_sigma in config.sigmas:
        return  # told for the sweep
    label = METHODS[row.optimizer].label
    for kind, outcomes in (("linearized", row.outcomes_linearized), ("real", row.outcomes)):
        if count := outcomes.get(DIVERGED):
            yield f"{label}: {_networks(count, kind)} diverged at its learning rate"
        if count := outcomes.get(STEP_LIMIT):
            yield (
                f"{label}: {_networks(count, kind)} stopped at the step limit, above the target "
                f"loss {config.until:g}"
            )
