"""``python -m fuzz``, in the folder ``tests``: hostile calls, command lines, files and problems."""

import argparse
import itertools
import json
import math
import os
import signal
import tempfile
import time
from pathlib import Path

from fuzz import workers
from fuzz.outcomes import RESULT, WRONG, Verdict
from fuzz.workers import Tried

USUAL = 200
SOME = 2000


def drawn(strategy, size, seed, ran):
    """Cases of a strategy, the same for the same seed."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    @seeded(seed)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(case):
        ran(Tried(case.label, case.judged))

    run()


def calls(batch, size, ran):
    """Public functions with hostile arguments."""
    from fuzz.calls import cases

    drawn(cases(), size, batch, ran)


def grid(batch, size, ran):
    """One argument of one public function a batch, with each listed value in turn."""
    from fuzz.calls import grid as cases

    for case in cases(batch):
        ran(Tried(case.label, case.judged))


def commands(batch, size, ran):
    """Command lines with hostile words."""
    from fuzz.words import lines, no_work

    with no_work():
        drawn(lines(), size, batch, ran)


def options(batch, size, ran):
    """One option of one command a batch, with each listed word in turn."""
    from fuzz.words import grid as lines_of
    from fuzz.words import no_work

    with no_work():
        for line in lines_of(batch):
            ran(Tried(line.label, line.judged))


def surroundings(batch, size, ran):
    """Commands in hostile surroundings, in processes of their own."""
    from fuzz.surroundings import surroundings as strategy

    drawn(strategy(), size, batch, ran)


def files(batch, size, ran):
    """Damaged files, all of them in turn."""
    from fuzz.damage import all_damages

    for damage in itertools.islice(all_damages(), batch * size, (batch + 1) * size):
        with tempfile.TemporaryDirectory() as folder:
            ran(Tried(damage.label, lambda one=damage, place=Path(folder): one.judged(place)))


def certify(batch, size, ran):
    """Problems whose rational truth has to lie in the balls."""
    from fuzz.enclosures import judged

    for seed in range(batch * size, (batch + 1) * size):
        ran(Tried(f"certify(seed {seed})", lambda seed=seed: judged(seed)))


def mischief(batch, size, ran):
    """Cases that do all that must not be, so that it can be seen that they are found."""
    doings = {
        "returns": lambda: Verdict(RESULT),
        "is wrong": lambda: Verdict(WRONG, "two [here.py:1]"),
        "hangs": lambda: time.sleep(1000),
        "crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    }
    name = [*doings][batch % len(doings)]
    for _ in range(size):
        ran(Tried(f"mischief({name})", doings[name]))


def n_parameters():
    """How many batches a grid has."""
    from fuzz.calls import parameters

    return len(parameters())


def n_options():
    """How many batches all options are."""
    from fuzz.words import places

    return len(places())


# Kinds whose batches are a list with an end.
LISTED = {"grid": n_parameters, "options": n_options}
KINDS = {
    f.__name__: f for f in (calls, grid, commands, options, surroundings, files, certify, mischief)
}


def parser():
    found = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parts = found.add_subparsers(dest="what", required=True)
    for kind, function in KINDS.items():
        part = parts.add_parser(kind, help=function.__doc__)
        usual = "all" if kind in LISTED else SOME
        part.add_argument("--cases", type=int, help=f"how many, about; {usual} when not given")
        part.add_argument("--seconds", type=float, default=workers.SECONDS, help="for one case")
        part.add_argument("--minutes", type=float, default=math.inf, help="for all of them")
        common(part)
    part = parts.add_parser("work", help="what a worker does")
    part.add_argument("kind", choices=KINDS)
    part.add_argument("--share", type=int, required=True)
    part.add_argument("--batches", type=int, required=True)
    common(part)
    part = parts.add_parser("batch", help="one batch in this process, with its findings")
    part.add_argument("kind", choices=KINDS)
    part.add_argument("number", type=int)
    part.add_argument("--size", type=int, default=USUAL)
    part = parts.add_parser("record", help="add a run to what is known, and print the sums")
    part.add_argument("kind", choices=(*KINDS, "kills"))
    common(part)
    part = parts.add_parser("kills", help="commands, killed at random moments and begun again")
    from fuzz import kills

    kills.arguments(part)
    return found


def common(part):
    part.add_argument("--out", type=Path, required=True, help="a folder; an earlier run goes on")
    part.add_argument("--workers", type=int, default=1)
    part.add_argument("--size", type=int, default=USUAL, help="cases in a batch")
    part.add_argument("--first", type=int, default=0, help="batch, where others ran those before")


def report(folder):
    """Print what was found; 1 where there is anything."""
    found = workers.summary(folder)
    (folder / "summary.json").write_text(json.dumps(found, indent=1))
    print(f"{found['cases']} cases in {found['cpu']} s of CPU: {found['counts']}")
    for one in found["findings"]:
        print(f"- {one['times']} x {one['kind']}: {one['case']}\n    {one['text']}")
    return int(bool(found["findings"]))


def main():
    given = parser().parse_args()
    if given.what == "work":
        batches = range(given.first, given.first + given.batches)
        workers.work(
            *(KINDS[given.kind], given.out, given.share, given.workers, batches, given.size)
        )
        return 0
    if given.what == "batch":

        def ran(tried):
            verdict = tried.run()
            if verdict.is_finding:
                print(f"{verdict.kind}: {tried.label}\n    {verdict.text}")

        KINDS[given.kind](given.number, given.size, ran)
        return 0
    if given.what == "record":
        from fuzz import record

        record.add(given.kind, given.out, given.size)
        print(record.table(record.rows()))
        return 0
    if given.what == "kills":
        from fuzz import kills

        return kills.main(given)
    if given.cases is None and given.what in LISTED:
        count = LISTED[given.what]()
    else:
        count = -(-(SOME if given.cases is None else given.cases) // given.size)
    batches = range(given.first, given.first + count)
    limits = given.seconds, given.minutes
    workers.watch(given.what, given.out, given.workers, batches, given.size, *limits)
    return report(given.out)


if __name__ == "__main__":
    raise SystemExit(main())
