"""The library needs NumPy, SciPy, Numba and threadpoolctl; what else is missing, is named."""

import os
import subprocess
import sys

import pytest

# Everything else that an installation may have, as if it had not.
BARE = """
import sys

REFUSED = {"typer", "rich", "pooch", "matplotlib", "filelock", "flint", "requests", "cupy"}
REFUSED |= {"hypothesis", "mpmath", "pandas", "distributed", "dask", "torch", "jax", "sklearn"}

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusal())
import numpy as np
import ntklin
"""

MAIN_PATHS = """
data = ntklin.load_data("mnist01", n_train=6, n_test=4)
X, Y = data.X_train, data.Y_train
net = ntklin.MLP((784, 8, 1))
theta = net.init(0)
lin = ntklin.linearize(net, theta, X)
lin.minimizer(Y).predict(data.X_test)
lin.gradient_descent(Y).predict(data.X_test, t=[1, 5])
lin.train(Y, ntklin.Adam(0.01), steps=2)
run = ntklin.train(net, theta, X, Y, ntklin.AdaGrad(0.01), steps=2)
run.save("run.npz")
assert (ntklin.load_run("run.npz").parameters == run.parameters).all()
ntklin.train_ensemble(net, [theta, net.init(1)], X, Y, ntklin.GradientDescent(0.01), steps=2)
ntklin.ntk(net, theta, X, weights=ntklin.LowRank(np.ones((net.n_parameters, 1))))
ntklin.infinite_ntk(net, X)
ntklin.infinite_nngp(net, X)
net.features(theta, X).project(theta)
ntklin.NTKRegressor, ntklin.NTKClassifier, ntklin.NTKKernel  # are there, and refuse to be made
print(*sorted(REFUSED & sys.modules.keys()))
"""

# Calls that do need more, and what they say.
NEEDS = {
    "ntklin.certify([[1.0]], [1.0])": "ntklin.certify needs the package python-flint, which is not "
    "installed: pip install python-flint",
    'ntklin.load_data("mnist")': "loading data from the web needs the package pooch, which is not "
    "installed: pip install pooch",
    "ntklin.load_data(n_train=1, n_test=1, progress=True)": "progress=True needs the package rich, "
    "which is not installed: pip install rich",
    "ntklin.linearize_kernel([[1.0]]).gradient_descent([1.0], 0.1).plot([1])": "plot needs the "
    "package matplotlib, which is not installed: pip install matplotlib",
    **{
        f"ntklin.{name}()": f"ntklin.{name} needs the package scikit-learn, which is not "
        "installed: pip install 'ntklin[sklearn]'"
        for name in ("NTKRegressor", "NTKClassifier", "NTKKernel")
    },
}


def run(script, folder):
    environment = {k: v for k, v in os.environ.items() if k != "NTKLIN_DATA_DIR"}
    command = [sys.executable, "-c", BARE + script]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_main_paths_need_four_packages(tmp_path):
    done = run(MAIN_PATHS, tmp_path)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


@pytest.mark.parametrize("call", NEEDS)
def test_what_is_missing_is_named(call, tmp_path):
    script = f"""
try:
    {call}
except ImportError as e:
    assert isinstance(e, ntklin.NtklinError)
    print(e)
"""
    done = run(script, tmp_path)
    assert (done.returncode, done.stdout) == (0, NEEDS[call] + "\n"), done.stderr


def test_the_refusal_refuses(tmp_path):
    assert "No module named 'rich'" in run("import rich.text", tmp_path).stderr
