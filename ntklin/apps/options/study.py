"""What an initialization study computes: the options of ``ntklin minimizer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from ntklin.apps.options import checks, reading, shared
from ntklin.apps.options.declared import checked
from ntklin.apps.options.option import Option

if TYPE_CHECKING:
    from ntklin.data import Dataset

OPTIMIZERS = "Optimizers"
# Years of work even for small networks.
MOST_SEEDS = 100_000


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which samples."""

    data: shared.Source = "mnist01"
    classes: shared.Classes = "0,1"
    n_train: Annotated[int, shared.points("Training")] = 100
    n_test: Annotated[int, shared.points("Test")] = 100
    data_seed: shared.DataSeed = 0

    def load(self) -> Dataset:
        """The samples.

        Returns
        -------
        Dataset
        """
        checked(DataOptions, self, by_flag=True)
        classes = reading.labels(self.classes)

        from ntklin.data import load_data

        return load_data(self.data, self.n_train, self.n_test, classes=classes, rng=self.data_seed)


@dataclass(frozen=True, kw_only=True)
class StudyLayers(shared.LayerOptions):
    """Hidden widths, the paper's by default (Fig. 2)."""

    USUAL = (4000, 2000)

    width: Annotated[tuple[int, ...] | None, shared.hidden_width(USUAL)] = None


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """The options that the seeds of a study are typed with."""

    seed: shared.Seed = 0
    seeds: Annotated[
        str | None,
        Option(
            metavar="N|LIST",
            panel=shared.NETWORK,
            help="Several initializations: how many, counted from --seed, or a list. Gives mean "
            "and standard deviation.",
        ),
    ] = None

    def value(self) -> tuple[int, ...]:
        """A count of seeds from ``seed`` on, or the list."""
        checks.seed(self.seed, "--seed")
        if self.seeds is None:
            return (self.seed,)
        values = reading.integers(self.seeds, "--seeds")
        if "," in self.seeds:
            if self.seed != 0:
                raise ValueError("--seed goes with a number of --seeds, not with a list of them")
            return tuple(checks.seed(value, "--seeds") for value in values)
        if values[0] < 1:
            raise ValueError(f"--seeds must be at least 1, got {values[0]}")
        if values[0] > MOST_SEEDS:
            raise ValueError(
                f"--seeds must be at most {MOST_SEEDS}, got {values[0]}; it is how many there are: "
                f"for one certain seed write --seed {values[0]}"
            )
        return tuple(range(self.seed, self.seed + values[0]))

    check = staticmethod(checks.distinct(checks.seed))

    @staticmethod
    def words(seeds: Sequence[int]) -> list[str]:
        """The words that give these seeds again: a list, even of one."""
        return ["--seeds", reading.listed(seeds) + "," * (len(seeds) == 1)]


Optimizers = Annotated[
    tuple[str, ...],
    Option(
        flag="--optimizer",
        metavar="LIST",
        panel=OPTIMIZERS,
        help="From gd, sgd, gd+momentum, sgd+momentum, adagrad, rmsprop, adam, adamw; adagrad-sgd, "
        "rmsprop-sgd, adam-sgd and adamw-sgd see mini-batches, as sgd does. Or none.",
        read=reading.names,
        write=reading.listed_names,
        check=checks.methods,
    ),
]


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a study computes, apart from its data.

    A setting is declared here, and nowhere again: it is an option of ``ntklin minimizer``, a field
    of ``ntklin.apps.study.StudyConfig``, and shown in the report.
    """

    hidden_widths: Annotated[tuple[int, ...], StudyLayers] = (4000,)
    # In the order in which they run.
    sigmas: Annotated[
        tuple[float, ...],
        Option(
            flag="--sigma",
            metavar="LIST",
            panel=shared.NETWORK,
            help="Initialization scales σ.",
            read=reading.numbers,
            write=reading.listed,
            check=checks.distinct(checks.positive),
        ),
    ] = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
    activation: shared.Activation = "relu"
    scaling: shared.Scaling = "fan_out"
    bias: shared.Bias = "zero"
    # One initialization each; for one seed all σ share the same Gaussian draw θ_0.
    seeds: Annotated[tuple[int, ...], SeedOptions] = (0,)
    dtype: shared.Precision = "float64"
    device: shared.Device = "cpu"
    # Kernel eigenvalues ≤ rcond · λ_max are cut in the limits t → ∞.
    rcond: Annotated[
        float | None,
        Option(
            metavar="FRACTION",
            panel=shared.DATA,
            help="Cut kernel eigenvalues up to this fraction of the largest, as inputs that occur "
            "twice need. Default: refuse them.",
            write=repr,
            check=checks.rank_cut,
            unset="no rank cut",
        ),
    ] = None
    train: Annotated[
        bool,
        Option(
            also="--no-train",
            panel=shared.TRAINING,
            help="Train the real networks, too, or only the linearized ones.",
            check=checks.flag,
        ),
    ] = True
    until: Annotated[float, shared.until(checks.positive)] = 1e-5
    # A network that needs more than the default has left its linearization.
    max_steps: Annotated[
        int | None,
        Option(
            metavar="N",
            panel=shared.TRAINING,
            help="Stop after so many steps. Default: ten times as many as predicted.",
            check=checks.optional(checks.count),
            unset="ten times as many as predicted",
        ),
    ] = None
    # The names of METHODS; "gd" comes first.
    optimizers: Optimizers = ("gd", "adagrad", "adam")
    # One of the scales above, or another.
    optimizer_sigma: Annotated[
        float,
        Option(
            metavar="NUMBER",
            panel=OPTIMIZERS,
            help="The σ at which they are compared.",
            write=reading.number,
            check=checks.positive,
        ),
    ] = 0.5
    # |B|/N; the mini-batches' seed is that of the initialization.
    split: Annotated[
        float,
        Option(
            metavar="FRACTION",
            panel=OPTIMIZERS,
            help="The size of a mini-batch, as a part of the training points.",
            write=reading.number,
            check=checks.split,
        ),
    ] = 0.1
    # Of all but gd, whose closed form the others are measured against.
    weight_decay: Annotated[
        float | None,
        Option(
            metavar="NUMBER",
            panel=OPTIMIZERS,
            help="The λ of the L2 decay of all of them but gd, decoupled for adamw. Default: 0.01 "
            "for adamw, none for the others.",
            write=reading.number,
            check=checks.optional(checks.nonnegative),
            unset="0.01 for AdamW, none for others",
        ),
    ] = None
    schedule: Annotated[
        str | None,
        Option(
            metavar="TEXT",
            panel=OPTIMIZERS,
            help="What the learning rate of all of them but gd is multiplied by at each step: "
            "warmup:STEPS, cosine:STEPS, step:SIZE:GAMMA, or several, as warmup:100*cosine:5000.",
            check=checks.optional(checks.schedule),
            unset="constant",
        ),
    ] = None
