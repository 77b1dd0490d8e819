"""A process that runs tests against mutants, each in a fork of its own: ``python harness.py``.

It has loaded what ntklin stands on and nothing of ntklin, so that a mutant costs little more than
its tests. Jobs come as lines of JSON, results go out as such. What a test does to the process, to
its temporary folder and to children ends with the fork.
"""

import contextlib
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import mutant_site

OPTIONS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "--tb=line", "--no-header")
PRELOADED = (
    *("pytest", "hypothesis", "hypothesis.extra.numpy", "mpmath", "flint", "numba"),
    *("scipy.linalg", "scipy.sparse.linalg", "scipy.special", "scipy.integrate", "scipy.stats"),
    *("matplotlib.figure", "rich.table", "typer.testing", "threadpoolctl", "filelock"),
)
MEMORY = 4 << 30  # bytes that a fork may map
FILE = 1 << 30  # bytes that a file may have
COMPILING = 60.0  # seconds that a test may be thought to take where no map tells
BATCHES = (1.0, 10.0)  # seconds of tests that are collected first, and next


def preload():
    """Load what the tests' imports take long for."""
    for name in PRELOADED:
        importlib.import_module(name)


class Told:
    """A pytest plugin that runs chosen tests in the order given, and tells what happens."""

    def __init__(self, tests, tell, traced):
        self.order = {test: k for k, test in enumerate(tests)} if tests is not None else None
        self.tell, self.traced = tell, traced
        self.skip = set()
        self.outcome = None

    def pytest_collection(self, session):
        """Leave examples as they fail: shrinking them takes long and decides nothing."""
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("as it fails", settings.default, phases=phases)
        settings.load_profile("as it fails")

    def pytest_collection_modifyitems(self, config, items):
        """Take the chosen ones."""
        if self.order is not None:
            items[:] = sorted(
                (item for item in items if item.nodeid in self.order),
                key=lambda item: self.order[item.nodeid],
            )
        items[:] = [item for item in items if item.nodeid not in self.skip]
        self.tell(collected=len(items))

    def pytest_collectreport(self, report):
        """A module that cannot be imported."""
        if report.failed:
            self.tell(broken=report.nodeid, why=last_line(report.longreprtext))

    def pytest_runtest_logstart(self, nodeid, location):
        """A test begins."""
        self.tell(start=nodeid)
        self.outcome, self.began = "passed", sum(os.times()[:4])
        if self.traced:
            mutant_site.entered.taken()

    def pytest_runtest_logreport(self, report):
        """A part of a test is over."""
        if report.outcome != "passed":
            self.outcome = report.outcome
        if report.failed:
            self.tell(failed=report.nodeid, why=last_line(report.longreprtext))

    def pytest_runtest_logfinish(self, nodeid, location):
        """A test is over."""
        told = {"end": nodeid, "outcome": self.outcome}
        if self.traced:
            names = mutant_site.entered.taken()
            by_children = Path(os.environ["NTKLIN_ENTERED"])
            if by_children.exists():
                names |= set(by_children.read_text("utf-8").split("\n")) - {""}
                by_children.unlink()
            told |= {"seconds": sum(os.times()[:4]) - self.began, "entered": sorted(names)}
        self.tell(**told)


def last_line(text):
    """What a failure says at its end."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else ""


def in_fork(job, pipe, folder):
    """The child's side: never returns."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.environ |= {name: str(folder) for name in ("HOME", "TMPDIR", "PYTEST_DEBUG_TEMPROOT")}
    if job.get("recompiled"):  # what is kept is of the kernels as they are
        os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
        importlib.import_module("numba.core.config").CACHE_DIR = str(folder / "numba")

    def tell(**event):
        line = json.dumps(event).encode() + b"\n"
        while line:
            line = line[os.write(pipe, line) :]

    if job.get("edit"):
        (folder / "mutant.json").write_text(json.dumps(job["edit"]), "utf-8")
        os.environ["NTKLIN_MUTANT"] = str(folder / "mutant.json")
        mutant_site.mutant = job["edit"]
    os.chdir(mutant_site.TREE)
    import pytest

    traced = job.get("traced", False)
    if traced:
        os.environ["NTKLIN_ENTERED"] = str(folder / "entered")
        mutant_site.entered.start()
    try:
        for files, tests in batches(job):
            plugin = Told(tests, tell, traced)
            plugin.skip = set(job.get("skip", ()))
            first = () if traced else ("-x",)
            code = pytest.main([*OPTIONS, *first, *files], plugins=[plugin])
            if code not in (0, 5) and not traced:
                tell(stopped=int(code))
                os._exit(0)
        tell(done=True)
    finally:
        os._exit(0)


def batches(job):
    """Files and tests, a few first: most mutants die at once, and files take time to load."""
    if "files" in job:
        yield job["files"], None
        return
    left = [tuple(test) for test in job["tests"]]
    for limit in (*BATCHES, float("inf")):
        taken, seconds = [], 0.0
        while left and (not taken or seconds + left[0][1] <= limit):
            test = left.pop(0)
            taken.append(test[0])
            seconds += test[1] + 0.01
        if taken:
            yield list(dict.fromkeys(test.partition("::")[0] for test in taken)), taken


