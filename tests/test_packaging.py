"""The sdist, the wheel, what importing it costs, and the command that the README and CI share."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[1]
TOP = (
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CITATION.cff",
)
FOLDERS = {"ntklin": "", "kernels": "ntklin/", "validation": "ntklin/"}  # where each is installed
# What setuptools writes itself: into the wheel's own folder, and into the sdist.
WHEELS_OWN = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "licenses/ntklin/data/LICENSES.md",
    "top_level.txt",
}
SDISTS_OWN = {"PKG-INFO", "setup.cfg"}
SHIPPED = (
    "ntklin/py.typed",
    "ntklin/__init__.pyi",
    "ntklin/data/mnist01.npz",
    "ntklin/data/fashion01.npz",
    "ntklin/data/LICENSES.md",
    "ntklin/kernels/cpu/__init__.py",
    "ntklin/kernels/gpu/weighted_gram.cu",
    "ntklin/kernels/gpu/rules.cuh",
)


def run(*command, cwd, **environment):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree():
    """The files of the packages: (folder, path relative to the checkout)."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield folder, path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist and of the wheel built from it, without the network.

    They are of a copy of the sources, and of a test, which neither is to take.
    """
    folder = tmp_path_factory.mktemp("build")
    (folder / "tests").mkdir()
    for name in (*TOP, "tests/test_packaging.py"):
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment that holds the wheel alone; (its Python, its site-packages, what is new).

    The dependencies are those of the running environment, appended to the path by a ``.pth`` file,
    behind which an editable install of ntklin there has no effect.
    """
    folder = tmp_path_factory.mktemp("env")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder)[:-1])
    before = set(os.listdir(site))
    run(sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index",
        wheel, cwd=folder)  # fmt: skip
    new = set(os.listdir(site)) - before
    (site / "dependencies.pth").write_text("\n".join(sorted(dependency_folders())))
    return python, site, new


def dependency_folders():
    """Where the packages that ntklin requires lie."""
    for requirement in importlib.metadata.requires("ntklin"):
        if "extra ==" not in requirement:
            name = re.match(r"[\w-]+", requirement).group()
            yield str(importlib.metadata.distribution(name).locate_file(""))


def test_the_wheel_installs_one_name(installed):
    _, site, new = installed
    version = importlib.metadata.version("ntklin")
    assert new == {"ntklin", f"ntklin-{version}.dist-info"}
    assert (site / f"ntklin-{version}.dist-info" / "licenses" / "LICENSE").is_file()


def test_the_wheel_ships_data_and_sources(wheel):
    assert set(SHIPPED) <= set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_tree_and_nothing_else(wheel):
    own = f"ntklin-{importlib.metadata.version('ntklin')}.dist-info"
    expected = {FOLDERS[folder] + path for folder, path in tree()}
    expected |= {f"{own}/{name}" for name in WHEELS_OWN}
    assert set(zipfile.ZipFile(wheel).namelist()) == expected


def test_the_sdist_holds_what_a_build_needs_and_nothing_else(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    found = {name for name in found if not name.startswith("ntklin.egg-info/")}
    assert found == {path for _, path in tree()} | set(TOP) | SDISTS_OWN


def test_the_wheel_works_elsewhere(installed, tmp_path):
    python, site, _ = installed
    script = """
import importlib, json
import ntklin, ntklin.kernels, ntklin.kernels.cpu, ntklin.validation
found = [m.__path__[0] for m in (ntklin, ntklin.kernels, ntklin.kernels.cpu, ntklin.validation)]
for name in ntklin.__all__:
    getattr(ntklin, name)
data = ntklin.load_data("fashion01", n_train=3, n_test=2)
missing = []
for name in ("kernels", "validation"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        missing.append(name)
print(json.dumps([found, data.X_train.shape, missing]))
"""
    found, shape, missing = json.loads(run(python, "-I", "-c", script, cwd=tmp_path))
    packages = ("", "kernels", "kernels/cpu", "validation")
    assert found == [str(site / "ntklin" / package) for package in packages]
    assert shape == [3, 784]
    assert missing == ["kernels", "validation"]


def loaded_by(statement, cwd):
    """The modules that a fresh Python has loaded after ``statement``."""
    script = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(run(sys.executable, "-c", script, cwd=cwd)))


@pytest.mark.parametrize("statement", ["import ntklin; dir(ntklin)", "import ntklin.data"])
def test_importing_loads_little(statement, tmp_path):
    loaded = loaded_by(statement, tmp_path)
    assert "ntklin" in loaded
    heavy = (
        "matplotlib numba llvmlite typer rich pooch requests scipy.linalg hypothesis torch jax cupy"
    )
    assert loaded.isdisjoint(heavy.split())


def test_the_budget_sees_a_heavy_import(tmp_path):
    assert "scipy.linalg" in loaded_by("import scipy.linalg", tmp_path)


@pytest.mark.slow
def test_import_takes_little_longer_than_that_of_numpy(tmp_path):
    def seconds(statement):
        script = (
            f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        )
        return min(float(run(sys.executable, "-c", script, cwd=tmp_path)) for _ in range(5))

    assert seconds("import numpy, ntklin, ntklin.data") < seconds("import numpy") + 0.3


def test_ci_runs_the_command_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^<!-- ci: test -->\n```\w*\n(.*?)^```$", text, re.M | re.S)
    assert "python3 -m venv .venv" in block
    assert "pip install -e '.[test]'" in block
    assert ".venv/bin/pytest" in block
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
