"""What belongs together travels together: no long lists of parameters, and none in disguise."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[1]
MOST_PARAMETERS = 10

# Public functions whose keywords users type one by one.
LONG = {
    "ntklin/recipes/estimators/estimator.py: __init__",
    "ntklin/recipes/learning_rate.py: largest_learning_rate",
    "ntklin/recipes/mitigation/algorithm.py: mitigate_initialization",
    "ntklin/theory/linearization.py: train",
    "ntklin/training/ensemble.py: train_ensemble",
    "ntklin/training/train.py: train",
}


def sources():
    """Every module's path in the project, and its tree."""
    for folder in ("kernels", "ntklin", "validation"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def long_signatures(tree):
    """The names of functions with too many parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            a = node.args
            count = len([*a.posonlyargs, *a.args, *a.kwonlyargs]) + bool(a.vararg) + bool(a.kwarg)
            if count > MOST_PARAMETERS:
                yield getattr(node, "name", "lambda")


def starred_literals(tree):
    """The lines of calls of the form f(*(a, b))."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for argument in node.args:
                literal = isinstance(argument, ast.Starred) and argument.value
                if isinstance(literal, ast.Tuple | ast.List):
                    yield node.lineno


def test_no_function_has_too_many_parameters():
    found = {f"{name}: {f}" for name, tree in sources() for f in long_signatures(tree)}
    assert found == LONG


def test_no_arguments_come_in_tuples_for_the_formatters_sake():
    found = {name for name, tree in sources() if any(True for _ in starred_literals(tree))}
    assert found == set()


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, b, c, d, e, f, g, h, i, j, k): pass",
        "def f(a, b, c, d, e, /, f, g, h, i, *j, k): pass",
        "async def f(a, b, c, d, e, f, g, h, i, j, **k): pass",
        "class A:\n    def f(self, a, b, c, d, e, f, g, h, i, j): pass",
    ],
)
def test_every_kind_of_parameter_counts(text):
    assert list(long_signatures(ast.parse(text))) == ["f"]
    assert list(long_signatures(ast.parse(text.replace("c, d, ", "")))) == []


@pytest.mark.parametrize("text", ["f(*(a, b), *(c, d))", "f(a, *(b, *c))", "x = [f(*[a, b])]"])
def test_tuples_in_disguise_are_seen(text):
    assert list(starred_literals(ast.parse(text)))
    assert list(starred_literals(ast.parse("f(*a, *g(b), (c, d))"))) == []
