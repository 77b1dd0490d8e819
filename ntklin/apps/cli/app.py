"""The commands and their options."""

from typing import Annotated

import typer

from ntklin._version import __version__
from ntklin.apps.cli.failures import reported
from ntklin.apps.cli.options import (
    Bias,
    Classes,
    Data,
    DataSeed,
    Debug,
    Depth,
    Device,
    Precision,
    Quiet,
    Scaling,
    Seed,
    TestPoints,
    Threads,
    TrainingPoints,
    Until,
    flag,
    hidden_width,
)

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def show_version(wanted: bool):
    if wanted:
        typer.echo(f"ntklin {__version__}")
        raise typer.Exit


@app.callback()
def ntklin(
    version: Annotated[
        bool,
        flag("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
):
    """Which of its many global minima does an overparametrized ReLU network converge to?

    Exact answers for wide networks and gradient descent, beside real networks.
    """


@app.command(
    help="""Measure what the initialization leaves in the minimizer.

    For each initialization scale σ: the spectrum of the kernel, the steps of gradient descent \
predicted and taken, and the test losses of the kernel interpolator, of the linearized network and \
of the real trained one; over all σ, the power with which the initialization term grows. Then, at \
one σ, where other optimizers end: how far from the minimizer of gradient descent, and how much of \
it is due to the path. Ctrl-C keeps what is finished.""",
    epilog="""[bold]Examples[/bold]

    ntklin minimizer

    ntklin minimizer --optimizer gd,sgd,adagrad,rmsprop,adam --split 0.1

    ntklin minimizer --depth 3 --bias none --seeds 10

    ntklin minimizer --data fashion01 --sigma 0.5,1,2 --out fashion

    ntklin minimizer --data ~/my-data.npz --classes 3,8 --width 1000 --no-train""",
)
def minimizer(
    data: Data = "mnist01",
    classes: Classes = "0,1",
    n_train: TrainingPoints = 100,
    n_test: TestPoints = 100,
    data_seed: DataSeed = 0,
    depth: Depth = 2,
    width: hidden_width("4000 for depth 2, else 2000") = None,
    sigma: Annotated[
        str,
        typer.Option(metavar="LIST", rich_help_panel="Network", help="Initialization scales σ."),
    ] = "0.5,0.7,1,1.4,2,3",
    scaling: Scaling = "fan_out",
    bias: Bias = "zero",
    seed: Seed = 0,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|LIST",
            rich_help_panel="Network",
            help="Several initializations: how many, counted from --seed, or a list. Gives mean "
            "and standard deviation.",
        ),
    ] = None,
    dtype: Precision = "float64",
    device: Device = "cpu",
    rcond: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            rich_help_panel="Data",
            help="Cut kernel eigenvalues up to this fraction of the largest, as inputs that occur "
            "twice need. Default: refuse them.",
        ),
    ] = None,
    train: Annotated[
        bool,
        flag(
            "--train/--no-train",
            rich_help_panel="Training",
            help="Train the real networks, too, or only the linearized ones.",
        ),
    ] = True,
    until: Until = 1e-5,
    max_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel="Training",
            help="Stop after so many steps. Default: ten times as many as predicted.",
        ),
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            rich_help_panel="Optimizers",
            help="From gd, sgd, adagrad, rmsprop, adam; adagrad-sgd, rmsprop-sgd and adam-sgd see "
            "mini-batches, as sgd does. Or none.",
        ),
    ] = "gd,adagrad,adam",
    optimizer_sigma: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", rich_help_panel="Optimizers", help="The σ at which they are compared."
        ),
    ] = 0.5,
    split: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            rich_help_panel="Optimizers",
            help="The size of a mini-batch, as a part of the training points.",
        ),
    ] = 0.1,
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where plot, report and results go.")
    ] = "ntklin-minimizer",
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    options = {name: value for name, value in locals().items() if name != "debug"}
    with reported(debug):
        from ntklin.apps.cli.minimizer import Options, run

        run(Options(**options))


