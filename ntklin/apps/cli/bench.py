"""``ntklin bench``: the benchmarks, from options to their run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ntklin.apps.cli.ending import tell_written
from ntklin.apps.options import reading, shared
from ntklin.apps.options.declared import single_options
from ntklin.apps.options.option import Option

HELP = """Measure how fast ntklin is, beside the machine's limits and other libraries.

    Each kernel is checked for correctness first, then timed in interleaved rounds. Lists are \
comma-separated; without one, everything runs. Exit code 1 if a check fails.

    With --plot nothing is measured: what FILES hold, or else the output folder, is drawn as one \
picture, ntklin and all others by work, of the works, cases, dtypes, sizes and inputs that are \
asked for."""
EXAMPLES = (
    "ntklin bench",
    "ntklin bench --works gram,weighted_gram --cases A --sizes 100",
    "ntklin bench --quick",
    "ntklin bench --plot",
    "ntklin bench --plot monday.json --inputs gaussian --out pictures",
)
# What says how a run measures: nothing that a picture could follow.
MEASURING = ("rounds", "peers", "peer_scripts", "quick", "device", "threads")


def chosen(content: str, read: Callable[[str, str], object] = reading.parts) -> Option:
    """The option of a list; ``content`` is what can be in it."""
    return Option(metavar="LIST", help=content, read=read)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    files: Annotated[
        list[str] | None,
        Option(
            metavar="[FILES]",
            help="What --plot draws: files that bench has written, of the same machine. "
            "Default: that of the output folder.",
            is_argument=True,
        ),
    ] = None
    works: Annotated[
        list[str] | None,
        chosen(
            "From jacobian, gram, weighted_gram, gd_step, adagrad_step, adam_step, "
            "linearized_step, split, closed_form, infinite; on a GPU also ensemble_step."
        ),
    ] = None
    cases: Annotated[
        list[str] | None, chosen("A (depth 2, width 4000) and B (depth 3, width 2000).")
    ] = None
    dtypes: Annotated[list[str] | None, chosen("From float64, float32.")] = None
    sizes: Annotated[
        tuple[int, ...] | None, chosen("Numbers of inputs, from 100, 1000.", reading.integers)
    ] = None
    inputs: Annotated[list[str] | None, chosen("From gaussian, mnist.")] = None
    rounds: Annotated[int | None, Option(metavar="N", help="Rounds of timing. Default: 5.")] = None
    peers: Annotated[
        str | None,
        Option(metavar="FOLDER", help="Environments of other libraries to run beside it."),
    ] = None
    peer_scripts: Annotated[
        str | None, Option(metavar="FOLDER", help="Their benchmark scripts.")
    ] = None
    out: Annotated[str, shared.folder("bench.json and the picture go")] = "ntklin-bench"
    plot: Annotated[bool, Option(help="Draw what was measured; measure nothing.")] = False
    quick: Annotated[bool, Option(help="Tiny sizes, to see that everything works.")] = False
    device: Annotated[
        str,
        Option(metavar="NAME", help="cpu, or gpu with torch and jax beside it where they are."),
    ] = "cpu"
    threads: shared.Threads = None


def run(options: Options) -> int:
    """Measure, or draw what was measured.

    Returns
    -------
    int
        The exit status; see ``ntklin.validation.benchmarks.main``.
    """
    require_sense(options)
    if options.plot:
        draw(options)
        return 0

    from ntklin.apps.cli.console import Console
    from ntklin.edge.files.writing import require_writable
    from ntklin.validation.benchmarks import main

    require_writable(options.out)
    return main(options, Console())


def require_sense(options: Options) -> None:
    """Refuse files where nothing is drawn, and options of a measurement where something is."""
    if options.files and not options.plot:
        raise ValueError("FILES are what --plot draws; add --plot, or leave them out")
    for one in single_options(Options) if options.plot else ():
        if one.name in MEASURING and getattr(options, one.name) != one.default:
            flag = one.option.flag_of(one.name)
            raise ValueError(f"--plot measures nothing; leave out {flag}")


def draw(options: Options) -> None:
    """Draw the files that are asked for, or that of the output folder, into it."""
    from ntklin.apps.cli import signals
    from ntklin.apps.cli.console import Console
    from ntklin.apps.report.speed import NAMES, write_speed
    from ntklin.edge.files.writing import require_writable
    from ntklin.validation.benchmarks import standings

    wanted = standings.selection(options)
    require_writable(options.out, NAMES)
    found = standings.read(options.files or [options.out]).select(wanted)
    if not found.standings:
        raise ValueError("nothing to draw: of what is asked for, nothing was timed beside others")
    with signals.held():
        paths = write_speed(found, options.out)
    tell_written(Console(), options.out, paths)
