"""Which room may import which, read from the sources."""

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from inspect import signature
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ntklin
from ntklin.edge import backends
from ntklin.kernels import CONTRACT

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"ntklin": "ntklin", "kernels": "ntklin.kernels", "validation": "ntklin.validation"}

DESIGN = ROOT / "docs" / "design.md"


def table_of_floors(text):
    """The floors of the table in docs/design.md, from the ground up: sets of rooms."""
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    floors = [set(re.findall(r"`(\w+)`", rooms)) for floor, rooms, *_ in rows]
    return [floor for floor in reversed(floors) if floor]


# A room imports from itself and from the floors below, never from another room of its own floor.
FLOORS = table_of_floors(DESIGN.read_text(encoding="utf-8"))
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
FACADE = "ntklin"  # the package itself: any of the public names
HARMLESS = {"_version", "__version__"}
# What the paper's checks may use beside the public names: they compute nothing.
UTILITIES = {"ntklin.edge.files", "ntklin.edge.threads", "ntklin.edge.cluster"}
MATPLOTLIB = {
    *("ntklin.apps.plots", "ntklin.apps.report", "ntklin.validation"),
    "ntklin.edge.faces.pictures",
}
CUPY = {"ntklin.edge.backends", "ntklin.kernels.gpu"}
# Loading NumPy before the command line has chosen its BLAS settings would be too late.
LATE = {"ntklin.apps.cli", "ntklin.apps.options", "ntklin.__main__"}
HEAVY = {"numpy", "scipy", "numba", "matplotlib", "pooch", "threadpoolctl"}


