"""No object uses another one's private names, and no module another one's."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("ntklin", "kernels", "validation")
OWN = {"self", "cls"}
# Public all the same: a tuple's methods must not clash with its fields, and os._exit is documented.
WORDS = {"_asdict", "_fields", "_make", "_replace", "_exit"}
EXCUSED = {
    "kernels/cpu/caching.py uses dispatcher._cache": "Numba has no other word for it",
}


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in WORDS


def is_own(node):
    """Whether an object is the method's own: ``self``, ``cls`` or ``super()``."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in OWN


def private_uses(text):
    """Private names of others that a module uses, sorted."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            found |= {
                f"{node.module}.{alias.name}" for alias in node.names if is_private(alias.name)
            }
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"getattr", "setattr"}:
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                found.add(f"{ast.unparse(node.args[0])}.{name.value}")
    return sorted(found)


def test_nobody_uses_what_is_private_to_another():
    uses = {
        f"{path.relative_to(ROOT).as_posix()} uses {use}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for use in private_uses(path.read_text(encoding="utf-8"))
    }
    assert uses == EXCUSED.keys()


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("other._far", ["other._far"]),
        ("phi._spectrum = 1", ["phi._spectrum"]),
        ("self.phi._spectrum", ["self.phi._spectrum"]),
        ("def f(x):\n    return pair()._FACTORS", ["pair()._FACTORS"]),
        ("from ntklin.networks.mlp import _draw", ["ntklin.networks.mlp._draw"]),
        ("getattr(other, '_far', False)", ["other._far"]),
        ("self._a + cls._b + super()._c()", []),
        ("p._replace(x=1); type(self).__name__; from_here.public", []),
        ("from __future__ import annotations\nfrom ntklin import _version", ["ntklin._version"]),
    ],
)
def test_the_reader_sees_them(text, uses):
    assert private_uses(text) == uses
