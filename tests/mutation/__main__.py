"""Mutation testing of ntklin and its kernels: ``python tests/mutation``, see docs/mutation.md."""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import report
import sample
from choice import Choice
from place import HERE, ROOT, Place, digest

# Wheels are built from the sources as they stand, without the mutant.
NOT_ASKED = ("test_packaging.py",)
# What sees compiled kernels, and what only the compiler runs; about a minute of compiling.
COMPILED = (
    "tests/test_places.py",
    "tests/test_freed_memory.py::test_the_numbers_in_this_process",
    "tests/test_surroundings.py",
    "tests/test_flags.py",
    "tests/test_products.py",
)
# Of further test files, those that enter the mutated code, so many are shown one test each.
WITNESSES = 12
# What may be needed to compile kernels, in units of what a test may take.
COMPILING_TOO = 4
SLOW = 5.0  # seconds of a test that may have compiled
ISOLATED = """
mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"
"""


class Worker:
    """A harness process, which does one job after another."""

    def __init__(self, place, isolated, compiled=False):
        command = [place.python, HERE / "harness.py", place.folder / "work"]
        if isolated:  # everything but the private folder is read-only, and processes end with this
            shell = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
            command = [*shell, "sh", "-c", ISOLATED, place.folder, *command]
        one = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(one, "1")
        environment |= {
            "NUMBA_DISABLE_JIT": "0" if compiled else "1",
            "NUMBA_CACHE_DIR": str(place.folder / "numba"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(place.folder / "hypothesis"),
            "MPLCONFIGDIR": str(place.folder / "matplotlib"),
            "MPLBACKEND": "agg",
        }
        # What waits for a namespace to end ends with it only when it is killed.
        self.isolated = isolated
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            cwd=place.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, job):
        """One job's result."""
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended, with status {self.process.wait()}")
        return json.loads(line)

    def stop(self):
        """End it, and what it runs."""
        self.process.kill() if self.isolated else self.process.terminate()

    def close(self):
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()