class Imports(ast.NodeVisitor):
    """Absolute names of everything that a module imports: (name, line, at module level).

    ``for_types`` has the lines of those that only type checkers see.
    """

    def __init__(self, module, is_package, known):
        self.package = module if is_package else module.rpartition(".")[0]
        self.known = known
        self.depth = 0
        self.found = []
        self.for_types = set()

    def add(self, name, node):
        self.found.append((name, node.lineno, self.depth == 0))

    def visit_Import(self, node):
        for alias in node.names:
            self.add(alias.name, node)

    def visit_ImportFrom(self, node):
        source = node.module or ""
        if node.level:
            base = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
            source = ".".join([*base, *filter(None, [source])])
        for alias in node.names:
            name = f"{source}.{alias.name}"
            self.add(name if name in self.known or source == FACADE else source, node)

    def visit_Call(self, node):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        constant = node.args and isinstance(node.args[0], ast.Constant)
        if called in ("import_module", "__import__") and constant:
            self.add(str(node.args[0].value), node)
        self.generic_visit(node)

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self.for_types |= {inner.lineno for inner in node.body}
        self.generic_visit(node)

    def visit_function(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_function


def room_of(module):
    """The room that a module stands in, ``networks`` for ntklin.networks.mlp; None for ntklin."""
    return module.split(".")[1] if "." in module else None


def violations(sources, public):
    """Every import that breaks a rule, and every room that the table has and the house lacks.

    Parameters
    ----------
    sources : dict
        Module name → (source text, whether it is a package).
    public : collection of str
        ntklin's public names.
    """
    built = {room_of(module) for module in sources}
    bad = [f"the room {room!r} of docs/design.md does not exist" for room in FLOOR.keys() - built]
    arrows = {}
    for module, (text, is_package) in sources.items():
        tree = ast.parse(text)
        imports = Imports(module, is_package, sources)
        imports.visit(tree)
        room = room_of(module)
        if room is not None and room not in FLOOR and room not in HARMLESS | {"__main__"}:
            bad.append(f"{module}: the room {room!r} stands on no floor")
            continue
        arrows[module] = set()
        for name, line, at_top in imports.found:
            loaded = line not in imports.for_types
            if reason := complaint(module, room, name, at_top, public, loaded):
                bad.append(f"{module}:{line} imports {name}: {reason}")
            # The command line loads late, and may do so in circles; types are never loaded.
            loads = loaded and (at_top or not on_command_line(module))
            if name in sources and name != FACADE and loads:
                arrows[module].add(name)
        if room == "validation":
            bad += [f"{module}:{line} uses {use}" for use, line in private_uses(tree, public)]
    try:
        tuple(TopologicalSorter(arrows).static_order())
    except CycleError as e:
        bad.append(f"import cycle: {' → '.join(e.args[1])}")
    return bad


def complaint(module, room, name, at_top, public, loaded=True):
    """Why ``module`` may not import ``name``, or None; what is not loaded is for types only."""
    at_top = at_top and loaded
    outside = name.split(".")[0]
    if outside != FACADE:
        return foreign(module, outside, at_top)
    target = room_of(name)
    if room is None:
        return None if target in HARMLESS or not at_top else "import ntklin loads nothing"
    if target == room and not (on_command_line(module) and at_top):
        return None
    if target in HARMLESS:
        return None
    if room == "validation":
        public_name = target in public and name.count(".") == 1
        usable = target in (None, "validation") or within(name, UTILITIES) or public_name
        usable = usable or (not loaded and target != "apps")  # what public functions return
        return None if usable else "not public"
    if on_command_line(module):
        late = not at_top or on_command_line(name)
        return None if late else "the command line loads it when a command runs"
    if target not in FLOOR:
        return "the rooms import each other, not the package"
    if FLOOR[target] < FLOOR[room]:
        return None
    where = "beside" if FLOOR[target] == FLOOR[room] else "above"
    return f"{target} stands {where} {room}"


def foreign(module, package, at_top):
    """Why ``module`` may not import another project's package, or None."""
    if package in ("kernels", "validation"):
        return f"its import name is ntklin.{package}"
    if package in ("cupy", "cupyx") and not within(module, CUPY):
        return "CuPy belongs in the GPU kernels and backends"
    if package in ("matplotlib", "rich") and within(module, {"ntklin.edge"}) and at_top:
        return "the library loads it when something is to be seen"
    if package == "matplotlib" and not within(module, MATPLOTLIB):
        return "matplotlib belongs in plots, report, validation and the faces' pictures"
    if on_command_line(module) and at_top and package in HEAVY:
        return "the command line loads it when a command runs"
    return None


def on_command_line(module):
    return module == "ntklin.apps" or within(module, LATE)


def within(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def private_uses(tree, public):
    """Attributes of the name ``ntklin`` that are not public, with their lines."""
    for node in ast.walk(tree):
        of_package = isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == FACADE
        if of_package and node.attr not in {*public, "validation"}:
            yield f"ntklin.{node.attr}", node.lineno


def project_sources():
    sources = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join([package, *(parts[:-1] if is_package else parts)])
            sources[name] = (path.read_text(encoding="utf-8"), is_package)
    return sources


def test_no_import_runs_up():
    sources = project_sources()
    assert {
        "ntklin",
        "ntklin.edge.backends",
        "ntklin.kernels",
        "ntklin.validation",
    } <= sources.keys()
    assert violations(sources, ntklin.__all__) == []


@pytest.mark.parametrize("name", ["naive", "tolerances"])
def test_references_know_nothing_of_what_they_check(name):
    imports = Imports(name, False, ())
    imports.visit(ast.parse((ROOT / "tests" / f"{name}.py").read_text(encoding="utf-8")))
    assert imports.found
    assert not [found for found, _, _ in imports.found if found.split(".")[0] in FOLDERS]


TRAINED = "training stands above networks"
RULE_BREAKERS = [
    ("ntklin.networks.mlp", "from ntklin.training.train import train", TRAINED),
    ("ntklin.networks.mlp", "def f():\n    import ntklin.training.train", TRAINED),
    ("ntklin.networks.mlp", "from .. import training", TRAINED),
    ("ntklin.networks.mlp", "from ..training.train import train", TRAINED),
    ("ntklin.networks.mlp", "import_module('ntklin.training.train')", TRAINED),
    ("ntklin.networks.mlp", "from ntklin import training", TRAINED),
    ("ntklin.networks.mlp", "from ntklin import MLP", "the rooms import each other"),
    ("ntklin.networks.mlp", "import ntklin", "the rooms import each other"),
    ("ntklin.theory.minimizer", "from ntklin.training import x", "training stands beside theory"),
    ("ntklin.training.train", "import ntklin.theory.minimizer", "theory stands beside training"),
    ("ntklin.networks.mlp", "from ntklin.runs import losses", "runs stands beside networks"),
    ("ntklin.runs.losses", "from ntklin.networks import mlp", "networks stands beside runs"),
    ("ntklin.algebra.spectrum", "from ntklin.data import x", "data stands beside algebra"),
    ("ntklin.training.train", "import ntklin.apps.cli", "apps stands above training"),
    ("ntklin.kernels.cpu.gram", "from ntklin.edge.errors import E", "edge stands above kernels"),
    ("ntklin.kernels.cpu.gram", "from ...edge.errors import E", "edge stands above kernels"),
    ("ntklin.kernels.cpu.gram", "import kernels", "its import name is ntklin.kernels"),
    ("ntklin.kernels.cpu.gram", "import cupy", "CuPy belongs"),
    ("ntklin.networks.mlp", "from cupyx.scipy import sparse", "CuPy belongs"),
    ("ntklin.apps.study", "def f():\n    from matplotlib import pyplot", "matplotlib belongs"),
    ("ntklin.edge.faces.pictures", "from matplotlib.axes import Axes", "is to be seen"),
    ("ntklin.edge.faces.bars", "import rich", "is to be seen"),
    ("ntklin.validation.benchmarks", "from ntklin.networks.mlp import F", "not public"),
    ("ntklin.validation.benchmarks", "from ntklin import networks", "not public"),
    ("ntklin.validation.benchmarks", "import ntklin\nntklin.networks", "uses ntklin.networks"),
    (
        "ntklin.validation.benchmarks",
        "if TYPE_CHECKING:\n    from ntklin.apps.cli import bench",
        "not public",
    ),
    ("ntklin.apps.cli", "from ntklin import MLP", "loads it when a command runs"),
    ("ntklin.apps.cli", "import ntklin.networks.mlp", "loads it when a command runs"),
    ("ntklin.apps.cli", "import ntklin.apps.study", "loads it when a command runs"),
    ("ntklin.apps.cli", "import numpy as np", "loads it when a command runs"),
    ("ntklin.apps.options", "import numpy as np", "loads it when a command runs"),
    ("ntklin", "import ntklin.networks.mlp", "import ntklin loads nothing"),
    ("ntklin.attic", "", "the room 'attic' stands on no floor"),
]

RULE_KEEPERS = [
    ("ntklin.training.train", "from ntklin.networks.mlp import F\nimport ntklin._version"),
    ("ntklin.theory.linearization", "from ntklin.theory.minimizer import Minimizer"),
    ("ntklin.kernels.cpu.gram", "import numba\nfrom ntklin.kernels.cpu import passes"),
    ("ntklin.kernels.gpu.gram", "import cupy"),
    ("ntklin.edge.backends", "def f():\n    import cupy\n    from ntklin.kernels import cpu"),
    ("ntklin.apps.report", "import matplotlib\nfrom ntklin.apps import study"),
    ("ntklin.edge.faces.pictures", "def f():\n    from matplotlib.axes import Axes"),
    ("ntklin.validation.benchmarks", "import ntklin\nfrom ntklin import MLP\nntklin.MLP"),
    ("ntklin.validation.benchmarks", "from ntklin.validation.theorems import cases"),
    ("ntklin.validation.benchmarks", "from ntklin.edge.files.seal import sealed"),
    ("ntklin.apps.cli", "import typer\ndef run():\n    import numpy\n    from ntklin import study"),
    ("ntklin.apps.cli", "if TYPE_CHECKING:\n    import numpy\n    import ntklin.apps.study"),
    (
        "ntklin.validation.benchmarks",
        "if TYPE_CHECKING:\n    from ntklin.networks.mlp import F",
    ),
    ("ntklin.__main__", "from ntklin.apps.cli import main"),
    ("ntklin", "from ntklin._version import __version__\nimport importlib"),
]


def with_neighbors(module, text):
    """``module`` among empty modules of the names that the examples import."""
    names = [f"ntklin.{room}" for room in FLOOR] + ["ntklin.kernels.cpu.passes"]
    return {**{name: ("", True) for name in names}, module: (text, module == "ntklin")}


@pytest.mark.parametrize(("module", "text", "reason"), RULE_BREAKERS)
def test_the_reader_sees_forbidden_imports(module, text, reason):
    found = violations(with_neighbors(module, text), {"MLP"})
    assert len(found) == 1
    assert reason in found[0]
    assert module in found[0]


@pytest.mark.parametrize(("module", "text"), RULE_KEEPERS)
def test_the_reader_lets_allowed_imports_pass(module, text):
    assert violations(with_neighbors(module, text), {"MLP"}) == []


def test_types_make_no_cycle_but_keep_to_the_floors():
    sources = with_neighbors("ntklin.theory.minimizer", "import ntklin.theory.linearization")
    back = "if TYPE_CHECKING:\n    from ntklin.theory import minimizer"
    up = "if TYPE_CHECKING:\n    from ntklin.training.train import train"
    sources["ntklin.theory.linearization"] = (back, False)
    assert violations(sources, set()) == []
    sources["ntklin.theory.linearization"] = (up, False)
    (found,) = violations(sources, set())
    assert "training stands beside theory" in found


@pytest.mark.parametrize("deferred", [False, True])
def test_the_reader_sees_cycles(deferred):
    sources = with_neighbors("ntklin.theory.minimizer", "import ntklin.theory.linearization")
    back = "from ntklin.theory import minimizer"
    sources["ntklin.theory.linearization"] = (f"def f():\n    {back}" if deferred else back, False)
    (found,) = violations(sources, set())
    assert "import cycle: ntklin.theory." in found


def test_the_table_is_read():
    assert FLOORS[0] == {"kernels"}
    assert FLOOR["theory"] == FLOOR["training"]
    assert FLOOR["networks"] == FLOOR["runs"]
    assert max(FLOOR, key=FLOOR.get) == "apps"
    house = {room_of(module) for module in project_sources()}
    assert house - {None, "_version", "__main__"} == set(FLOOR)


def test_a_room_that_is_not_built_is_missed():
    sources = with_neighbors("ntklin.runs.losses", "")
    del sources["ntklin.recipes"]
    (found,) = violations(sources, set())
    assert "the room 'recipes' of docs/design.md does not exist" in found


@pytest.mark.parametrize("name", ntklin.__all__)
def test_every_public_name_loads(name):
    value = getattr(ntklin, name)
    assert name in dir(ntklin)
    if name != "__version__":
        assert value.__doc__, f"{name} has no docstring"


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="module 'ntklin' has no attribute 'no_such_name'"):
        _ = ntklin.no_such_name


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in for CuPy, as far as ``namespace`` looks at it."""
    module = ModuleType("cupy")
    module.ndarray = type("ndarray", (), {})
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_the_arrays_decide_the_namespace(cupy):
    on_gpu = cupy.ndarray()
    assert backends.namespace(np.ones(2), [1.0], None) is np
    assert backends.namespace() is np
    assert backends.namespace(on_gpu) is cupy
    assert backends.namespace(on_gpu, None, 2.0, cupy.ndarray()) is cupy


@pytest.mark.parametrize("gpu_first", [True, False])
def test_mixed_arrays_are_refused(cupy, gpu_first):
    pair = (cupy.ndarray(), np.ones(2)) if gpu_first else (np.ones(2), cupy.ndarray())
    with pytest.raises(TypeError, match="NumPy and CuPy arrays in one call"):
        backends.namespace(*pair)


def test_without_cupy_everything_is_numpy(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert backends.namespace(object()) is np


def test_the_arrays_decide_the_kernels(cupy):
    from ntklin.kernels import cpu, gpu

    assert backends.kernels(np.ones(2)) is cpu
    assert backends.kernels(cupy.ndarray()) is gpu


def test_the_contract_lists_every_kernel():
    from ntklin.kernels import cpu, gpu

    for backend in (cpu, gpu):
        assert set(CONTRACT) == set(backend.__all__)
        assert all(callable(getattr(backend, name)) for name in CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_twins_have_the_same_arguments(name):
    from ntklin.kernels import cpu, gpu

    parameters = [list(signature(getattr(b, name)).parameters) for b in (cpu, gpu)]
    assert parameters[0] == parameters[1]
