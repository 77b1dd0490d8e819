"""``ntklin minimizer``: the initialization study, from options to files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from ntklin.apps.cli import threads
from ntklin.apps.cli.ahead import helper
from ntklin.apps.cli.ending import concluded, deliver
from ntklin.apps.options import shared
from ntklin.apps.options.declared import words
from ntklin.apps.options.study import DataOptions, StudySettings

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.apps.study import OptimizerResult, ScaleResult, StudyConfig

HELP = """Measure what the initialization leaves in the minimizer.

    For each initialization scale σ: the spectrum of the kernel, the steps of gradient descent \
predicted and taken, and the test losses and accuracies of the kernel interpolator, of the \
linearized network and of the real trained one; over all σ, the power with which the \
initialization term grows, and how large it is at infinite width. Then, at one σ, where other \
optimizers end: how far from the minimizer of gradient descent, and how much of it is due to the \
path. Ctrl-C keeps what is finished."""
EXAMPLES = (
    "ntklin minimizer",
    "ntklin minimizer --optimizer gd,sgd,adagrad,rmsprop,adam --split 0.1",
    "ntklin minimizer --optimizer gd,sgd+momentum,adamw --weight-decay 0.001 --schedule warmup:100",
    "ntklin minimizer --depth 3 --bias none --seeds 10",
    "ntklin minimizer --data fashion01 --sigma 0.5,1,2 --out fashion",
    "ntklin minimizer --data mnist --classes 0-9 --n-train 300 --sigma 1 --optimizer none",
    "ntklin minimizer --data ~/my-data.npz --classes 3,8 --width 1000 --no-train",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    data: DataOptions
    study: StudySettings
    out: Annotated[str, shared.folder("plot, report and results go")] = "ntklin-minimizer"
    threads: shared.Threads = None
    quiet: shared.Quiet = False


def configure(options: Options) -> StudyConfig:
    """The study that the options ask for.

    Returns
    -------
    StudyConfig
    """
    from ntklin.apps.study import StudyConfig

    return StudyConfig(data=options.data.load(), **vars(options.study))


def run(options: Options) -> None:
    """Run the study; show and write what was finished, even when it ends early."""
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin.apps.cli.console import Console
    from ntklin.apps.cli.failures import warnings_on
    from ntklin.apps.cli.study_progress import COMPARISON, SWEEP, progress
    from ntklin.apps.report.study import NAMES
    from ntklin.apps.study import optimizer_results, require_comparable, scale_results
    from ntklin.apps.study.rehearsal import in_small, rehearse
    from ntklin.edge.files.unfinished import FOLDER
    from ntklin.edge.files.writing import require_writable

    require_writable(options.out, NAMES, [FOLDER])
    config = configure(options)
    console = Console(quiet=options.quiet)
    if options.threads != 1 and config.device == "cpu":
        helper.start_if_missing(rehearse, in_small(config))
    swept, compared = [], []

    def conclude(ending: str) -> None:
        if swept:
            elapsed = time.perf_counter() - began
            deliver_study(console, config, swept, compared, options, elapsed)

    with concluded(conclude), threads.limited(options.threads), warnings_on(console):
        require_comparable(config)
        with progress(console, config, SWEEP) as observer:
            swept.extend(scale_results(config, observer))
        with progress(console, config, COMPARISON) as observer:
            compared.extend(optimizer_results(config, swept, observer))


def deliver_study(
    console: Console,
    config: StudyConfig,
    swept: Sequence[ScaleResult],
    compared: Sequence[OptimizerResult],
    options: Options,
    elapsed: float,
) -> None:
    """Write the files and print the tables."""
    from ntklin.apps.cli import environment
    from ntklin.apps.report.study import write_study
    from ntklin.apps.report.study_tables import print_study
    from ntklin.apps.study import StudyResult

    result = StudyResult(config, tuple(swept), tuple(compared))
    # Every default is spelled out, as it was checked.
    typed = words(Options, replace(options, study=config))
    provenance = environment.provenance(["minimizer", *typed], elapsed)
    deliver(
        console,
        options.out,
        lambda: write_study(result, options.out, provenance),
        lambda: print_study(console, result),
    )
