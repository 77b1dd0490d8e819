"""Gates, then rounds: the rows of one problem."""

from math import isfinite

from ntklin.validation.benchmarks import memory
from ntklin.validation.benchmarks.timing import Timing, take_turn


class Row:
    """What is known of one task on one problem.

    Parameters
    ----------
    task : Task
    problem : Problem
    frozen_n : int
        The N that the problem's stands for; another one in a quick run.

    Attributes
    ----------
    facts : dict
        Work, variant, case, dtype, inputs, N and implementation.
    check : Check or None
        None before the gate, or where it raised.
    failed : str
        Why the gate did not pass; empty when it did.
    skipped : str
        Why it could not be run here at all.
    memory : dict
    timing : Timing
    """

    def __init__(self, task, problem, frozen_n):
        self.task = task
        self.facts = {
            "work": task.work,
            "variant": task.variant,
            "case": problem.case.name,
            "dtype": problem.dtype.name,
            "inputs": problem.inputs,
            "n": problem.n,
            "frozen_n": frozen_n,
            "implementation": task.implementation,
        }
        self.label, self.cost, self.count = task.label, task.cost, task.count
        self.check, self.failed, self.skipped = None, "", ""
        self.memory, self.timing = {}, Timing()

    def release(self):
        """Drop the task, and with it the arrays that it holds."""
        self.task = None

    @property
    def timed(self):
        """Whether there is at least one turn."""
        return bool(self.timing.turns)

    def gate(self):
        """Run the task once and compare; an exception fails it, except for want of memory."""
        try:
            self.check = self.task.gate()
        except MemoryError as e:
            self.skipped = str(e)
            return
        except Exception as e:
            self.failed = f"{type(e).__name__}: {e}"
            return
        if not self.check.passed:
            self.failed = (
                f"relative error {self.check.error:.2g} exceeds {self.check.tolerance:.2g}"
            )

    def record(self, limits):
        """As written to the JSON.

        Parameters
        ----------
        limits : Limits or None

        Returns
        -------
        dict
        """
        found = {
            **self.facts,
            # JSON has neither NaN nor infinity; ``failed`` then says which.
            "error": self.check.error if self.check and isfinite(self.check.error) else None,
            "tolerance": self.check.tolerance if self.check else None,
            "left_out": self.check.left_out if self.check else None,
            "failed": self.failed or None,
            "skipped": self.skipped or None,
            **self.memory,
        }
        if self.timed:
            found |= self.timing.summary() | self.rates(limits)
            if found["setup_ms"] is not None:
                found["amortized_ms"] = found["median_ms"] + found["setup_ms"] / self.count
            found["turns_ms"] = [[1e3 * s for s in turn] for turn in self.timing.turns]
        return found

    def rates(self, limits):
        """GFLOP/s and GB/s at the median, and their fractions of the limits."""
        cost, seconds = self.cost, self.timing.median
        found = {
            "flops": cost.flops,
            "dense_flops": cost.dense_flops,
            "unskipped_flops": cost.unskipped_flops,
            "bytes": cost.n_bytes,
        }
        for name, amount in (
            ("gflops", cost.flops),
            ("dense_gflops", cost.dense_flops),
            ("gbytes", cost.n_bytes),
        ):
            found[name] = amount / seconds / 1e9 if amount else None
        if limits is not None:
            if cost.flops:
                found["of_gemm"] = found["gflops"] / limits.flops(self.facts["dtype"])
            if cost.unskipped_flops:
                rate = cost.unskipped_flops / seconds / 1e9
                found["of_gemm_unskipped"] = rate / limits.flops(self.facts["dtype"])
            if cost.n_bytes:
                found["bandwidth"] = cost.bound
                found["of_bandwidth"] = found["gbytes"] / limits.bandwidth(cost.bound)
        return found


def pass_gates(rows, *, on_host=True):
    """Gate all rows; return those of works whose implementations all passed.

    Parameters
    ----------
    rows : list of Row
    on_host : bool
        Whether the memory that the work takes is the host's, which can be measured.

    Returns
    -------
    list of Row
    """
    for row in rows:
        row.gate()
        if on_host and not row.failed and not row.skipped:
            # The gate's call compiled what it needed; this one shows what the work itself takes.
            task = row.task
            row.memory = memory.measure(lambda task=task: task.run(*task.prepare()))
    stopped = {row.label for row in rows if row.failed}
    return [row for row in rows if row.label not in stopped and not row.skipped]


def take_rounds(rows, rounds, seconds, tick):
    """Let the rows take turns, each round in the opposite order of the one before.

    Parameters
    ----------
    rows : list of Row
    rounds : int
    seconds : float
        The shortest turn.
    tick : callable
        Called with the row after each turn.
    """
    for r in range(rounds):
        for row in rows if r % 2 == 0 else reversed(rows):
            take_turn(row.task, seconds, row.timing)
            tick(row)
