"""The run: limits, then problem by problem gates and rounds, then the peers, then the tables."""

import contextlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numba
import numpy as np
import threadpoolctl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ntklin.files.names import shown
from ntklin.files.seal import sealed
from ntklin.files.unfinished import COMPLETE, FOLDER, amount, forget, place
from ntklin.files.writing import require_writable, write_whole
from ntklin.validation.benchmarks import gpu_peers, machine, report
from ntklin.validation.benchmarks import limits as limits_module
from ntklin.validation.benchmarks.cases import FULL, draw
from ntklin.validation.benchmarks.compare import Comparison, interleave
from ntklin.validation.benchmarks.measure import Row, pass_gates, take_rounds
from ntklin.validation.benchmarks.options import as_options
from ntklin.validation.benchmarks.peers import PeerFolders
from ntklin.validation.benchmarks.targets import TARGETS
from ntklin.validation.benchmarks.verdicts import judge
from ntklin.validation.benchmarks.works import Workshop

RESULT = "bench.json"
SCHEMA = 2  # 1 had no digest
INTERRUPTED = 130


def main(
    *,
    works=None,
    cases=None,
    dtypes=None,
    sizes=None,
    inputs=None,
    rounds=None,
    peers=None,
    peer_scripts=None,
    out="ntklin-bench",
    quick=False,
    threads=None,
    device="cpu",
    console=None,
):
    """Measure how fast ntklin is, and write tables and ``bench.json``.

    Parameters
    ----------
    works : sequence of str, optional
        From jacobian, gram, weighted_gram, gd_step, adagrad_step, adam_step, linearized_step,
        split, closed_form, infinite; on a GPU also ensemble_step, and not split and closed_form.
        Like the next four, all when not given.
    cases : sequence of {"A", "B"}, optional
    dtypes : sequence of {"float64", "float32"}, optional
    sizes : sequence of {100, 1000}, optional
        N.
    inputs : sequence of {"gaussian", "mnist"}, optional
    rounds : int, optional
        5 when not given, and 3 with the peers.
    peers : path, optional
        The folder of the peers' environments; their rows then run between ntklin's own.
    peer_scripts : path, optional
        The folder of the peers' scripts.
    out : path
        The folder for ``bench.json``, made if it is not there. Where it holds that of a finished
        run, this one's goes to ``unfinished`` in it until this one is finished, too.
    quick : bool
        Tiny sizes, to see that everything works; the times mean nothing.
    threads : int, optional
        All usable cores when not given.
    device : {"cpu", "gpu"}
        On a GPU, hand-made CuPy takes the place of NumPy, and PyTorch and JAX are beside it where
        they are installed for CUDA.
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
        If ``out`` cannot be written.
    """
    options = as_options(
        works=works,
        cases=cases,
        dtypes=dtypes,
        sizes=sizes,
        inputs=inputs,
        rounds=rounds,
        peers=peers,
        peer_scripts=peer_scripts,
        out=out,
        quick=quick,
        threads=threads,
        device=device,
    )
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=200)
    require_writable(options.out, [RESULT], [FOLDER])
    run = Run(options, console)
    with fixed_threads(options.threads):
        try:
            run.everything()
        except KeyboardInterrupt:
            run.interrupted = True
            console.print("\n[yellow]Interrupted; what was measured is kept.[/yellow]")
    run.save(complete=not run.interrupted)
    run.print_tables()
    if run.interrupted:
        return INTERRUPTED
    return 1 if any(row.failed for row in run.rows) else 0


