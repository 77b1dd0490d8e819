"""What a mitigation computes: the options of ``ntklin mitigate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from ntklin.apps.options import checks, reading, shared
from ntklin.apps.options.declared import checked
from ntklin.apps.options.option import Option

if TYPE_CHECKING:
    from ntklin.data import Dataset

SEARCH = "Search"


@dataclass(frozen=True, kw_only=True)
class SplitDataOptions:
    """Which samples, validation points among them."""

    data: shared.Source = "mnist01"
    classes: shared.TwoClasses = "0,1"
    n_train: Annotated[int, shared.points("Training", checks.count)] = 100
    n_val: Annotated[
        int,
        Option(
            metavar="N",
            panel=shared.DATA,
            help="Validation points, by which networks are chosen; drawn as the training points "
            "are, and not trained on.",
            check=checks.count,
        ),
    ] = 100
    n_test: Annotated[int, shared.points("Test", checks.count)] = 100
    data_seed: shared.DataSeed = 0

    def load(self, dtype: str) -> Dataset:
        """The samples, of which the first ``n_train`` for training are not for validation.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            For an option that cannot be, or data that have fewer points.
        """
        checked(SplitDataOptions, self, by_flag=True)
        classes = reading.two_labels(self.classes)

        from ntklin.data import load_data

        try:
            return load_data(
                self.data,
                self.n_train + self.n_val,
                self.n_test,
                classes=classes,
                rng=self.data_seed,
                dtype=dtype,
            )
        except ValueError as e:
            if not str(e).startswith("n_train"):
                raise
            raise ValueError(f"{e}; n_train is --n-train and --n-val together") from None


@dataclass(frozen=True, kw_only=True)
class MitigationLayers(shared.LayerOptions):
    """Hidden widths, by default those of one to two minutes on two cores."""

    USUAL = (1000, 500)

    width: Annotated[tuple[int, ...] | None, shared.hidden_width(USUAL)] = None


@dataclass(frozen=True, kw_only=True)
class MitigationSettings:
    """What a mitigation computes, apart from its data; a setting is declared here alone.

    Those without a check are checked by ``mitigate_initialization``.
    """

    hidden_widths: Annotated[tuple[int, ...], MitigationLayers] = (1000,)
    sigma: Annotated[
        float,
        Option(
            metavar="NUMBER",
            panel=shared.NETWORK,
            help="The σ to start from, about 1.",
            write=repr,
        ),
    ] = 1.0
    activation: shared.Activation = "relu"
    scaling: shared.Scaling = "fan_out"
    bias: shared.Bias = "zero"
    seed: shared.Seed = 0
    dtype: shared.Precision = "float64"
    device: shared.Device = "cpu"
    factor: Annotated[
        float,
        Option(
            metavar="FRACTION",
            panel=SEARCH,
            help="What σ is multiplied by from network to network.",
            write=repr,
        ),
    ] = 0.7
    margin: Annotated[
        float,
        Option(
            metavar="FRACTION",
            panel=SEARCH,
            help="Go on only if the validation loss fell by more than this part of it.",
            write=repr,
        ),
    ] = 0.05
    min_sigma: Annotated[
        float,
        Option(metavar="NUMBER", panel=SEARCH, help="Try no σ below this.", write=repr),
    ] = 0.01
    baselines: Annotated[
        bool,
        Option(
            also="--no-baselines",
            panel=SEARCH,
            help="Also train the two networks of about twice the size, at the first σ.",
        ),
    ] = True
    half_life: Annotated[
        bool,
        Option(
            panel=SEARCH,
            help="Also train the first network with weight decay, up to the step at which its "
            "linearization is f_int. For biases that start at 0; takes many steps.",
        ),
    ] = False
    weight_decay: Annotated[
        float | None,
        Option(
            metavar="NUMBER",
            panel=SEARCH,
            help="Of that. Default: a tenth of λ_min/N.",
            write=repr,
            unset="a tenth of λ_min/N",
        ),
    ] = None
    until: Annotated[float, shared.until()] = 1e-5
    max_steps: Annotated[
        int,
        Option(
            metavar="N",
            panel=shared.TRAINING,
            help="More steps than this are impractically slow: the search ends there.",
        ),
    ] = 100_000
    time_limit: Annotated[
        float | None,
        Option(
            metavar="SECONDS",
            panel=shared.TRAINING,
            help="So are more seconds for one network. Default: no limit.",
            write=repr,
            unset="none",
        ),
    ] = None