@app.command(
    help="""Train with less of the initialization in the result.

    Trains real networks from one draw θ₀ at ever smaller initialization scales σ, as long as the \
validation loss falls by a significant margin, and keeps the best; then, for comparison, networks \
of about twice the size that start at f = 0. Ctrl-C keeps what is finished.""",
    epilog="""[bold]Examples[/bold]

    ntklin mitigate

    ntklin mitigate --sigma 2 --factor 0.8 --margin 0.02

    ntklin mitigate --data ~/my-data.npz --classes 3,8 --n-train 500 --n-val 200 --no-baselines""",
)
def mitigate(
    data: Data = "mnist01",
    classes: Classes = "0,1",
    n_train: TrainingPoints = 100,
    n_val: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel="Data",
            help="Validation points, by which networks are chosen; drawn as the training points "
            "are, and not trained on.",
        ),
    ] = 100,
    n_test: TestPoints = 100,
    data_seed: DataSeed = 0,
    depth: Depth = 2,
    width: hidden_width("1000 for depth 2, else 500") = None,
    sigma: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", rich_help_panel="Network", help="The σ to start from, about 1."
        ),
    ] = 1.0,
    scaling: Scaling = "fan_out",
    bias: Bias = "zero",
    seed: Seed = 0,
    dtype: Precision = "float64",
    device: Device = "cpu",
    factor: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            rich_help_panel="Search",
            help="What σ is multiplied by from network to network.",
        ),
    ] = 0.7,
    margin: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            rich_help_panel="Search",
            help="Go on only if the validation loss fell by more than this part of it.",
        ),
    ] = 0.05,
    min_sigma: Annotated[
        float,
        typer.Option(metavar="NUMBER", rich_help_panel="Search", help="Try no σ below this."),
    ] = 0.01,
    baselines: Annotated[
        bool,
        flag(
            "--baselines/--no-baselines",
            rich_help_panel="Search",
            help="Also train the doubled network and the antisymmetrical pair at the first σ.",
        ),
    ] = True,
    until: Until = 1e-5,
    max_steps: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel="Training",
            help="More steps than this are impractically slow: the search ends there.",
        ),
    ] = 100_000,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel="Training",
            help="So are more seconds for one network. Default: no limit.",
        ),
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where plot, report, results and network go.")
    ] = "ntklin-mitigate",
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    options = {name: value for name, value in locals().items() if name != "debug"}
    with reported(debug):
        from ntklin.apps.cli.mitigate import Options, run

        run(Options(**options))


@app.command(
    help="""Check the paper's lemmas and theorems.

    Each statement is measured in rational arithmetic (exact), in ball arithmetic (certified) or \
over random draws (statistical), beside a control: a wrong formula, on which the same check must \
fail. NAMES are statements such as theorem3 or lemma4; without one, all. Verdicts are kept in the \
output folder, so that a run that was interrupted goes on. Exit code 1 if a check fails.""",
    epilog="""[bold]Examples[/bold]

    ntklin verify --quick

    ntklin verify theorem3 theorem6 --exact

    ntklin verify --statistical --seed 1""",
)
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAMES]", help="Which statements.")
    ] = None,
    exact: Annotated[bool, flag("--exact", help="Only the exact checks.")] = False,
    certified: Annotated[bool, flag("--certified", help="Only the certified checks.")] = False,
    statistical: Annotated[
        bool, flag("--statistical", help="Only the statistical checks.")
    ] = False,
    quick: Annotated[bool, flag("--quick", help="Smaller problems, less than a minute.")] = False,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of all random numbers.")] = 0,
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where report and verdicts go.")
    ] = "ntklin-verify",
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    options = {name: value for name, value in locals().items() if name not in ("debug", "names")}
    with reported(debug):
        from ntklin.apps.cli.verify import Options, run

        code = run(Options(names=tuple(names or ()), **options))
    raise typer.Exit(code)


