"""``--device gpu``: the commands end where they end on the CPU, or say what is missing."""

import json
import shlex
import sys

import pytest
from commands import invoke, results

from ntklin.validation import figures
from ntklin.validation.figures import planning
from ntklin.validation.figures.execution import Search, execute

DATA = ("--n-train", 6, "--n-test", 5, "--width", 24, "--until", 0.01)
MINIMIZER = ("minimizer", *DATA, "--sigma", "1,2", "--optimizer", "gd,sgd,adagrad,adam")
MITIGATE = ("mitigate", *DATA, "--n-val", 5, "--sigma", 2, "--min-sigma", 1.5)


def run(words, folder, device):
    done = invoke(*words, "--device", device, "--out", folder)
    assert done.exit_code == 0, done.output
    return results(folder)


def alike(one, other, rel):
    """The numbers of two nested results, but for times; steps may differ by one in a hundred."""
    own = {"seconds", "provenance", "config", "rates", "digest"}
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - own:
            alike(one[key], other[key], max(rel, 0.01) if "steps" in key else rel)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            alike(*pair, rel)
    elif isinstance(one, float | int):
        assert one == pytest.approx(other, rel=rel, abs=1e-9)
    else:
        assert one == other


@pytest.mark.compiled
@pytest.mark.parametrize("words", [MINIMIZER, MITIGATE], ids=["minimizer", "mitigate"])
def test_results_are_those_of_the_cpu(device, words, tmp_path):
    on_gpu, on_cpu = (run(words, tmp_path / name, name) for name in ("gpu", "cpu"))
    assert on_gpu["config"] == {**on_cpu["config"], "device": "gpu"}
    assert on_cpu["config"]["device"] == "cpu"
    # Training amplifies rounding, which is another on each device, and with it steps to the target.
    alike(on_gpu, on_cpu, 1e-6)
    assert shlex.join(["--device", "gpu"]) in on_gpu["provenance"]["command"]
    assert "--device" not in on_cpu["provenance"]["command"]


def test_a_figure_is_that_of_the_cpu(device, tmp_path, monkeypatch):
    sizes = {"n_train": 6, "n_test": 4, "n_seeds": 2, "until": 0.1, "max_steps": 12}
    scale = {**sizes, "sigmas": {2: 0.5}, "layers": {2: (8,)}}
    monkeypatch.setitem(figures.FIGURES[9].scales, "quick", scale)
    together = []

    def spy(tasks, device):
        if not isinstance(tasks[0], Search):
            together.append((device, len(tasks)))
        return execute(tasks, device)

    monkeypatch.setattr(planning, "execute", spy)
    found = {}
    for name in ("gpu", "cpu"):
        words = ("figure", 9, "--scale", "quick", "--processes", 1, "--device", name)
        done = invoke(*words, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
        found[name] = json.loads((tmp_path / name / "figure09-quick.json").read_text("utf-8"))
    command = "ntklin figure 9 --scale quick"
    assert found["cpu"]["provenance"]["command"] == command
    assert found["gpu"]["provenance"]["command"] == command + " --device gpu"
    alike(found["gpu"]["runs"], found["cpu"]["runs"], 1e-6)
    keys = [sorted(p.name for p in (tmp_path / name / "runs").glob("*.json")) for name in found]
    assert keys[0] == keys[1]
    batches = [size for device, size in together if device == "gpu"]
    assert set(batches) == {2}
    assert sum(batches) == len(found["gpu"]["runs"])


COMMANDS = pytest.mark.parametrize(
    "words",
    [MINIMIZER, MITIGATE, ("figure", 2, "--scale", "quick")],
    ids=["minimizer", "mitigate", "figure"],
)


@COMMANDS
def test_a_missing_cupy_is_one_line(words, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    done = invoke(*words, "--device", "gpu", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert "error: the GPU needs CuPy, which is not installed: pip install" in done.output


@COMMANDS
def test_an_unknown_device_is_refused(words, tmp_path):
    done = invoke(*words, "--device", "tpu", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "error: device must be 'cpu' or 'gpu', got 'tpu'" in done.output
