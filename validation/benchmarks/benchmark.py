"""The run: limits, then problem by problem gates and rounds, then the peers, then the tables."""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ntklin.edge.files.names import shown
from ntklin.edge.files.seal import sealed
from ntklin.edge.files.unfinished import COMPLETE, FOLDER, amount, forget, place
from ntklin.edge.files.writing import require_writable, write_whole
from ntklin.edge.threads import limited
from ntklin.validation.benchmarks import gpu_peers, machine, report, work, works
from ntklin.validation.benchmarks import limits as limits_module
from ntklin.validation.benchmarks.cases import FULL, Case, Group, draw
from ntklin.validation.benchmarks.compare import Comparison, Referee, interleave
from ntklin.validation.benchmarks.limits import Limits
from ntklin.validation.benchmarks.measure import Row, pass_gates, take_rounds
from ntklin.validation.benchmarks.options import Options, as_options
from ntklin.validation.benchmarks.peers import PeerFolders, run_peer
from ntklin.validation.benchmarks.scores import Score, score
from ntklin.validation.benchmarks.targets import Target

RESULT = "bench.json"
SCHEMA = 2  # 1 had no digest
INTERRUPTED = 130


def main(typed: Any, console: Console | None = None) -> int:
    """Measure how fast ntklin is, and write tables and ``bench.json``.

    Parameters
    ----------
    typed : ntklin.apps.cli.bench.Options
        What ``ntklin bench`` is told; each option is declared there.
    console : rich.console.Console, optional

    Returns
    -------
    int
        0; 1 if a correctness gate failed; 130 after Ctrl-C, with what was measured kept. A target
        that is not met is no failure.

    Raises
    ------
    ValueError
        For an option that is not allowed.
    OSError
        If the output folder cannot be written.
    """
    options = as_options(typed)
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=200)
    require_writable(options.out, [RESULT], [FOLDER])
    benchmark = Benchmark(options, console)
    with limited(options.threads):
        try:
            benchmark.run()
        except KeyboardInterrupt:
            benchmark.interrupted = True
            console.print("\n[yellow]Interrupted; what was measured is kept.[/yellow]")
    benchmark.save(complete=not benchmark.interrupted)
    benchmark.print_tables()
    if benchmark.interrupted:
        return INTERRUPTED
    return 1 if any(row.failed for row in benchmark.rows) else 0