def shared_out(jobs, take, options, place, compiled=False):
    """Do jobs on several workers; ``take`` gets each with its result, one at a time."""
    waiting = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    lock, stop = threading.Lock(), threading.Event()
    failed, workers = [], []

    def work():
        worker = Worker(place, options.isolated, compiled)
        workers.append(worker)
        try:
            while not stop.is_set() and time.monotonic() < options.deadline:
                try:
                    name, job = waiting.get_nowait()
                except queue.Empty:
                    return
                result = worker.do(job)
                with lock:
                    take(name, result)
        except Exception as e:
            if not stop.is_set():
                failed.append(e)
            stop.set()
        finally:
            worker.close()

    threads = [threading.Thread(target=work) for _ in range(options.workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except KeyboardInterrupt:
        stop.set()
        for worker in workers:
            worker.stop()
        raise
    if failed:
        raise failed[0]


def unmapped(place, longest):
    """Test files without a whole map, or changed since, small ones first: (file, digest, tests).

    ``tests`` is what a map has that is still true. Tests that took longer than an earlier limit are
    not in it.
    """
    found = []
    for path in sorted((place.tree / "tests").glob("test_*.py"), key=lambda p: p.stat().st_size):
        file = f"tests/{path.name}"
        contents, kept = digest(place.tree, [file]), place.map(file)
        fresh = kept is not None and kept["digest"] == contents
        if path.name not in NOT_ASKED and not (fresh and kept["longest"] >= longest):
            tests = kept["tests"] if fresh else {}
            tests = {test: what for test, what in tests.items() if what["outcome"] != "long"}
            if not fresh or len(tests) < len(kept["tests"]):
                found.append((file, contents, tests))
    return found


def make_maps(place, options):
    """The maps of all test files."""
    longest = options.longest
    jobs = [
        ((file, contents, tests), {"file": file, "longest": longest, "skip": list(tests)})
        for file, contents, tests in unmapped(place, longest)
    ]
    say(f"{len(jobs)} files to map")
    shared_out(jobs, mapper(place, longest), options, place)


def make_compiled_maps(place, options):
    """The maps of what takes too long without compiled kernels, or is skipped there.

    What was slow is mapped once more: then it finds the kernels on the disk, as mutants will.
    """
    longest = COMPILING_TOO * options.longest
    for warm in (False, True):
        jobs = [
            ((file, contents, known), {"file": file, "longest": longest, "skip": skip})
            for file, contents, known, skip in left_out(place, warm)
        ]
        say(f"{len(jobs)} files to map with compiled kernels")
        take = mapper(place, longest, compiled=True, warm=warm)
        shared_out(jobs, take, options, place, compiled=True)


def left_out(place, warm):
    """Files with tests that did not pass in plain Python, what is known of these, and the others.

    All that have no map with compiled kernels; of ``warm`` those that had to compile for theirs.
    """
    for path in sorted(place.maps.glob("*.json")):
        plain, before = place.map(path.name), place.map(path.name, compiled=True)
        passed = [test for test, what in plain["tests"].items() if what["outcome"] == "passed"]
        fresh, known = before is not None and before["digest"] == plain["digest"], {}
        if fresh:
            known = {t: what for t, what in before["tests"].items() if what["seconds"] < SLOW}
            if before["warm"] or len(known) == len(before["tests"]):
                continue
        if fresh == warm and len(passed) < len(plain["tests"]):
            yield plain["file"], plain["digest"], known, [*passed, *known]


def mapper(place, longest, compiled=False, warm=False):
    """What keeps a map and tells it."""

    def take(name, told):
        file, contents, tests = name
        tests = tests | told["tests"]
        kept = {"file": file, "digest": contents, "longest": longest, "tests": tests, "warm": warm}
        place.keep_map(kept, compiled)
        seconds = sum(test["seconds"] for test in tests.values())
        say(f"{file}: {len(tests)} tests, {seconds:.0f} s {told['broken'] or ''}")

    return take


def judge(place, options):
    """Verdicts on the sample's mutants, those first that had none."""
    drawn, verdicts = begun(place, options)
    choice = Choice(place)
    new, again, whole = [], [], not unmapped(place, 0)
    for mutant in drawn["mutants"]:
        before = verdicts.of(mutant)
        if before is not None and before["verdict"] in report.DEAD:
            continue
        if not whole and not choice.knows(mutant):
            continue  # whom to ask, later maps will tell
        asked = set(before["asked"]) if before else set()
        tests = choice.tests(mutant, options.budget)
        tests = [test for test in tests if choice.known(test[0]) not in asked]
        name = mutant, asked | {choice.known(test) for test, _ in tests}
        if tests:
            (again if before else new).append((name, {"edit": mutant, "tests": tests}))
        elif before is None and whole:
            verdicts.add(mutant, {"verdict": "uncovered", "asked": []})
    say(f"{len(new)} mutants to judge, {len(again)} again, by {len(choice.seconds)} tests")
    shared_out([*new, *equivalents_last(again)], taken(verdicts), options, place)


def judge_by_compiled(place, options):
    """Verdicts on what is alive by tests that need compiled kernels, which no mutant changes."""
    drawn, verdicts = begun(place, options)
    choice, jobs = Choice(place, compiled=True), []
    for mutant in drawn["mutants"]:
        before = verdicts.of(mutant)
        if before is None or before["verdict"] in report.DEAD or not is_python(mutant["path"]):
            continue
        asked = set(before["asked"])
        tests = choice.tests(mutant, options.budget)
        tests = [test for test in tests if choice.known(test[0]) not in asked]
        if tests:
            asked |= {choice.known(test) for test, _ in tests}
            jobs.append(((mutant, asked), {"edit": mutant, "tests": tests}))
    say(f"{len(jobs)} mutants to judge by tests of compiled kernels")
    shared_out(equivalents_last(jobs), taken(verdicts), options, place, compiled=True)


def equivalents_last(jobs):
    """Jobs on mutants of which it is shown that they change nothing come behind all others."""
    shown = report.equivalents()
    return sorted(jobs, key=lambda job: report.is_shown(job[1]["edit"], shown))


def is_python(path):
    """Whether no compiled kernel is made of a source."""
    return path.startswith(("ntklin/", "kernels/gpu/"))


def judge_compiled(place, options):
    """Verdicts of compiled code on those of the kernels' mutants that are alive in plain Python."""
    drawn, verdicts = begun(place, options)
    choice, jobs = Choice(place), []
    for mutant in drawn["mutants"]:
        before = verdicts.of(mutant)
        alive = before is not None and before["verdict"] not in report.DEAD
        if not (alive and mutant["path"].startswith("kernels/cpu/")):
            continue
        tests = [*choice.witnesses(mutant, WITNESSES), *COMPILED]
        files = sorted({name.partition("::")[0] for name in tests})
        mark = f"recompiled@{digest(place.tree, files)}"
        if mark not in before["asked"]:
            asked = {*before["asked"], mark}
            jobs.append(((mutant, asked), {"edit": mutant, "files": tests, "recompiled": True}))
    say(f"{len(jobs)} mutants to judge in compiled code")
    shared_out(equivalents_last(jobs), taken(verdicts), options, place, compiled=True)


def control(place, options):
    """The same without mutants, for the first of the sample: nothing may die."""
    drawn, _ = begun(place, options)
    choice, dead = Choice(place), []
    jobs = [
        (mutant, {"tests": tests})
        for mutant in drawn["mutants"][: options.control]
        if (tests := choice.tests(mutant, options.budget))
    ]

    def take(mutant, result):
        if result["verdict"] != "survived":
            dead.append(result)
        say(f"{mutant['id']} {result['verdict']} {result['run']} tests {result['by'] or ''}")

    shared_out(jobs, take, options, place)
    say(f"{len(dead)} of {len(jobs)} died without a mutation")


def begun(place, options):
    """The sample and the verdicts so far."""
    name = f"{options.seed}-{options.number}"
    drawn = sample.kept(place.folder / f"sample-{name}.json", lambda: draw(place, options))
    return drawn, report.Verdicts(place.folder / f"verdicts-{name}.jsonl")


def taken(verdicts):
    """What keeps a verdict and tells it."""

    def take(name, result):
        mutant, asked = name
        if result["verdict"] not in report.DEAD:
            result["asked"] = sorted(asked)
        verdicts.add(mutant, result)
        where = f"{mutant['path']}:{mutant['line']}"
        say(f"{mutant['id']} {result['verdict']} {where} {result['cpu']} s {result['by'] or ''}")

    return take


def draw(place, options):
    """The sample of this code."""
    say("drawing the sample")
    told = sample.draw(place.tree, place.sources, number=options.number, seed=options.seed)
    return {"code": place.code} | told


def say(text):
    """A line of progress."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def main():
    """Go on with whatever is not done yet."""
    parser = argparse.ArgumentParser(prog="python tests/mutation", description=__doc__)
    parser.add_argument(
        "stage",
        nargs="*",
        help="map, judge, jit, compiled, report (all of these by default), control",
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutation")
    parser.add_argument("--number", type=int, default=1000, help="mutants in the sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--control", type=int, default=50, help="mutants of the stage control")
    parser.add_argument("--longest", type=float, default=30, help="seconds of CPU of a mapped test")
    parser.add_argument("--budget", type=float, default=120, help="seconds of tests for a mutant")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no job after")
    parser.add_argument(
        "--isolated", action="store_true", help="read-only file system (root, Linux)"
    )
    options = parser.parse_args()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also in the background, where a shell ignores it
        signal.signal(number, signal.default_int_handler)
    options.deadline = time.monotonic() + 60 * options.minutes
    stages = options.stage or ["map", "judge", "jit", "compiled", "report"]
    place = Place(options.folder)
    say(f"code {place.code[:12]}, in {place.folder}")
    if "map" in stages:
        make_maps(place, options)
    if "judge" in stages:
        judge(place, options)
    if "jit" in stages:
        make_compiled_maps(place, options)
        judge_by_compiled(place, options)
    if "compiled" in stages:
        judge_compiled(place, options)
    if "control" in stages:
        control(place, options)
    if "report" in stages:
        print(report.text(place, options))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
