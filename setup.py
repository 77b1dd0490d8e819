"""Packaging: `kernels/` installs as `ntklin.kernels`, `validation/` as `ntklin.validation`."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def mapped(folder, name):
    """Packages below ``folder``, to install as ``name``: {import name: folder}."""
    found = {name: folder}
    for package in find_packages(ROOT / folder):
        found[f"{name}.{package}"] = f"{folder}/{package.replace('.', '/')}"
    return found


PACKAGE_DIR = {
    **mapped("ntklin", "ntklin"),
    **mapped("kernels", "ntklin.kernels"),
    **mapped("validation", "ntklin.validation"),
}

setup(packages=list(PACKAGE_DIR), package_dir=PACKAGE_DIR)
