"""The types that users see, by their own type checker, and signatures against docstrings."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typed_tree import link_tree

import ntklin

pytestmark = pytest.mark.once
SCRIPT = Path(__file__).with_name("users_script.py")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
STUB = Path(ntklin.__file__).with_suffix(".pyi")


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """What pyright has to say of a script, as strictly as it can."""
    folder = tmp_path_factory.mktemp("user")
    link_tree(folder)
    settings = {"include": ["script.py"], "typeCheckingMode": "strict", "pythonVersion": VERSION}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))

    def complaints(text):
        (folder / "script.py").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", folder]
        command += ["--pythonpath", sys.executable]  # else the first Python of the path
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            pytest.skip(f"pyright does not start here: {(done.stderr or done.stdout)[-200:]}")
        assert report["summary"]["filesAnalyzed"] == 1
        return [found["message"] for found in report["generalDiagnostics"]]

    return complaints


# Before, NumPy's own types had parameters that were not known.
typed_numpy = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.2.0", reason="the types of NumPy 2.2 and later"
)


@typed_numpy
def test_a_users_script_has_types_all_through(check):
    assert check(SCRIPT.read_text(encoding="utf-8")) == []


MISTAKES = {
    'ntklin.MLP((3, 1), sigma="large")': r"not assignable|cannot be assigned",
    'ntklin.MLP((3, 1), scaling="fan")': r"not assignable|cannot be assigned",
    "ntklin.MLP((3, 1)).init(seed=0)": 'No parameter named "seed"',
    "ntklin.MLP((3, 1)).widht": 'Cannot access attribute "widht"',
    "ntklin.certify([[1.0]])": 'missing for parameter "Y"',
    "len(ntklin.MLP((3, 1)).depth)": "incompatible|not assignable|cannot be assigned",
    "ntklin.no_such_name": "no_such_name",
}


def test_mistakes_are_found(check):
    text = "import ntklin\n" + "".join(f"print({mistake})\n" for mistake in MISTAKES)
    found = check(text)
    for message in MISTAKES.values():
        assert any(re.search(message, complaint) for complaint in found), found


NETWORK = """
import numpy as np
from numpy.typing import NDArray
import ntklin
from ntklin.networks.network import Network

