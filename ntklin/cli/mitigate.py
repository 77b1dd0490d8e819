"""``ntklin mitigate``: Sect. 3's algorithm, from options to files."""

import os
import time
from dataclasses import dataclass

from ntklin.cli import arguments, threads
from ntklin.cli.written import tell_written

# Half a minute to two minutes on two cores, where the study's widths would take several.
DEFAULT_WIDTHS = (1000, 500)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options as typed; the names are those of the flags."""

    data: str
    classes: str
    n_train: int
    n_val: int
    n_test: int
    data_seed: int
    depth: int
    width: str | None
    sigma: float
    scaling: str
    bias: str
    seed: int
    dtype: str
    device: str
    factor: float
    margin: float
    min_sigma: float
    baselines: bool
    until: float
    max_steps: int
    time_limit: float | None
    out: str
    threads: int | None
    quiet: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """What the options ask for.

    Attributes
    ----------
    net : MLP
    samples : dict of str to ndarray
        ``X``, ``Y``, ``X_val``, ``Y_val``, ``X_test`` and ``Y_test``, by the names of
        ``mitigate_initialization``'s arguments.
    config : dict
        See ``ntklin.report.mitigation.mitigation_payload``.
    """

    net: object
    samples: dict
    config: dict


def configure(options):
    """The network and the data, split.

    Returns
    -------
    Problem
    """
    from ntklin._validate import as_count

    depth = as_count(options.depth, name="depth")
    n_train = as_count(options.n_train, name="--n-train")
    n_val = as_count(options.n_val, name="--n-val")
    n_test = as_count(options.n_test, name="--n-test")
    widths = arguments.hidden_widths(options.width, depth, DEFAULT_WIDTHS)
    classes = arguments.classes(options.classes)
    data_seed = arguments.seed_of(options.data_seed, "--data-seed")
    arguments.seed_of(options.seed, "--seed")

    from ntklin.backends import device_namespace
    from ntklin.data import load_data
    from ntklin.network import MLP
    from ntklin.study.config import DTYPES

    if options.dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {options.dtype!r}")
    xp = device_namespace(options.device)
    try:
        data = load_data(
            *(options.data, n_train + n_val, n_test),
            classes=classes,
            rng=data_seed,
            dtype=options.dtype,
        )
    except ValueError as e:
        if not str(e).startswith("n_train"):
            raise
        raise ValueError(f"{e}; n_train is --n-train and --n-val together") from None
    net = MLP(
        (data.X_train.shape[1], *widths, 1),
        sigma=options.sigma,
        scaling=options.scaling,
        bias=options.bias,
    )
    samples = {
        # The training points of ``ntklin minimizer`` come first.
        "X": data.X_train[:n_train],
        "Y": data.Y_train[:n_train],
        "X_val": data.X_train[n_train:],
        "Y_val": data.Y_train[n_train:],
        "X_test": data.X_test,
        "Y_test": data.Y_test,
    }
    samples = {name: xp.asarray(a) for name, a in samples.items()}
    config = {
        "data": data.name,
        "provenance": data.provenance,
        "n_train": n_train,
        "n_val": n_val,
        "n_test": n_test,
        "depth": net.depth,
        "widths": list(net.widths),
        "sigma": net.sigma,
        "scaling": net.scaling,
        "bias": net.bias,
        "seed": options.seed,
        "dtype": options.dtype,
        "device": options.device,
        "factor": options.factor,
        "margin": options.margin,
        "min_sigma": options.min_sigma,
        "until": options.until,
        "max_steps": options.max_steps,
        "time_limit": options.time_limit,
    }
    return Problem(net, samples, config)


def run(options):
    """Search; show and write what was finished, even when Ctrl-C ends it."""
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin.cli import signals
    from ntklin.cli.console import Console
    from ntklin.cli.failures import warnings_on
    from ntklin.files import unfinished
    from ntklin.mitigation import MitigationInterrupted, mitigate_initialization
    from ntklin.report import require_writable
    from ntklin.report.mitigation import NAMES

    require_writable(options.out, NAMES, [unfinished.FOLDER])
    problem = configure(options)
    console = Console(quiet=options.quiet)
    found, interruption = None, None
    with (
        threads.limited(options.threads),
        warnings_on(console),
        progress(console, options.until) as observer,
    ):
        try:
            found = mitigate_initialization(
                problem.net,
                **problem.samples,
                rng=options.seed,
                factor=options.factor,
                margin=options.margin,
                min_sigma=options.min_sigma,
                until=options.until,
                max_steps=options.max_steps,
                time_limit=options.time_limit,
                compare_baselines=options.baselines,
                progress=observer.trained,
                on_trial=observer.finished,
            )
        except MitigationInterrupted as e:
            found, interruption = e.result, e
    if found is not None:
        with signals.held(interruption is not None):
            conclude(console, problem, found, options, time.perf_counter() - began)
    if interruption is not None:
        raise interruption


def progress(console, until):
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    from ntklin.cli.counting import is_live
    from ntklin.cli.mitigate_progress import LineProgress, LiveProgress

    return LiveProgress(console, until) if is_live(console) else LineProgress(console)


def conclude(console, problem, found, options, elapsed):
    """Write the files and print the table; the table even where the files fail."""
    from ntklin.cli import environment
    from ntklin.report.mitigation import print_mitigation, write_mitigation

    provenance = environment.provenance(command(problem, options), elapsed)
    try:
        paths = write_mitigation(found, problem.config, options.out, provenance)
    finally:
        console.print()
        print_mitigation(console, found, problem.config)
    tell_written(console, options.out, paths)


def command(problem, options):
    """A command line that repeats the run, every default spelled out."""
    from ntklin.files.names import command_line

    net = problem.net
    words = [
        *("ntklin", "mitigate", "--data", options.data, "--classes", options.classes),
        *("--n-train", options.n_train, "--n-val", options.n_val, "--n-test", options.n_test),
        *("--data-seed", options.data_seed, "--depth", net.depth),
        *("--width", ",".join(map(str, net.widths[1:-1]))) * (net.depth > 1),
        *("--sigma", repr(net.sigma), "--scaling", net.scaling, "--bias", net.bias),
        *("--seed", options.seed, "--dtype", options.dtype, "--factor", repr(options.factor)),
        *("--margin", repr(options.margin), "--min-sigma", repr(options.min_sigma)),
        *("--until", repr(options.until), "--max-steps", options.max_steps),
        *([] if options.device == "cpu" else ["--device", options.device]),
        *([] if options.time_limit is None else ["--time-limit", repr(options.time_limit)]),
        *([] if options.baselines else ["--no-baselines"]),
    ]
    return command_line(map(str, words))
