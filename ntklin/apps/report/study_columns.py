"""Which numbers of a study are shown, under which heading and with how many digits."""

from collections.abc import Iterable, Mapping, Sequence

from ntklin.apps.report.columns import MISSING, Column
from ntklin.apps.study import Statistic

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
)
# Where there is something to show in them.
TERM = (
    Column(
        "initialization_size",
        "size of\nf_init",
        "‖f_init(X_T)‖/√(2 N_T), the initialization term in units of the root of a test loss, "
        "σ^L J of Thm 2",
        ".2e",
    ),
    Column(
        "initialization_size_infinite",
        "the same\nm = ∞",
        "√(E ‖f_init(X_T)‖²/(2 N_T)) over initializations of a network of infinite width, in "
        "closed form, σ^L √(E J²)",
        ".2e",
    ),
    Column(
        "accuracy_interpolator",
        "accuracy\nf_int",
        "share of the test points to which the kernel interpolator gives their class",
        ".1%",
    ),
    Column("accuracy_minimizer", "f_lin\nt = ∞", "the same of the minimizer", ".1%"),
    Column("accuracy_linearized", "f_lin\nstep t", "the same of the linearized network", ".1%"),
    Column("accuracy_network", "real net", "the same of the trained network", ".1%"),
)
# The comparison's tables, in parts that fit on 80 columns.
TRAINING = (
    Column(
        "learning_rate",
        "η",
        "learning rate: 0.5 N/λ_max for GD and SGD; else the largest, to within 20 %, whose "
        "training loss only falls on the linearized network with all samples; halved where either "
        "network failed at it",
        ".3g",
    ),
    Column(
        "steps_linearized",
        "steps\nf_lin",
        "steps of the linearized network until its training loss first drops below the target",
        ",.0f",
    ),
    Column("steps_taken", "steps\nreal net", "the same of the real network", ",.0f"),
    Column(
        "test_loss_linearized",
        "test loss\nf_lin",
        "test loss of the linearized network after its steps",
        ".2e",
    ),
    Column(
        "test_loss_network",
        "test loss\nreal net",
        "test loss of the real network after its steps",
        ".2e",
    ),
    Column(
        "test_loss_interpolating",
        "test loss\ninterpol.",
        "test loss of the interpolating part of the linearized network, "
        "f_0 + φ A_t (f_t(X) − f_0(X))",
        ".2e",
    ),
)
ENDS = (
    Column(
        "path_dependent_size",
        "path-dep.\npart",
        "the path-dependent part of the linearized network, φ B_t",
        ".2e",
    ),
    Column(
        "minimizer_distance_linearized",
        "f_lin\nto f_∞",
        "the linearized network minus GD's minimizer f_∞",
        ".2e",
    ),
    Column(
        "minimizer_distance",
        "real net\nto f_∞",
        "the real network minus GD's minimizer f_∞",
        ".2e",
    ),
    Column(
        "gd_distance",
        "real net\nto GD's",
        "the real network minus the real one that GD trained",
        ".2e",
    ),
    Column(
        "distance",
        "real net\nto f_lin",
        "the real minus the linearized network, both at the real one's last step",
        ".2e",
    ),
)

ACCURACIES = (
    Column(
        "accuracy_linearized", "f_lin", "accuracy of the linearized network after its steps", ".1%"
    ),
    Column("accuracy_network", "real net", "accuracy of the real network after its steps", ".1%"),
    Column(
        "accuracy_interpolating",
        "interpol.",
        "accuracy of the interpolating part of the linearized network",
        ".1%",
    ),
)

# The standard deviation has two digits in the mean's notation.
DEVIATION = {".3g": ".2g", ".4g": ".2g", ",.0f": ",.0f", ".2e": ".1e", ".1%": ".1%"}


def known(
    columns: Sequence[Column], rows: Iterable[Mapping[str, Statistic | None]]
) -> tuple[Column, ...]:
    """The columns in which any of the rows' statistics have a number."""
    rows = list(rows)
    return tuple(c for c in columns if any(row[c.name] is not None for row in rows))


def cell(statistic: Statistic | None, style: str) -> tuple[str, str]:
    """The mean, and "± standard deviation" where several seeds give one: a pair of texts."""
    if statistic is None:
        return MISSING, ""
    mean = format(statistic.mean, style)
    return mean, "" if statistic.std is None else f"± {format(statistic.std, DEVIATION[style])}"
