"""Which numbers of a trial are shown, and what baselines are called."""

from ntklin.apps.report.columns import MISSING, Column
from ntklin.edge.amounts import duration
from ntklin.networks.symmetrized import AntisymmetricPair, DoubledNetwork
from ntklin.recipes.mitigation import Mitigation, Trial

KINDS: dict[type, str] = {
    AntisymmetricPair: "antisymmetrical pair",
    DoubledNetwork: "doubled network",
}
SHORT: dict[type, str] = {AntisymmetricPair: "pair", DoubledNetwork: "doubled"}


COLUMNS = (
    Column("validation_loss", "validation\nloss", "by which the network is chosen", ".2e"),
    Column("test_loss", "test\nloss", "by which nothing is chosen", ".2e"),
    Column("training_loss", "training\nloss", "after the last step", ".1e"),
    Column(
        "initialization_size",
        "size of\nf_init",
        "‖f_init(X_val)‖/√(2 N_val): what the initialization leaves in the linearized network, in "
        "units of the root of a validation loss",
        ".1e",
    ),
    Column(
        "interpolator_distance",
        "distance\nto f_int",
        "‖f(X_val) − f_int(X_val)‖/√(2 N_val) of the trained network, in the same units",
        ".1e",
    ),
    Column("steps", "steps", "of gradient descent until the training loss is reached", ",d"),
    Column("seconds", "time", "of training", show=duration),
)
# Those that a terminal of 80 characters has room for.
NARROW = tuple(column for column in COLUMNS if column.name != "interpolator_distance")


def cell(trial: Trial, column: Column) -> str:
    """The number as text."""
    value = getattr(trial, column.name)
    if value is None:
        return MISSING
    return column.text(value)


def kind(trial: Trial) -> str:
    """What a baseline is called."""
    return "network with weight decay" if trial.weight_decay else KINDS[type(trial.network)]


def short_kind(trial: Trial) -> str:
    """The same in one word."""
    return "decay" if trial.weight_decay else SHORT[type(trial.network)]


def beside(found: Mitigation) -> tuple[Trial, ...]:
    """The trials beside the search, at its first σ."""
    return found.everything[len(found.trials) :]