class Wrapped:
    def __init__(self) -> None:
        self.net = ntklin.MLP((3, 4, 1))
        self.n_inputs, self.n_parameters = self.net.n_inputs, self.net.n_parameters

    def {apply}(self, theta: NDArray[np.floating], X: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.net.apply(theta, X)

    def features(self, theta: NDArray[np.floating], X: NDArray[np.floating]) -> ntklin.FeatureMap:
        return self.net.features(theta, X)

net: Network = Wrapped()
print(ntklin.ntk(net, ntklin.MLP((3, 4, 1)).init(), np.eye(3)))
"""


@typed_numpy
def test_networks_of_others_need_not_inherit(check):
    assert check(NETWORK.format(apply="apply")) == []
    assert any('"apply" is not present' in found for found in check(NETWORK.format(apply="call")))


RUNS = """
import numpy as np
import ntklin
from ntklin.runs.stops import Block

class Patience(ntklin.Stop):
    def first(self, block: Block) -> int | None:
        return 0 if block.seconds > 60 else None

X, Y = np.eye(4), [0.0, 1.0, 1.0, 0.0]
net = ntklin.MLP((4, 30, 1))
theta = net.init(0)
lin = ntklin.linearize(net, theta, X)
gd = lin.gradient_descent(Y)
loss: float = gd.loss(10)
print(loss, gd.loss([1, 2]).shape, gd.parameters(10**20).sum(), gd.steps_to(0.1))
m = lin.minimizer(Y, weights=ntklin.LowRank(np.ones((net.n_parameters, 2))), ridge=0.1)
print(m.error_bound, m.coefficients.shape, m.step_norm, m.parameters, m.rank, m.targets.sum())
stop = Patience() | ntklin.TimeLimit(3) | ntklin.FirstRise()
r = lin.train(Y, ntklin.Adam(0.01), steps=5, record=1, batches=[[0, 1], [2, 3]], stop=stop)
print(r.split.condition, r.at(1).losses, r.concentration().constant, r.kernel_drift().relative)
print(lin.theorem6(Y, ntklin.AdaGrad(0.1), steps=2).A, lin.theorem3(Y, [1.0, 2.0], 0.1).B)
run = ntklin.train(net, theta, X, Y, ntklin.Momentum(0.1), until=1e-3, X_record=X, record=[1, 2],
                   batches=ntklin.Batches(0.5, rng=None), progress=lambda t, loss: print(t, loss))
run.save("run.npz")
print(ntklin.load_run("run.npz").network.n_inputs, run.snapshot(2), run.records.distances)
optimizers = [ntklin.AdaGrad(0.1), None]
for one in ntklin.train_ensemble(net, [theta, theta], X, Y, optimizers):
    print(one.step if isinstance(one, ntklin.DivergenceError) else one.predict(X))
found = ntklin.largest_learning_rate(net, theta, X, Y, progress=lambda trial: print(trial.rise))
print(ntklin.search_learning_rate(lambda o: lin.train(Y, o, steps=10), found.optimizer).trials)
best = ntklin.mitigate_initialization(
    net, X, Y, X, Y, optimizer=lambda net: ntklin.Adam(0.01 / net.sigma),
    on_trial=lambda trial: print(trial.outcome), compare_decay=True,
)
print(best.decayed, ntklin.decay_initialization(net, theta, X, Y, weight_decay=1e-3).steps)
print(best.network.sigma, best.predict(X), best.best.test_loss)
rule = ntklin.Preconditioned(0.1, lambda t, g: np.ones(len(g)) / (t + 1))
theta, state = rule.update(rule.init(theta), theta, gradient=theta)
print(rule.preconditioner(state), lin.eigenvalues, lin.at(X).kernel, lin.features.project(theta))
"""


def test_runs_have_types_all_through(check):
    assert check(RUNS) == []


def test_the_stub_lists_every_public_name():
    names = re.findall(r"^from ntklin\.(\S+) import (\w+) as \2$", STUB.read_text(), re.MULTILINE)
    assert sorted(name for _, name in names) == sorted(set(ntklin.__all__) - {"__version__"})
    for home, name in names:
        __import__(f"ntklin.{home}")
        assert getattr(sys.modules[f"ntklin.{home}"], name) is getattr(ntklin, name)
    scope = {}
    text = STUB.read_text()
    exec(text[text.index("__all__") :], scope)
    assert sorted(scope["__all__"]) == sorted(ntklin.__all__)


def documented_parameters(docstring):
    """The section "Parameters" of a docstring: what it says of each name, in order; or None."""
    sections = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(docstring or ""), flags=re.M)
    named = dict(zip(sections[1::2], sections[2::2], strict=True))
    if "Parameters" not in named:
        return None
    found = {}
    for line in named["Parameters"].splitlines():
        if line and not line[0].isspace():
            names, _, kind = line.partition(" : ")
            found |= {name.strip().lstrip("*"): kind for name in names.split(",")}
    return found


def public_callables():
    """Every public function, class and method: (name, what is called, docstring)."""
    for name in ntklin.__all__:
        public = getattr(ntklin, name)
        if inspect.isfunction(public):
            yield name, public, public.__doc__
        elif inspect.isclass(public):
            yield name, public.__init__, public.__doc__
            for method_name, method in inspect.getmembers(public, inspect.isfunction):
                if method.__module__.startswith("ntklin") and not method_name.startswith("_"):
                    yield f"{name}.{method_name}", method, method.__doc__


def disagreements(function, docstring):
    """Where a docstring and the signature that it belongs to say different things."""
    told = documented_parameters(docstring)
    if told is None:
        return
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("self", None)
    if told.keys() != parameters.keys():
        yield f"the signature has {list(parameters)}, the docstring {list(told)}"
        return
    for name, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty
        says_optional = "optional" in told[name]
        can_be_none = parameter.default is None
        if required and says_optional:
            yield f"{name} is optional in the docstring alone"
        if can_be_none and not says_optional and "None" not in told[name]:
            yield f"{name} may be left out, which the docstring does not say"
        annotation = str(parameter.annotation)
        if parameter.annotation is not inspect.Parameter.empty and can_be_none:
            takes_none = re.search(r"None|Any|Weights|Rng", annotation)
            if not takes_none:
                yield f"{name} defaults to None, which its annotation {annotation} refuses"


CALLABLES = {name: (function, text) for name, function, text in public_callables()}


@pytest.mark.parametrize("name", CALLABLES)
def test_signatures_and_docstrings_agree(name):
    assert list(disagreements(*CALLABLES[name])) == []


def test_disagreements_are_found():
    def function(x, y, z=None):
        """Parameters as the cases below have them."""

    def says(*lines):
        return list(disagreements(function, "\n".join(["F.", "", "Parameters", "-" * 10, *lines])))

    assert says("x, y : int", "    Two.", "z : int, optional") == []
    assert "the docstring ['x', 'z']" in says("x : int", "z : int, optional")[0]
    assert says("x, y : int", "z : int") == ["z may be left out, which the docstring does not say"]
    assert len(says("x, y : int, optional", "z : int or None")) == 2
