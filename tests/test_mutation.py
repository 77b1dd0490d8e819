"""The mutation tests' own parts: where mutants are, what they say, and who is asked about them."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

pytest.importorskip("mutmut", reason="mutants are made by mutmut")
sys.path.insert(0, str(Path(__file__).with_name("mutation")))

import choice
import mutable
import report
import sample

SOURCE = '''"""A module: 1 + 1."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    LATER = 3

__all__ = ["f"]
BOUND: int = 7


class C:
    """Of 2 numbers."""

    factor = 5

    def f(self, x: "int" = 4):
        """Twice the value."""
        if x < 0:
            raise ValueError(f"x = {x}, not 1: " "give more than nothing")
        return self.factor * x + len([x, 2])


def g():
    return [lambda y: y - 1 for _ in range(2)]
'''


def edits(path="ntklin/m.py", source=SOURCE):
    """All mutants of a source."""
    file = mutable.Mutations(path, source)
    return [edit for edit in map(file.edit, range(len(file))) if edit is not None]


def test_what_does_not_run_is_left_alone():
    lines = {edit["line"] for edit in edits()}
    assert lines == {9, 15, 17, 19, 20, 21, 25}


def test_wording_is_left_alone():
    told = [edit for edit in edits() if edit["line"] == 20 and edit["operator"] == "string"]
    assert told == []
    assert [e for e in edits(source='x = f("a word", "word")\n') if '"a ' not in e["before"]] == []


def test_decorators_of_kernels_tell_the_compiler_alone():
    source = "@kernel(parallel=True)\ndef f(x):\n    return x + 1\n"
    assert {edit["line"] for edit in edits("kernels/cpu/m.py", source)} == {3}
    assert {edit["line"] for edit in edits("ntklin/m.py", source)} == {1, 3}


def test_an_edit_makes_its_mutant_and_names_its_function():
    for edit in edits():
        start, old = edit["start"], edit["old"]
        assert SOURCE[start : start + len(old)] == old
        mutated = SOURCE[:start] + edit["new"] + SOURCE[start + len(old) :]
        assert edit["after"] in mutated
        compile(mutated, "m", "exec")
    functions = {edit["line"]: edit["function"] for edit in edits()}
    assert functions == {9: "", 15: "", 17: "", 19: "C.f", 20: "C.f", 21: "C.f", 25: "g"}


def test_a_sample_takes_of_each_file_its_share(tmp_path):
    few, many = SOURCE, SOURCE + SOURCE[SOURCE.index("def g") :].replace("g()", "h()") * 8
    (tmp_path / "a.py").write_text(few, "utf-8")
    (tmp_path / "b.py").write_text(many, "utf-8")
    first, second = (
        sample.draw(tmp_path, ["a.py", "b.py"], number=20, seed=seed)["mutants"] for seed in (0, 0)
    )
    assert first == second
    taken = sum(edit["path"] == "a.py" for edit in first)
    shares = [len(mutable.Mutations("a.py", text)) for text in (few, many)]
    assert abs(taken - 20 * shares[0] / sum(shares)) <= 1


def test_tests_that_enter_a_function_come_first():
    chosen = object.__new__(choice.Choice)
    chosen.seconds = {"t.py::slow": 2.0, "t.py::fast": 1.0, "t.py::other": 0.1, "u.py::far": 0.1}
    chosen.files = {"t.py": {"t.py::slow", "t.py::fast", "t.py::other"}, "u.py": {"u.py::far"}}
    chosen.by_function = {"m.py::f": {"t.py::slow", "t.py::fast"}}
    chosen.by_path, chosen.importers, chosen.of_definitions = {}, {}, {"u.py::far"}
    chosen.readers = {}
    names = [name for name, _ in chosen.tests({"path": "m.py", "function": "f"}, 100)]
    assert names == ["t.py::fast", "t.py::slow", "t.py::other"]
    names = [name for name, _ in chosen.tests({"path": "m.py", "function": "f"}, 2)]
    assert names == ["t.py::fast"]
    assert chosen.tests({"path": "m.py", "function": "g"}, 100) == []
    assert chosen.tests({"path": "m.py", "function": ""}, 100) == [("u.py::far", 0.1)]


def test_tests_that_import_what_stands_outside_of_functions_come_first():
    chosen = object.__new__(choice.Choice)
    chosen.seconds = {"t.py::a": 1.0, "u.py::b": 0.1, "v.py::c": 0.2}
    chosen.files = {test.partition("::")[0]: {test} for test in chosen.seconds}
    chosen.by_function, chosen.by_path = {}, {"m.py": set(chosen.seconds)}
    chosen.of_definitions, chosen.importers = set(), {"m.py": {"n.py"}}
    chosen.readers = {"n.py": {"t.py"}, "o.py": {"v.py"}}
    names = [name for name, _ in chosen.tests({"path": "m.py", "function": ""}, 100)]
    assert names == ["t.py::a", "u.py::b", "v.py::c"]


def test_witnesses_are_of_different_files_and_enter_what_imports_a_mutant():
    chosen = object.__new__(choice.Choice)
    chosen.seconds = {"t.py::slow": 2.0, "t.py::fast": 1.0, "u.py::far": 3.0, "v.py::last": 4.0}
    chosen.by_function = {"m.py::f": {"t.py::slow"}}
    chosen.by_path = {"n.py": set(chosen.seconds), "m.py": {"t.py::slow"}}
    chosen.importers = {"k.py": {"l.py"}, "l.py": {"n.py"}, "o.py": {"o.py"}}
    chosen.users = {"h": {"k.py::inner"}, "inner": {"m.py::f", "k.py::h"}, "alone": {"k.py::alone"}}

    def names(path, function=""):
        return chosen.witnesses({"path": path, "function": function}, 2)

    assert names("m.py", "f") == names("m.py", "g") == ["t.py::slow"]
    assert names("k.py") == names("k.py", "alone") == ["t.py::fast", "u.py::far"]
    assert names("k.py", "h") == names("k.py", "h.<locals>.g") == ["t.py::slow"]
    assert names("o.py") == []


def test_names_are_known_by_the_functions_in_which_they_stand(tmp_path):
    (tmp_path / "kernels").mkdir()
    text = "def f(x):\n    return g(x.y)\n\n\nclass A:\n    def h(self):\n        return f(self)\n"
    (tmp_path / "kernels" / "a.py").write_text(text, "utf-8")
    (tmp_path / "b.py").write_text(text, "utf-8")
    place = types.SimpleNamespace(tree=tmp_path, sources=["kernels/a.py", "b.py"])
    found = choice.users(place)
    assert found["g"] == found["y"] == {"kernels/a.py::f"}
    assert found["f"] == {"kernels/a.py::A.h"}


def test_a_file_that_is_loaded_already_goes_on():
    seconds = {"t.py::a": 0.1, "t.py::b": 0.2, "t.py::c": 0.5, "u.py::a": 0.11, "u.py::b": 0.12}
    order = list(choice.in_order(seconds, seconds))
    assert order == ["t.py::a", "t.py::b", "u.py::a", "u.py::b", "t.py::c"]
    assert list(choice.in_order([], seconds)) == []


def driver():
    """The command, as a module."""
    path = Path(mutable.__file__).with_name("__main__.py")
    spec = importlib.util.spec_from_file_location("mutation_driver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_plain_python_leaves_out_is_mapped_with_compiled_kernels_and_again_if_slow(tmp_path):
    (tmp_path / "test_a.json").touch()
    tests = {"x": {"outcome": "passed"}, "y": {"outcome": "skipped"}, "z": {"outcome": "long"}}
    plain = {"file": "tests/test_a.py", "digest": "1", "tests": tests}
    place = types.SimpleNamespace(maps=tmp_path)
    place.map = lambda name, compiled=False: kept if compiled else plain
    kept, left_out = None, driver().left_out

    def jobs():
        return [[job[2:] for job in left_out(place, warm)] for warm in (False, True)]

    assert jobs() == [[({}, ["x"])], []]
    fast, slow = {"seconds": 1.0}, {"seconds": 60.0}
    kept = {"digest": "1", "warm": False, "tests": {"y": fast, "z": slow}}
    assert jobs() == [[], [({"y": fast}, ["x", "y"])]]
    kept["warm"] = True
    assert jobs() == [[], []]
    kept["digest"] = "0"  # of the file as it was
    assert jobs() == [[({}, ["x"])], []]
    kept, plain["tests"] = None, {"x": tests["x"]}
    assert jobs() == [[], []]


def test_no_mutant_of_a_compiled_kernel_is_python_alone():
    is_python = driver().is_python
    assert is_python("ntklin/theory/plan.py")
    assert is_python("kernels/gpu/launch.py")
    assert not is_python("kernels/cpu/sums.py")
    assert not is_python("kernels/activations.py")


def test_scores_count_what_lives():
    assert report.interval(97, 100) == pytest.approx((0.9155, 0.9897), abs=1e-3)
    counts = {"theory": report.Counter(killed=6, timeout=1, survived=1, uncovered=1, open=9)}
    *_, line = report.table("room", counts)
    assert "77.8%" in line


def test_entered_names_are_those_of_functions():
    site = types.ModuleType("mutant_site")
    text = Path(mutable.__file__).with_name("mutant_site.py").read_text("utf-8")
    start, end = text.index("def plain"), text.index("entered = Entered()")
    exec(text[start:end], site.__dict__)
    assert site.plain("C.f.<locals>.<lambda>") == "C.f"
    assert site.plain("f.<locals>.g.<locals>.<listcomp>") == "f.<locals>.g"
    assert site.plain("<module>") == ""
