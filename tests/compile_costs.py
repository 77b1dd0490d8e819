"""What compiling costs a command in a fresh installation, by kernel and specialization.

``python tests/compile_costs.py minimizer --optimizer none`` runs ``ntklin minimizer …`` in this
process, in a folder of its own with an empty cache, and prints who was compiled how often, for how
long, and what the specializations of one kernel differ in; ``--json FILE`` before the command keeps
all of it, and with ``--alone`` no second process compiles ahead. Seconds are of the compiling
thread's processor time, so that other work on the machine changes them little; those of what a
kernel calls are not its own.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field

COMPILE, PASS = "numba:compile", "numba:run_pass"
LOCAL = "ntklin.kernels."
SHOWN = 30
# Ways in which the types of two specializations can differ, each with what makes them alike.
DIFFERENCES = (
    ("literals", r"Literal\[int\]\([^()]*\)", "int64"),
    ("literals", r"Literal\[bool\]\([^()]*\)", "bool"),
    ("defaults", r"omitted\(default=[^()]*\)", "omitted"),
    ("read-only", r"readonly (?=array)", ""),
    ("layout", r"(?<=d, )[CFA](?=\))", "*"),
    ("precision", r"float(32|64)", "float"),
    ("integers", r"u?int(8|16|32|64)|bool", "int"),
    ("axes", r"\d+d(?=, )", "*d"),
    ("lengths", r"(?<= x )\d+", "*"),
)


@dataclass
class Specialization:
    """One compilation.

    Attributes
    ----------
    kernel : str
    module : str
    types : str
        Of the arguments.
    asked_by : str
        The kernel in whose compilation it was needed first; empty where Python called it.
    own, total : float
        Seconds without and with what it calls.
    """

    kernel: str
    module: str
    types: str
    asked_by: str
    own: float
    total: float


@dataclass
class Frame:
    """What is being compiled, by name, or a pass of it; and how long others have taken within."""

    kernel: str
    start: float
    nested: float = 0.0


@dataclass
class Ledger:
    """A listener's book: specializations in the order of their ends, and seconds by pass."""

    clock: object = time.thread_time
    found: list = field(default_factory=list)
    passes: dict = field(default_factory=lambda: defaultdict(float))
    _stacks: threading.local = field(default_factory=threading.local)

    @property
    def stack(self):
        """The frames of this thread."""
        if not hasattr(self._stacks, "frames"):
            self._stacks.frames = []
        return self._stacks.frames

    def begin(self, kind, data):
        """A compilation or a pass begins."""
        kernel = data["dispatcher"].py_func.__qualname__ if kind == COMPILE else ""
        self.stack.append(Frame(kernel, self.clock()))

    def end(self, kind, data):
        """The innermost one ends; a pass belongs to what it compiles."""
        frame = self.stack.pop()
        total = self.clock() - frame.start
        own, passed_on = total - frame.nested, frame.nested
        if kind == COMPILE:
            function = data["dispatcher"].py_func
            types = ", ".join(map(str, data["args"]))
            asked_by = next((outer.kernel for outer in reversed(self.stack) if outer.kernel), "")
            names = function.__qualname__, function.__module__, types, asked_by
            self.found.append(Specialization(*names, own, total))
            passed_on = total
        else:
            self.passes[data["name"].partition(" ")[0]] += own
        if self.stack:
            self.stack[-1].nested += passed_on