@app.command(
    help="""Draw the paper's figures from real training runs.

    NUMBERS are 1 to 10, or all. Every run is kept in the output folder, so that a figure that was \
interrupted goes on where it stopped, and several processes can share the folder. Beside the \
trained networks stand their linearizations under the same steps.""",
    epilog="""[bold]Examples[/bold]

    ntklin figure 2 --scale quick

    ntklin figure all

    ntklin figure 3 --dataset fashion01 --replot

    ntklin figure 2 --scale paper --dask tcp://10.0.0.1:8786""",
)
def figure(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBERS", help="Which figures.")],
    scale: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="quick (seconds a figure), standard (minutes), paper (the paper's sizes: hours; "
            "how many is estimated first).",
        ),
    ] = "standard",
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="As --data of the other commands. Default: the paper's."
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where networks are trained: cpu or gpu (CUDA, by CuPy: "
            "pip install 'ntklin\\[gpu]').",
        ),
    ] = "cpu",
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where pictures, points and runs go.")
    ] = "ntklin-figures",
    replot: Annotated[
        bool, flag("--replot", help="Draw from the runs that are there; train nothing.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Runs at a time. Default: one for each core, and one on a GPU."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Threads of Numba and BLAS in each. Default: 1, and the cores' share on a GPU.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Compute on the Dask cluster with this scheduler."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    options = {name: value for name, value in locals().items() if name not in ("debug", "numbers")}
    with reported(debug):
        from ntklin.apps.cli.figure import Options, run

        run(Options(numbers=tuple(numbers), **options))


@app.command(
    help="""Measure how fast ntklin is, beside the machine's limits and other libraries.

    Each kernel is checked for correctness first, then timed in interleaved rounds. Lists are \
comma-separated; without one, everything runs. Exit code 1 if a check fails.""",
    epilog="""[bold]Examples[/bold]

    ntklin bench

    ntklin bench --works gram,weighted_gram --cases A --sizes 100

    ntklin bench --quick""",
)
def bench(
    works: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="From jacobian, gram, weighted_gram, gd_step, adagrad_step, adam_step, "
            "linearized_step, split, closed_form, infinite; on a GPU also ensemble_step.",
        ),
    ] = None,
    cases: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="A (depth 2, width 4000) and B (depth 3, width 2000)."),
    ] = None,
    dtypes: Annotated[
        str | None, typer.Option(metavar="LIST", help="From float64, float32.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="Numbers of inputs, from 100, 1000.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="LIST", help="From gaussian, mnist.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", help="Rounds of timing. Default: 5.")
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Environments of other libraries to run beside it."),
    ] = None,
    peer_scripts: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Their benchmark scripts.")
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where bench.json goes.")
    ] = "ntklin-bench",
    quick: Annotated[
        bool, flag("--quick", help="Tiny sizes, to see that everything works.")
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="cpu, or gpu with torch and jax beside it where they are."
        ),
    ] = "cpu",
    threads: Threads = None,
    debug: Debug = False,
):
    with reported(debug):
        from ntklin.apps.cli.arguments import numbers, optional, split
        from ntklin.apps.cli.console import Console
        from ntklin.apps.report import require_writable
        from ntklin.validation.benchmarks import main as run

        require_writable(out)
        code = run(
            works=optional(split, works, "--works"),
            cases=optional(split, cases, "--cases"),
            dtypes=optional(split, dtypes, "--dtypes"),
            sizes=optional(numbers, sizes, "--sizes", int),
            inputs=optional(split, inputs, "--inputs"),
            rounds=rounds,
            peers=peers,
            peer_scripts=peer_scripts,
            out=out,
            quick=quick,
            threads=threads,
            device=device,
            console=Console(),
        )
    raise typer.Exit(code)


@app.command()
def info(
    as_json: Annotated[bool, flag("--json", help="Print JSON.")] = False,
    debug: Debug = False,
):
    """Show versions, threads, BLAS, CPU, memory and GPU."""
    with reported(debug):
        from ntklin.apps.cli.info import run

        run(as_json)