class Benchmark:
    """What was asked for and what has been measured.

    Parameters
    ----------
    options : Options
    console : rich.console.Console
    """

    def __init__(self, options: Options, console: Console) -> None:
        self.options, self.console = options, console
        self.on_cpu = options.xp is np
        self.machine: dict[str, Any] | None = None
        self.limits: Limits | None = None
        self.rows: list[Row] = []
        self.comparisons: list[Comparison] = []
        self.interrupted = False
        self.written = options.out / RESULT

    def run(self) -> None:
        """Measure all that was asked for; saved after each problem."""
        options = self.options
        self.machine = machine.describe(options.threads)
        if not self.on_cpu:
            self.machine["gpu"] = machine.describe_gpu(options.xp)
        self.console.print(report.machine_text(self.machine), highlight=False)
        self.console.print("Measuring the limits …")
        if self.on_cpu:
            self.limits = limits_module.measure(options.scale, options.threads)
        else:
            self.limits = limits_module.measure_gpu(options.scale, options.xp)
        self.console.print(report.limits_table(self.limits))
        # Refreshed by hand between turns: a thread that draws would disturb what is timed.
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with ExitStack() as stack:
            progress = Progress(*columns, console=self.console, auto_refresh=False)
            stack.enter_context(progress)
            parts = [partial(self.problem, *group) for group in options.groups]
            if options.peers is not None and options.peer_scripts is not None:
                results = stack.enter_context(tempfile.TemporaryDirectory(prefix="ntklin-peers-"))
                folders = PeerFolders(options.peers, options.peer_scripts, Path(results))
                groups = self.peer_groups().items()
                parts += [partial(self.compare, *group, folders) for group in groups]
            bar = progress.add_task("", total=len(parts))
            for part in parts:
                part(lambda text: progress.update(bar, description=text, refresh=True))
                progress.advance(bar)
                self.save()

    def problem(
        self,
        case: Case,
        dtype: str,
        inputs: str,
        n: int,
        names: Sequence[str],
        tick: Callable[[str], object],
    ) -> None:
        """Gate and time one problem."""
        where = f"{case.name} {dtype} {inputs} N = {n}"
        tick(f"{where}: drawing")
        scale = self.options.scale
        problem = draw(case, scale.n[n], inputs, dtype)
        setup = work.Setup(problem, scale, self.options.xp)
        others = None
        if not self.on_cpu and case.is_plain:
            others = gpu_peers.ways(problem, setup.reference)
        rows = work.rows(names, setup, n, others)
        self.rows += rows
        tick(f"{where}: gates")
        ready = pass_gates(rows, on_host=self.on_cpu)
        rounds = self.options.rounds
        take_rounds(ready, rounds, scale.seconds, lambda row: tick(f"{where}: {row.label}"))
        for row in rows:
            row.release()

    def peer_groups(self) -> dict[Group, list[Target]]:
        """The targets that need peers and are within the selection, by group."""
        groups = {}
        if self.options.peers is not None:
            for target in works.TARGETS:
                if target.peers and self.options.wants(target):
                    groups.setdefault(target.group, []).append(target)
        return groups

    def compare(
        self,
        group: Group,
        targets: Sequence[Target],
        folders: PeerFolders,
        tick: Callable[[str], object],
    ) -> None:
        """Run the peers of one group between turns of ntklin."""
        name, case_name, dtype, n = group
        options, scale = self.options, self.options.scale
        case = next(case for case in options.cases if case.name == case_name)
        tick(f"{name}, peers: gates")
        variants = {(target.variant, target.inputs) for target in targets}
        # The peers work on Gaussian inputs whatever ntklin does.
        setups = {
            inputs: work.Setup(draw(case, scale.n[n], inputs, dtype), scale)
            for inputs in dict.fromkeys(["gaussian", *(target.inputs for target in targets)])
        }
        rows = [
            row
            for setup in setups.values()
            for row in work.rows([name], setup, n)
            if row.facts["implementation"] == "ntklin"
            and (row.facts["variant"], row.facts["inputs"]) in variants
        ]
        ready = pass_gates(rows)
        self.rows += [row for row in rows if row.failed]
        if not ready:
            return
        self.comparisons.append(Comparison(group))
        interleave(
            self.comparisons[-1],
            ready,
            list(dict.fromkeys(peer for target in targets for peer in target.peers)),
            options.peer_rounds,
            scale.seconds,
            lambda peer: run_peer(peer, group, folders, options.threads),
            Referee(group, setups["gaussian"].reference),
            tick,
        )

    def records(self) -> list[dict[str, Any]]:
        """The rows as written to the JSON."""
        return [row.record(self.limits) for row in self.rows]

    def scores(self) -> list[Score]:
        """The target table, within the selection; a quick run has nothing to hold it to."""
        if self.options.scale is not FULL or not self.on_cpu:
            return []
        records = self.records()
        wanted = [target for target in works.TARGETS if self.options.wants(target)]
        return [score(target, records, self.comparisons) for target in wanted]

    def save(self, complete: bool = False) -> None:
        """Write ``bench.json``, whole or not at all; ``complete`` tells whether the run is over."""
        options = self.options
        self.written = place(options.out, RESULT, complete) / RESULT
        last = complete or (self.interrupted and self.rows)
        if not last and amount(self.written, "rows") > len(self.rows):
            return  # an earlier run, itself unfinished, had come further
        plain = ("works", "dtypes", "sizes", "inputs", "rounds", "peer_rounds", "threads")
        document = {
            "schema": SCHEMA,
            COMPLETE: complete,
            "interrupted": self.interrupted,
            "quick": options.scale is not FULL,
            "options": {
                **{name: getattr(options, name) for name in plain},
                "cases": [asdict(case) for case in options.cases],
                "device": "cpu" if self.on_cpu else "gpu",
            },
            "machine": self.machine,
            "limits": None if self.limits is None else asdict(self.limits),
            "rows": self.records(),
            "comparisons": [comparison.record() for comparison in self.comparisons],
            "targets": [score.record() for score in self.scores()],
        }
        write_whole(self.written, json.dumps(sealed(document), indent=1))
        if complete:
            forget(options.out, RESULT)

    def print_tables(self) -> None:
        """Works, peers and targets."""
        records, scores = self.records(), self.scores()
        if records:
            self.console.print(report.rows_table(records))
        if self.comparisons:
            self.console.print(report.peers_table(self.comparisons))
        failures = report.failures(records, self.comparisons)
        if failures:
            self.console.print(failures, style="red", highlight=False, markup=False)
        if self.limits is not None and scores:
            self.console.print(report.targets_table(scores))
        text = f"Written to {shown(self.written)}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