def listening(ledger):
    """Have Numba tell ``ledger`` of every compilation from here on."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, happened):
            ledger.begin(happened.kind, happened.data)

        def on_end(self, happened):
            ledger.end(happened.kind, happened.data)

    for kind in (COMPILE, PASS):
        event.register(kind, Listener())


def differences(types):
    """In what the types of a kernel's specializations differ: {difference: how many less}.

    Taken in turn, so that each counts what is left of those before.
    """
    found, distinct = {}, set(types)
    for name, pattern, replacement in DIFFERENCES:
        alike = {re.sub(pattern, replacement, text) for text in distinct}
        if len(alike) < len(distinct):
            found[name] = found.get(name, 0) + len(distinct) - len(alike)
        distinct = alike
    if len(distinct) > 1:
        found["other types"] = len(distinct) - 1
    return found


def by_kernel(found):
    """The specializations of each kernel, the most expensive kernel first."""
    groups = defaultdict(list)
    for made in found:
        groups[made.module, made.kernel].append(made)
    return sorted(groups.items(), key=lambda item: -sum(made.own for made in item[1]))


def table(found, most=SHOWN):
    """The most expensive kernels as lines of text, and what the others come to."""
    lines = ["     own  times  each  kernel"]
    groups = by_kernel(found)
    for (module, kernel), made in groups[:most]:
        own = sum(one.own for one in made)
        why = ", ".join(f"{k} ({n})" for k, n in differences([m.types for m in made]).items())
        name = f"{module.removeprefix(LOCAL)}.{kernel}"
        each = own / len(made)
        lines.append(f"{own:7.2f}s {len(made):5d} {each:6.2f}  {name}{why and ': ' + why}")
    rest = [one for _, made in groups[most:] for one in made]
    if rest:
        own = sum(one.own for one in rest)
        lines.append(f"{own:7.2f}s {len(rest):5d}         {len(groups) - most} others")
    return lines


def asked_by_python(found, most=SHOWN):
    """What Python's calls of kernels cost with all that is compiled for them, as lines of text."""
    made = sorted((one for one in found if not one.asked_by), key=lambda one: -one.total)
    lines = ["   total  called by Python"]
    for one in made[:most]:
        lines.append(f"{one.total:7.2f}s  {one.module.removeprefix(LOCAL)}.{one.kernel}")
    if made[most:]:
        lines.append(f"{sum(one.total for one in made[most:]):7.2f}s  {len(made) - most} others")
    return lines


def summary(ledger, seconds):
    """What all of it comes to: ntklin's kernels, Numba's own functions, the passes."""
    mine = [made for made in ledger.found if made.module.startswith(LOCAL)]
    others = [made for made in ledger.found if not made.module.startswith(LOCAL)]
    lines = [f"{seconds:.1f} s of processor time in the main thread, of which compiling"]
    for name, made in (("ntklin's kernels", mine), ("functions of Numba", others)):
        own = sum(one.own for one in made)
        kernels = len({(one.module, one.kernel) for one in made})
        lines.append(f"{own:7.2f}s  {name}: {kernels}, in {len(made)} specializations")
    saved = len(mine) - len({(one.module, one.kernel) for one in mine})
    lines.append(f"          {saved} specializations beyond the first of their kernel")
    for name, own in sorted(ledger.passes.items(), key=lambda item: -item[1])[:6]:
        lines.append(f"{own:7.2f}s  pass {name}")
    return lines


def run(words, folder, alone=False):
    """Run the command with an empty cache in ``folder``; what it compiled, and its seconds."""
    # All that looks at the environment has to come after this.
    os.environ["NUMBA_CACHE_DIR"] = os.path.join(folder, "cache")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ntklin.apps.cli import ahead, blas, main

    if alone:
        ahead.has_room = lambda: False
    blas.prepare()
    ledger = Ledger()
    listening(ledger)
    sys.argv = ["ntklin", *words]
    os.chdir(folder)
    began = time.thread_time()
    try:
        main()
    except SystemExit as e:
        if e.code:
            print(f"the command ended with {e.code}", file=sys.stderr)
    return ledger, time.thread_time() - began


def cli():
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="Keep every specialization.")
    parser.add_argument("--alone", action="store_true", help="Without a second process.")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="Of ntklin, with its options.")
    given = parser.parse_args()
    kept = given.json and os.path.abspath(given.json)
    with tempfile.TemporaryDirectory() as folder:
        ledger, seconds = run(given.command, folder, given.alone)
        os.chdir("/")
    parts = table(ledger.found), asked_by_python(ledger.found), summary(ledger, seconds)
    print("\n", "\n\n".join("\n".join(lines) for lines in parts), sep="")
    if kept:
        values = {
            "command": given.command,
            "seconds": seconds,
            "passes": ledger.passes,
            "specializations": [asdict(made) for made in ledger.found],
        }
        with open(kept, "w", encoding="utf-8") as f:
            json.dump(values, f, indent=1)


if __name__ == "__main__":
    cli()
