"""``ntklin bench``: the benchmarks, from options to their run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ntklin.apps.options import reading, shared
from ntklin.apps.options.option import Option

HELP = """Measure how fast ntklin is, beside the machine's limits and other libraries.

    Each kernel is checked for correctness first, then timed in interleaved rounds. Lists are \
comma-separated; without one, everything runs. Exit code 1 if a check fails."""
EXAMPLES = (
    "ntklin bench",
    "ntklin bench --works gram,weighted_gram --cases A --sizes 100",
    "ntklin bench --quick",
)


def chosen(content: str, read: Callable[[str, str], object] = reading.parts) -> Option:
    """The option of a list; ``content`` is what can be in it."""
    return Option(metavar="LIST", help=content, read=read)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

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
    out: Annotated[str, shared.folder("bench.json goes")] = "ntklin-bench"
    quick: Annotated[bool, Option(help="Tiny sizes, to see that everything works.")] = False
    device: Annotated[
        str,
        Option(metavar="NAME", help="cpu, or gpu with torch and jax beside it where they are."),
    ] = "cpu"
    threads: shared.Threads = None


def run(options: Options) -> int:
    """Measure.

    Returns
    -------
    int
        The exit status; see ``ntklin.validation.benchmarks.main``.
    """
    from ntklin.apps.cli.console import Console
    from ntklin.edge.files.writing import require_writable
    from ntklin.validation.benchmarks import main

    require_writable(options.out)
    return main(options, Console())