class Run:
    """One fork, watched: a test may take so long and no longer."""

    def __init__(self, job, base, limits):
        self.job, self.limits = job, limits
        self.base, self.current = base, None

    def events(self):
        """What the fork tells, until it ends or has to be ended."""
        folder = Path(tempfile.mkdtemp(dir=self.base))
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            in_fork(self.job, write, folder)
        os.close(write)
        try:
            yield from self.watched(child, read)
        finally:
            os.close(read)
            end(child)
            shutil.rmtree(folder, ignore_errors=True)

    def watched(self, child, read):
        """The events of a fork; the last one is ``late`` where it had to be ended."""
        rest, since, cpu = b"", time.monotonic(), 0.0
        while True:
            if select.select([read], [], [], 1.0)[0]:
                part = os.read(read, 1 << 20)
                if not part:
                    return
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if "start" in event:
                        self.current = event["start"]
                    if "start" in event or "end" in event or "collected" in event:
                        since, cpu = time.monotonic(), used(child)
                    yield event
            else:
                busy, wall = self.limits(self.current)
                if used(child) - cpu > busy or time.monotonic() - since > wall:
                    yield {"late": self.current}
                    return


def used(pid):
    """Seconds of CPU that a process and the children that it waited for have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def end(child):
    """End a fork and whatever it started."""
    for kill in (lambda: os.killpg(child, signal.SIGKILL), lambda: os.kill(child, signal.SIGKILL)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill()
    os.waitpid(child, 0)
    while True:  # children of children come to the first process of a namespace
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def mapped(job, base):
    """Which functions each test of a file enters, how long it takes, and whether it passes."""
    tests, skip = {}, job["skip"]
    longest = job["longest"]
    while True:
        run = Run(
            {"files": [job["file"]], "traced": True, "skip": skip},
            base,
            lambda test: (longest if test else 120.0, 20 * longest),
        )
        late, done, broken = None, False, None
        for event in run.events():
            if "end" in event:
                kept = {key: event[key] for key in ("outcome", "seconds", "entered")}
                tests[event["end"]] = kept
            late = event.get("late", late)
            done = done or "done" in event
            broken = event.get("why", broken) if "broken" in event else broken
        if done or run.current is None or run.current in skip:
            return {"tests": tests, "broken": None if done else broken}
        # Too long, or it took the process with it: go on behind it.
        lost = late or run.current
        tests[lost] = {"outcome": "long" if late else "crashed", "seconds": longest, "entered": []}
        skip = [*job["skip"], *tests]


def judged(job, base, steady):
    """The verdict on a mutant. A test that fails without it as well is no witness."""
    seconds, shaky, began = dict(job.get("tests", ())), [], children_used()
    while True:
        tests = [[test, cost] for test, cost in seconds.items() if test not in shaky]
        asked = {"tests": tests} if "tests" in job else {"skip": shaky}
        kind, blamed, why, n_run = outcome(Run(job | asked, base, limits(seconds)))
        result = {"verdict": kind, "by": blamed, "why": why, "shaky": shaky}
        if kind == "survived" or not blamed or is_steady(blamed, kind, job, base, steady):
            return result | {"run": n_run, "cpu": round(children_used() - began, 1)}
        shaky.append(blamed)


def limits(seconds):
    """How long a test may take, in CPU time and by the clock, by what it took for its map."""

    def limit(test):
        cost = seconds.get(test, COMPILING) if test else 5.0  # else tests are being loaded
        return 10 + 10 * cost, 120 + 40 * cost

    return limit


def outcome(run):
    """What a fork's events say: verdict, the test that decided it, why, and how many were run."""
    n_run, stopped = 0, None
    for event in run.events():
        n_run += "end" in event
        if "late" in event:
            return "timeout", event["late"], "took too long", n_run
        if "failed" in event:
            return "killed", event["failed"], event["why"], n_run
        if "broken" in event:
            return "killed", event["broken"], event["why"], n_run
        if "done" in event:
            return "survived", None, "", n_run
        stopped = event.get("stopped", stopped)
    return "killed", run.current, f"the process ended, {stopped}", n_run


def is_steady(test, kind, job, base, steady):
    """Whether a test passes without the mutant; asked once, after a time limit again.

    A file that cannot be imported could be, when its map was made.
    """
    if "::" not in test or (test in steady and kind != "timeout"):
        return True
    alone = {"files": [test], "recompiled": job.get("recompiled")}
    passed = outcome(Run(alone, base, limits(dict(job.get("tests", ())))))[0] == "survived"
    if passed:
        steady.add(test)
    return passed


def children_used():
    """Seconds of CPU of all forks so far."""
    told = resource.getrusage(resource.RUSAGE_CHILDREN)
    return told.ru_utime + told.ru_stime


def main(base):
    """Do jobs until there are no more."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the driver ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    preload()
    steady = set()
    for line in sys.stdin:
        job = json.loads(line)
        result = mapped(job, base) if "file" in job else judged(job, base, steady)
        told.write(json.dumps(result) + "\n")
        told.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
