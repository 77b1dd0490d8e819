"""What the minimizer of many samples is computed from: the options of ``ntklin scale``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from ntklin.apps.options import checks, reading, shared
from ntklin.apps.options.declared import checked
from ntklin.apps.options.option import NEVER, Option

if TYPE_CHECKING:
    from ntklin.data import Dataset

SOLVER = "Solver"
SOLVERS = ("auto", "eigh", "cholesky", "packed", "mixed", "pcg")
PRECONDITIONERS = ("ntk", "mean_output", "nystrom", "none")
# By default each size is so many times the one before, and none is below the smallest.
RATIO, N_SIZES, SMALLEST = 4, 4, 10


@dataclass(frozen=True, kw_only=True)
class ManyDataOptions:
    """Which samples."""

    data: shared.Source = "mnist_like"
    classes: shared.Classes = "0,1"
    n: Annotated[
        int,
        Option(metavar="N", panel=shared.DATA, help="Training points.", check=checks.count),
    ] = 10_000
    n_test: Annotated[int, shared.points("Test", checks.count)] = 2_000
    data_seed: shared.DataSeed = 0

    def load(self, dtype: str, progress: Callable[[int, int], object] | None = None) -> Dataset:
        """The samples.

        Parameters
        ----------
        dtype : {"float64", "float32"}
        progress : callable, optional
            See ``ntklin.load_data``.

        Returns
        -------
        Dataset
        """
        checked(ManyDataOptions, self, by_flag=True)
        classes = reading.labels(self.classes)

        from ntklin.data import load_data

        return load_data(
            self.data,
            self.n,
            self.n_test,
            classes=classes,
            rng=self.data_seed,
            dtype=dtype,
            progress=progress,
        )


@dataclass(frozen=True, kw_only=True)
class ScaleLayers(shared.LayerOptions):
    """Hidden widths."""

    USUAL = (4000, 2000)

    width: Annotated[tuple[int, ...] | None, shared.hidden_width(USUAL)] = None


@dataclass(frozen=True, kw_only=True)
class ScaleSettings:
    """Which network, and how its minimizer is found; a setting is declared here alone."""

    hidden_widths: Annotated[tuple[int, ...], ScaleLayers] = (4000,)
    sigma: Annotated[
        float,
        Option(
            metavar="NUMBER",
            panel=shared.NETWORK,
            help="The initialization scale σ.",
            write=repr,
            check=checks.positive,
        ),
    ] = 1.0
    activation: shared.Activation = "relu"
    scaling: shared.Scaling = "fan_out"
    bias: shared.Bias = "zero"
    seed: shared.Seed = 0
    dtype: shared.Precision = "float64"
    sizes: Annotated[
        tuple[int, ...] | None,
        Option(
            metavar="LIST",
            panel=SOLVER,
            help="Numbers of training points at which test loss and accuracy are measured, the "
            "first of them each; --n is the last. Default: --n, a quarter of it, and so on.",
            read=reading.integers,
            write=reading.listed,
            check=checks.optional(checks.distinct(checks.count)),
        ),
    ] = None
    solver: Annotated[
        str,
        Option(
            metavar="NAME",
            panel=SOLVER,
            help="auto, packed (Cholesky of half the kernel), mixed (the same in float32, then "
            "conjugate gradients in float64), pcg (no kernel), cholesky or eigh.",
            check=checks.one_of(*SOLVERS),
        ),
    ] = "auto"
    preconditioner: Annotated[
        str | None,
        Option(
            metavar="NAME",
            panel=SOLVER,
            help="That of --solver pcg: ntk (the kernel of infinite width), mean_output (that of "
            "one output in the place of all), nystrom (some columns of the kernel) or none.",
            check=checks.optional(checks.one_of(*PRECONDITIONERS)),
            unset="the first of ntk and nystrom that fits into memory",
        ),
    ] = None
    tol: Annotated[
        float | None,
        Option(
            metavar="NUMBER",
            panel=SOLVER,
            help="The residual, relative to the right-hand side, that the solution has to have. "
            "Default: 1e-10 for iterations; of a direct solution what it gives.",
            write=repr,
            check=checks.optional(checks.positive),
            unset="1e-10 for iterations, of a direct solution what it gives",
        ),
    ] = None
    ridge: Annotated[
        float,
        Option(
            metavar="NUMBER",
            panel=SOLVER,
            help="λ of (K + λ1)^{-1}, in units of the kernel: above 0 where samples occur twice.",
            write=repr,
            check=checks.nonnegative,
        ),
    ] = 0.0
    checkpoint: Annotated[
        bool,
        Option(
            also="--no-checkpoint",
            panel=SOLVER,
            help="Keep what is finished in the output folder, from where the same command goes on.",
            repeated=NEVER,
        ),
    ] = True

    def whole_solver(self) -> str:
        """The solver, and behind a plus its preconditioner where one is named.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            For a preconditioner of a solver that takes none.
        """
        if self.preconditioner is None:
            return self.solver
        if self.solver != "pcg":
            raise ValueError(f"--preconditioner is for --solver pcg, got --solver {self.solver}")
        return f"{self.solver}+{self.preconditioner}"

    def all_sizes(self, n: int) -> tuple[int, ...]:
        """Numbers of training points, increasing, ``n`` the last.

        Parameters
        ----------
        n : int

        Returns
        -------
        tuple of int

        Raises
        ------
        ValueError
            If one of them is more than ``n``.
        """
        if self.sizes is None:
            ladder = (n // RATIO**k for k in range(N_SIZES))
            return tuple(sorted({size for size in ladder if size >= SMALLEST} | {n}))
        if max(self.sizes) > n:
            raise ValueError(f"--sizes has {max(self.sizes)}, but there are --n {n} points")
        return tuple(sorted({*self.sizes, n}))
