"""All that needs a GPU, in one command and ten minutes, from a checkout.

On a machine that has one:

    python -m ntklin.validation.gpu_check --out gpu-check

The twin suite (``pytest -m gpu``), compute-sanitizer over its kernels where that is installed, the
benchmarks beside PyTorch and JAX, and a whole study. Every step has a log, a limit of time and its
place in ``summary.json``, which is written anew after each of them; in ``unfinished``, where there
is one of a finished run.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import ntklin
from ntklin.edge.files.seal import sealed
from ntklin.edge.files.unfinished import COMPLETE, forget, place
from ntklin.edge.files.writing import write_whole

ROOT = Path(__file__).parent.parent
SUMMARY = "summary.json"
TIMED_OUT = 124
# The tests whose kernels compute-sanitizer looks at; under it everything is many times slower.
SANITIZED = ("matrices_in_batches", "goes_where", "ends_at_the_step", "share_every_launch")


@dataclass(frozen=True)
class Step:
    """One thing to run.

    Attributes
    ----------
    name : str
    seconds : float
        The most that it may take.
    command : tuple of str
    needs : str
        A program without which it is left out.
    """

    name: str
    seconds: float
    command: tuple[str, ...]
    needs: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes
    ----------
    name : str
    state : {"passed", "failed", "timed out", "left out"}
    seconds : float
    note : str
        The last line of its log.
    """

    name: str
    state: str
    seconds: float = 0.0
    note: str = ""


def steps(out: Path | str) -> tuple[Step, ...]:
    """All steps, the most important first; what they write goes to the folder ``out``."""
    python, out = sys.executable, str(out)
    pytest = (python, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-rfE")
    cli = (python, "-m", "ntklin")
    bench = ("bench", "--device", "gpu", "--inputs", "gaussian", "--rounds", "2", "--out", out)
    chosen = " or ".join(SANITIZED)
    sanitizer = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "1")
    kernels = ("tests/test_gpu.py", "tests/test_ensemble.py")
    solvers = ("tests/test_device_matrix.py", "tests/test_solvers_on_a_gpu.py")
    suite = (*kernels, *solvers, "tests/test_bench_gpu.py")
    return (
        Step("info", 30, (*cli, "info")),
        Step("twins", 200, (*pytest, *suite, f"--junitxml={out}/twins.xml")),
        Step("bench", 160, (*cli, *bench)),
        Step("sanitizer", 60, (*sanitizer, *pytest, *kernels, "-k", chosen), sanitizer[0]),
        Step("commands", 150, (*pytest, "tests/test_cli_gpu.py")),
    )


def take(step: Step, out: Path) -> Outcome:
    """Run one step in the checkout; its output goes to a log.

    Returns
    -------
    Outcome
    """
    if step.needs and shutil.which(step.needs) is None:
        return Outcome(step.name, "left out", note=f"{step.needs} is not installed")
    log, began = out / f"{step.name}.log", time.perf_counter()
    with open(log, "w", encoding="utf-8") as f:
        try:
            code = subprocess.run(
                step.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=f,
                stderr=subprocess.STDOUT,
                timeout=step.seconds,
            ).returncode
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
    lines = log.read_text("utf-8", errors="replace").split("\n")
    note = next((line.strip() for line in reversed(lines) if line.strip()), "")
    state = {0: "passed", TIMED_OUT: "timed out"}.get(code, "failed")
    return Outcome(step.name, state, round(time.perf_counter() - began, 1), note)


def main(
    arguments: Sequence[str] | None = None, make_steps: Callable[[Path], Sequence[Step]] = steps
) -> int:
    """Run all steps.

    Returns
    -------
    int
        0; 1 if a step did not pass, being left out aside; 2 without a GPU.
    """
    parser = argparse.ArgumentParser(prog="python -m ntklin.validation.gpu_check")
    parser.add_argument("--out", default="gpu-check", help="folder for logs and figures")
    out = Path(parser.parse_args(arguments).out).resolve()
    try:
        ntklin.device_namespace("gpu")
    except ntklin.DeviceError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    planned, outcomes = make_steps(out), []
    for step in planned:
        outcomes.append(take(step, out))
        last = outcomes[-1]
        print(f"{last.name}: {last.state} in {last.seconds:.0f} s: {last.note}", flush=True)
        complete = len(outcomes) == len(planned)
        document = {COMPLETE: complete, "ntklin": ntklin.__version__}
        document = sealed(document | {"steps": [asdict(o) for o in outcomes]})
        write_whole(place(out, SUMMARY, complete) / SUMMARY, json.dumps(document, indent=1))
    forget(out, SUMMARY)
    return int(any(o.state in ("failed", "timed out") for o in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
