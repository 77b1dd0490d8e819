"""``ntklin mitigate``: Sect. 3's algorithm, from options to files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from ntklin.apps.cli import threads
from ntklin.apps.cli.ahead import helper
from ntklin.apps.cli.ending import concluded, deliver
from ntklin.apps.options import shared
from ntklin.apps.options.checks import seed
from ntklin.apps.options.declared import checked, words
from ntklin.apps.options.mitigation import MitigationSettings, SplitDataOptions

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.networks.mlp import MLP
    from ntklin.recipes.mitigation import Mitigation

HELP = """Train with less of the initialization in the result.

    Trains real networks from one draw θ₀ at ever smaller initialization scales σ, as long as the \
validation loss falls by a significant margin, and keeps the best; then, for comparison, networks \
of about twice the size that start at f = 0, and on request one with weight decay. Ctrl-C keeps \
what is finished."""
EXAMPLES = (
    "ntklin mitigate",
    "ntklin mitigate --half-life --n-train 30",
    "ntklin mitigate --sigma 2 --factor 0.8 --margin 0.02",
    "ntklin mitigate --data ~/my-data.npz --classes 3,8 --n-train 500 --n-val 200 --no-baselines",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    data: SplitDataOptions
    mitigation: MitigationSettings
    out: Annotated[str, shared.folder("plot, report, results and network go")] = "ntklin-mitigate"
    threads: shared.Threads = None
    quiet: shared.Quiet = False


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
        See ``ntklin.apps.report.mitigation.mitigation_json``.
    """

    net: MLP
    samples: dict[str, Any]
    config: dict[str, Any]


def configure(options: Options) -> Problem:
    """The network and the data, split.

    Returns
    -------
    Problem
    """
    from ntklin.edge.backends import device_namespace
    from ntklin.networks.mlp import MLP

    settings = options.mitigation
    seed(settings.seed, "--seed")
    checked(MitigationSettings, settings)
    device: Any = settings.device
    xp = device_namespace(device)
    n_train = options.data.n_train
    data = options.data.load(settings.dtype)
    kinds: dict[str, Any] = {
        "activation": settings.activation,
        "scaling": settings.scaling,
        "bias": settings.bias,
    }
    widths = (data.X_train.shape[1], *settings.hidden_widths, 1)
    net = MLP(widths, sigma=settings.sigma, **kinds)
    if settings.half_life:
        require_homogeneous(net)
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
    shown = {k: v for k, v in vars(settings).items() if k not in ("hidden_widths", "baselines")}
    config = {
        "data": data.name,
        "provenance": data.provenance,
        "n_train": n_train,
        "n_val": options.data.n_val,
        "n_test": options.data.n_test,
        "depth": net.depth,
        "widths": list(net.widths),
        **shown,
    }
    return Problem(net, samples, config)


def require_homogeneous(net: MLP) -> None:
    """Refuse networks of which decay does not take f_init away, in the command's own words."""
    if net.depth < 2 or net.bias == "normal" or not net.activation.is_homogeneous:
        raise ValueError(
            "--half-life is for networks of two layers or more that are homogeneous in θ at θ_0: "
            "take --bias zero or none, and --activation relu, leaky_relu or abs"
        )


def run(options: Options) -> None:
    """Search; show and write what was finished, even when Ctrl-C ends it."""
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin.apps.cli.console import Console
    from ntklin.apps.cli.failures import warnings_on
    from ntklin.apps.cli.mitigation_progress import progress
    from ntklin.apps.report.mitigation import NAMES
    from ntklin.edge.files.unfinished import FOLDER
    from ntklin.edge.files.writing import require_writable
    from ntklin.recipes.mitigation import MitigationInterrupted, mitigate_initialization

    require_writable(options.out, NAMES, [FOLDER])
    problem = configure(options)
    settings = options.mitigation
    if options.threads != 1 and settings.device == "cpu":
        helper.start_if_missing(rehearse, (in_small(problem), settings))
    console = Console(quiet=options.quiet)
    found: Mitigation | None = None

    def conclude(ending: str) -> None:
        if found is not None:
            deliver_mitigation(console, problem, found, options, time.perf_counter() - began)

    with (
        concluded(conclude),
        threads.limited(options.threads),
        warnings_on(console),
        progress(console, settings.until) as observer,
    ):
        try:
            found = mitigate_initialization(
                problem.net,
                **problem.samples,
                rng=settings.seed,
                factor=settings.factor,
                margin=settings.margin,
                min_sigma=settings.min_sigma,
                until=settings.until,
                max_steps=settings.max_steps,
                time_limit=settings.time_limit,
                compare_baselines=settings.baselines,
                compare_decay=settings.half_life,
                weight_decay=settings.weight_decay,
                progress=observer.trained,
                on_trial=observer.finished,
            )
        except MitigationInterrupted as e:
            found = e.result
            raise


def in_small(problem: Problem) -> Problem:
    """The same of random samples on narrow layers, with the same kernels."""
    from ntklin.apps.study.rehearsal import FEATURES, WIDTH, random_samples

    net, samples = problem.net, {}
    for number, (inputs, targets) in enumerate(
        (("X", "Y"), ("X_val", "Y_val"), ("X_test", "Y_test"))
    ):
        given = problem.samples[inputs]
        made = random_samples(given, net.n_outputs, number)
        samples |= {n: a.astype(given.dtype) for n, a in zip((inputs, targets), made, strict=True)}
    widths = (FEATURES, *(min(width, WIDTH) for width in net.widths[1:-1]), net.n_outputs)
    return Problem(replace(net, widths=widths), samples, {})


def rehearse(work: tuple[Problem, MitigationSettings]) -> None:
    """Compile what a search needs, training first: the search itself begins with kernels."""
    from ntklin.apps.study.rehearsal import RATE, STEPS
    from ntklin.recipes.mitigation import mitigate_initialization
    from ntklin.runs.optimizers import GradientDescent
    from ntklin.training.train import train

    problem, settings = work
    net, samples = problem.net, problem.samples
    X, Y = samples["X"], samples["Y"]
    train(net, net.init(0, X.dtype), X, Y, GradientDescent(RATE), steps=STEPS)
    mitigate_initialization(
        net,
        **samples,
        max_steps=STEPS,
        compare_baselines=settings.baselines,
        compare_decay=settings.half_life,
    )


def deliver_mitigation(
    console: Console, problem: Problem, found: Mitigation, options: Options, elapsed: float
) -> None:
    """Write the files and print the table."""
    from ntklin.apps.cli import environment
    from ntklin.apps.report.mitigation import write_mitigation
    from ntklin.apps.report.mitigation_table import print_mitigation

    provenance = environment.provenance(["mitigate", *words(Options, options)], elapsed)
    deliver(
        console,
        options.out,
        lambda: write_mitigation(found, problem.config, options.out, provenance),
        lambda: print_mitigation(console, found, problem.config),
    )
