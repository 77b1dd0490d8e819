"""``ntklin minimizer``: the initialization study, from options to files."""

import os
import time
from dataclasses import dataclass

from ntklin.cli import arguments, threads
from ntklin.cli.written import tell_written


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options as typed; the names are those of the flags."""

    data: str
    classes: str
    n_train: int
    n_test: int
    data_seed: int
    depth: int
    width: str | None
    sigma: str
    scaling: str
    bias: str
    seed: int
    seeds: str | None
    dtype: str
    device: str
    rcond: float | None
    train: bool
    until: float
    max_steps: int | None
    optimizer: str
    optimizer_sigma: float
    split: float
    out: str
    threads: int | None
    quiet: bool


def configure(options):
    """The study that the options ask for.

    Returns
    -------
    StudyConfig
    """
    widths = arguments.hidden_widths(options.width, options.depth)
    sigmas = arguments.numbers(options.sigma, "--sigma")
    seeds = arguments.seeds(options.seed, options.seeds)
    classes = arguments.classes(options.classes)
    optimizers = arguments.optional_list(options.optimizer)
    data_seed = arguments.seed_of(options.data_seed, "--data-seed")

    from ntklin.data import load_data
    from ntklin.study import StudyConfig

    data = load_data(options.data, options.n_train, options.n_test, classes=classes, rng=data_seed)
    return StudyConfig(
        data=data,
        hidden_widths=widths,
        sigmas=sigmas,
        seeds=seeds,
        scaling=options.scaling,
        bias=options.bias,
        dtype=options.dtype,
        device=options.device,
        rcond=options.rcond,
        train=options.train,
        until=options.until,
        max_steps=options.max_steps,
        optimizers=optimizers,
        optimizer_sigma=options.optimizer_sigma,
        split=options.split,
    )


def run(options):
    """Run the study; show and write what was finished, even when it ends early."""
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin.cli import signals
    from ntklin.cli.console import Console
    from ntklin.cli.failures import warnings_on
    from ntklin.files import unfinished
    from ntklin.report import NAMES, require_writable
    from ntklin.study import optimizer_records, records, require_comparable

    require_writable(options.out, NAMES, [unfinished.FOLDER])
    config = configure(options)
    console = Console(quiet=options.quiet)
    swept, compared, interrupted = [], [], False
    try:
        with threads.limited(options.threads), warnings_on(console):
            require_comparable(config)
            with progress(console, config) as observer:
                for record in records(config, observer):
                    swept.append(record)
            with comparison_progress(console, config) as observer:
                for record in optimizer_records(config, swept, observer):
                    compared.append(record)
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        if swept:
            elapsed = time.perf_counter() - began
            with signals.held(interrupted):
                conclude(console, config, swept, compared, options, elapsed)


def progress(console, config):
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    from ntklin.cli.counting import is_live
    from ntklin.cli.progress import LineProgress, LiveProgress

    return (LiveProgress if is_live(console) else LineProgress)(console, config)


def comparison_progress(console, config):
    """The same for the optimizers."""
    from ntklin.cli.comparison_progress import LineComparison, LiveComparison
    from ntklin.cli.counting import is_live

    return (LiveComparison if is_live(console) else LineComparison)(console, config)


def conclude(console, config, swept, compared, options, elapsed):
    """Write the files and print the tables; the tables even where the files fail."""
    from ntklin.cli import environment
    from ntklin.report import print_result, write_report
    from ntklin.study import StudyResult

    result = StudyResult(config, tuple(swept), tuple(compared))
    provenance = environment.provenance(command(config, options), elapsed)
    try:
        paths = write_report(result, options.out, provenance)
    finally:
        console.print()
        print_result(console, result)
    tell_written(console, options.out, paths)


def command(config, options):
    """A command line that repeats the run, every default spelled out."""
    from ntklin.files.names import command_line

    words = [
        *("ntklin", "minimizer", "--data", options.data, "--classes", options.classes),
        *("--n-train", options.n_train, "--n-test", options.n_test),
        *("--data-seed", options.data_seed, "--depth", config.depth),
        *("--width", _listed(config.hidden_widths)) * bool(config.hidden_widths),
        *("--sigma", _listed(config.sigmas), "--scaling", config.scaling, "--bias", config.bias),
        *("--seeds", _listed(config.seeds) + "," * (len(config.seeds) == 1)),
        *("--dtype", config.dtype, "--until", format(config.until, "g")),
        *([] if config.device == "cpu" else ["--device", config.device]),
        *([] if config.rcond is None else ["--rcond", format(config.rcond, "g")]),
        *([] if config.max_steps is None else ["--max-steps", config.max_steps]),
        *([] if config.train else ["--no-train"]),
        *("--optimizer", ",".join(config.optimizers) or arguments.NONE),
        *("--optimizer-sigma", _number(config.optimizer_sigma), "--split", _number(config.split)),
    ]
    return command_line(map(str, words))


def _listed(values):
    return ",".join(map(_number, values))


def _number(value):
    return repr(value).removesuffix(".0")
