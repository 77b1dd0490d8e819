"""The package as it is installed, with kernels/ and validation/ inside, for type checkers.

They read files and know nothing of the import hook by which an editable installation finds these
two. ``python tests/typed_tree.py`` makes it where pyproject.toml tells pyright to look.
"""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"ntklin": "ntklin", "kernels": "ntklin/kernels", "validation": "ntklin/validation"}


def link_tree(target):
    """Links to all sources below ``target``."""
    for folder, package in FOLDERS.items():
        shutil.copytree(
            ROOT / folder,
            Path(target) / package,
            copy_function=os.symlink,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )


if __name__ == "__main__":
    shutil.rmtree(ROOT / "build" / "typed", ignore_errors=True)
    link_tree(ROOT / "build" / "typed")