@contextlib.contextmanager
def fixed_threads(n):
    """Let Numba and every BLAS use ``n`` threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(n)
    try:
        with threadpoolctl.threadpool_limits(n, user_api="blas"):
            yield
    finally:
        numba.set_num_threads(before)


class Run:
    """The state of a run: what was asked for and what has been measured.

    Parameters
    ----------
    options : Options
    console : rich.console.Console
    """

    def __init__(self, options, console):
        self.options = options
        self.console = console
        self.machine = None
        self.limits = None
        self.rows = []
        self.comparisons = []
        self.interrupted = False
        self.written = options.out / RESULT

    def everything(self):
        """Measure all that was asked for; saved after each problem."""
        options = self.options
        on_cpu = options.xp is np
        self.machine = machine.describe(options.threads)
        if not on_cpu:
            self.machine["gpu"] = machine.describe_gpu(options.xp)
        self.console.print(report.machine_text(self.machine), highlight=False)
        self.console.print("Measuring the limits …")
        if on_cpu:
            self.limits = limits_module.measure(options.scale, options.threads)
        else:
            self.limits = limits_module.measure_gpu(options.scale, options.xp)
        self.console.print(report.limits_table(self.limits))
        # Refreshed by hand between turns: a thread that draws would disturb what is timed.
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self.console, auto_refresh=False) as progress:
            groups = options.groups
            compared = self.peer_groups()
            bar = progress.add_task("", total=len(groups) + len(compared))

            def tick(text):
                progress.update(bar, description=text, refresh=True)

            for group in groups:
                self.problem(*group, tick)
                progress.advance(bar)
                self.save()
            with tempfile.TemporaryDirectory(prefix="ntklin-peers-") as results:
                for group, targets in compared.items():
                    self.compare(group, targets, Path(results), tick)
                    progress.advance(bar)
                    self.save()

    def problem(self, case, dtype, inputs, n, works, tick):
        """Gate and time one problem."""
        where = f"{case.name} {dtype} {inputs} N = {n}"
        tick(f"{where}: drawing")
        scale = self.options.scale
        problem = draw(case, scale.n[n], inputs, dtype)
        workshop = Workshop(problem, scale, self.options.xp)
        tasks = workshop.tasks(works)
        if self.options.xp is not np:
            tasks += gpu_peers.tasks(problem, workshop.reference, works)
        rows = [Row(task, problem, n) for task in tasks]
        self.rows += rows
        tick(f"{where}: gates")
        take_rounds(
            pass_gates(rows, on_host=self.options.xp is np),
            self.options.rounds,
            scale.seconds,
            lambda row: tick(f"{where}: {row.label}"),
        )
        for row in rows:
            row.release()

    def peer_groups(self):
        """The targets that need peers and are within the selection, by group."""
        groups = {}
        if self.options.peers is not None:
            for target in TARGETS:
                if target.peers and self.options.wants(target):
                    groups.setdefault(target.group, []).append(target)
        return groups

    def compare(self, group, targets, results, tick):
        """Run the peers of one group between turns of ntklin."""
        work, case_name, dtype, n = group
        options = self.options
        case = next(case for case in options.cases if case.name == case_name)
        tick(f"{work}, peers: gates")
        variants = {(target.variant, target.inputs) for target in targets}
        # The peers work on Gaussian inputs whatever ntklin does.
        workshops = {
            inputs: Workshop(draw(case, options.scale.n[n], inputs, dtype), options.scale)
            for inputs in dict.fromkeys(["gaussian", *(target.inputs for target in targets)])
        }
        rows = [
            Row(task, workshop.problem, n)
            for inputs, workshop in workshops.items()
            for task in workshop.tasks([work], ["ntklin"])
            if (task.variant, inputs) in variants
        ]
        ready = pass_gates(rows)
        self.rows += [row for row in rows if row.failed]
        if not ready:
            return
        comparison = Comparison(group)
        self.comparisons.append(comparison)
        peers = list(dict.fromkeys(peer for target in targets for peer in target.peers))
        interleave(
            comparison,
            ready,
            peers,
            options.peer_rounds,
            options.scale.seconds,
            PeerFolders(options.peers, options.peer_scripts, results),
            options.threads,
            workshops["gaussian"].reference,
            tick,
        )

    def records(self):
        """The rows as written to the JSON."""
        return [row.record(self.limits) for row in self.rows]

    def verdicts(self):
        """The target table, within the selection; a quick run has nothing to hold it to."""
        if self.options.scale is not FULL or self.options.xp is not np:
            return []
        records = self.records()
        wanted = [target for target in TARGETS if self.options.wants(target)]
        return [judge(target, records, self.comparisons) for target in wanted]

    def save(self, complete=False):
        """Write ``bench.json``, whole or not at all; ``complete`` tells whether the run is over."""
        options = self.options
        self.written = place(options.out, RESULT, complete) / RESULT
        last = complete or (self.interrupted and self.rows)
        if not last and amount(self.written, "rows") > len(self.rows):
            return  # an earlier run, itself unfinished, had come further
        document = {
            "schema": SCHEMA,
            COMPLETE: complete,
            "interrupted": self.interrupted,
            "quick": options.scale is not FULL,
            "options": {
                "works": options.works,
                "cases": [asdict(case) for case in options.cases],
                "dtypes": options.dtypes,
                "sizes": options.sizes,
                "inputs": options.inputs,
                "rounds": options.rounds,
                "peer_rounds": options.peer_rounds,
                "threads": options.threads,
                "device": "cpu" if options.xp is np else "gpu",
            },
            "machine": self.machine,
            "limits": None if self.limits is None else asdict(self.limits),
            "rows": self.records(),
            "comparisons": [comparison.record() for comparison in self.comparisons],
            "targets": [verdict.record() for verdict in self.verdicts()],
        }
        write_whole(self.written, json.dumps(sealed(document), indent=1))
        if complete:
            forget(options.out, RESULT)

    def print_tables(self):
        """Works, peers and targets."""
        records = self.records()
        if records:
            self.console.print(report.rows_table(records))
        if self.comparisons:
            self.console.print(report.peers_table(self.comparisons))
        failures = report.failures(records, self.comparisons)
        if failures:
            self.console.print(failures, style="red", highlight=False, markup=False)
        verdicts = self.verdicts()
        if self.limits is not None and verdicts:
            self.console.print(report.targets_table(verdicts))
        text = f"Written to {shown(self.written)}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
