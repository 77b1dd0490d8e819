"""Which numbers a report shows, under which heading and with how many digits."""

from dataclasses import dataclass

from ntklin.study import DIVERGED, STEP_LIMIT

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """One number per σ.

    Attributes
    ----------
    name : str
        Of the number in ``Record``.
    heading : str
        Short, for the table's head; a newline where the terminal breaks it.
    meaning : str
        One line, for the report's legend.
    style : str
        The mean's format; the standard deviation has two digits in the same notation.
    """

    name: str
    heading: str
    meaning: str
    style: str


DYNAMICS = (
    Column("lambda_min", "λ_min", "smallest eigenvalue of K(X, X)", ".3g"),
    Column("lambda_max", "λ_max", "largest eigenvalue of K(X, X)", ".4g"),
    Column("learning_rate", "η", "learning rate, 0.5 N/λ_max", ".3g"),
    Column(
        "steps_predicted",
        "steps\npredicted",
        "steps until the linearized network's training loss first drops below the target",
        ",.0f",
    ),
    Column("steps_taken", "steps\ntaken", "steps that the real network took", ",.0f"),
)
TEST = (
    Column("test_loss_interpolator", "f_int", "test loss of the kernel interpolator", ".2e"),
    Column(
        "test_loss_minimizer",
        "f_lin\nt = ∞",
        "test loss of the minimizer that the linearized network converges to, f_int + f_init",
        ".2e",
    ),
    Column(
        "test_loss_linearized",
        "f_lin\nstep t",
        "test loss of the linearized network at the real one's last step, "
        "without training at the predicted one",
        ".2e",
    ),
    Column("test_loss_network", "real net", "test loss of the trained network", ".2e"),
    Column(
        "distance",
        "distance\nreal–lin",
        "root mean square of real minus linearized output on the test points, at the same step",
        ".2e",
    ),
    Column(
        "initialization_size",
        "size of\nf_init",
        "‖f_init(X_T)‖/√(2 N_T), the initialization term in units of the root of a test loss",
        ".2e",
    ),
)


DEVIATION = {".3g": ".2g", ".4g": ".2g", ",.0f": ",.0f", ".2e": ".1e"}


def cell(statistic, style):
    """The mean, and "± standard deviation" where several seeds give one: a pair of texts."""
    if statistic is None:
        return MISSING, ""
    mean = format(statistic.mean, style)
    return mean, "" if statistic.std is None else f"± {format(statistic.std, DEVIATION[style])}"


def slope_sentence(result):
    """How the initialization term grows with σ, beside what Thm 2 says; None without a fit."""
    slope = result.slope
    if slope is None:
        return None
    spread = "" if slope.std is None else f" ± {slope.std:.3f}"
    depth = result.config.depth
    return (
        f"The initialization term grows like σ^p with p = {slope.mean:.3f}{spread}; theory: {depth}"
    )


def outcome_sentences(result):
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
    if not result.complete:
        total = len(config.seeds) * len(config.sigmas)
        sentences.append(
            f"Incomplete: {len(result.records)} of {total} runs finished; "
            "everything shown rests on those"
        )
    return sentences


def _networks(count):
    return "the real network" if count == 1 else f"{count} real networks"
