"""``ntklin info``: what this installation runs on."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ntklin.apps.options.option import Option

HELP = "Show versions, threads, BLAS, CPU, memory and GPU."
EXAMPLES = ()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    as_json: Annotated[bool, Option(flag="--json", help="Print JSON.")] = False


def run(options: Options) -> None:
    """Print versions, threads, BLAS, CPU, memory and GPU."""
    from rich.table import Table
    from rich.text import Text

    from ntklin.apps.cli.console import Console
    from ntklin.apps.cli.environment import everything

    facts = everything()
    if options.as_json:
        print(json.dumps(facts, indent=1))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines(facts):
        table.add_row(name, Text(value))
    Console().print(table)


def lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values to print, in order."""
    from ntklin.edge.amounts import format_bytes

    yield from facts["versions"].items()
    yield "system", facts["system"]
    yield "CPU", f"{facts['cpu']['model']}, {facts['cpu']['cores']} logical cores"
    yield "AVX-512", facts["avx512"]
    threads = facts["threads"]
    yield "Numba threads", f"{threads['numba']} of {threads['numba_most']}, {threads['layer']}"
    for library in facts["blas"]:
        yield (
            f"BLAS of {library['used_by']}",
            f"{library['name']} {library['version']}, {library['architecture']} kernels, "
            f"{library['threads']} threads",
        )
    memory = facts["memory"]
    sizes = [f"{format_bytes(memory[key])} {key}" for key in ("total", "available") if memory[key]]
    yield "memory", ", ".join(sizes) or "unknown"
    yield "GPU", ", ".join(facts["gpu"]["devices"]) or "none"
    cupy = facts["gpu"]["cupy"]
    yield "CuPy", cupy or "not installed"
