"""Loaded by every Python process of the private environment: ntklin is the private copy's.

``NTKLIN_MUTANT`` names a file with one change of one source, which is then seen by whoever imports
it, children too. ``NTKLIN_ENTERED`` names a file to which a child process adds the functions that
it enters.
"""

import importlib.util
import json
import os
import sys
import threading
from importlib.machinery import SourceFileLoader
from pathlib import Path

TREE = Path(__file__).parents[4] / "tree"
FOLDERS = {"kernels": TREE / "kernels", "validation": TREE / "validation"}
mutant = None  # the change of a source: its path in the tree, start, old and new text


class Loader(SourceFileLoader):
    """Of a module whose source may be a mutant's; then no byte code is read or kept."""

    def get_code(self, fullname):
        if mutant is None or self.path != str(TREE / mutant["path"]):
            return super().get_code(fullname)
        source = Path(self.path).read_text("utf-8")
        start, old = mutant["start"], mutant["old"]
        if source[start : start + len(old)] != old:
            raise SystemExit(f"{self.path} is not the file of which this mutant was made")
        mutated = source[:start] + mutant["new"] + source[start + len(old) :]
        return compile(mutated, self.path, "exec", dont_inherit=True)


class Finder:
    """Of ntklin and all that is in it."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        top, *rest = fullname.split(".")
        if top != "ntklin":
            return None
        folder = FOLDERS[rest.pop(0)] if rest and rest[0] in FOLDERS else TREE / "ntklin"
        place = folder.joinpath(*rest)
        for file, inside in (
            (place / "__init__.py", [str(place)]),
            (place.with_suffix(".py"), None),
        ):
            if file.is_file():
                loader = Loader(fullname, str(file))
                return importlib.util.spec_from_file_location(
                    fullname, file, loader=loader, submodule_search_locations=inside
                )
        return None


class Entered:
    """The functions of ntklin that are entered, in this process and in its children.

    A trace function that returns None is told of calls alone, so that loops run at full speed.
    """

    def __init__(self):
        self.seen = {}  # by number: hashing a code object would take longer than the rest
        self.names = {}  # with the code, so that no other one gets its number
        self.file = None

    def start(self):
        sys.settrace(self.enter)
        threading.settrace(self.enter)
        os.register_at_fork(after_in_child=self.in_child)

    def enter(self, frame, event, arg):
        code = frame.f_code
        if id(code) not in self.seen:
            self.seen[id(code)] = code
            if self.file is not None:
                self.tell(code)

    def name(self, code):
        """Path and qualified name of the function around some code; None outside of ntklin."""
        if id(code) not in self.names:
            path = code.co_filename.removeprefix(f"{TREE}/")
            inside = path.startswith(("ntklin/", "kernels/")) and path != code.co_filename
            name = f"{path}::{plain(code.co_qualname)}" if inside else None
            self.names[id(code)] = code, name
        return self.names[id(code)][1]

    def taken(self):
        """The names of what was entered since the last time."""
        seen, self.seen = self.seen, {}
        return {name for name in map(self.name, seen.values()) if name}

    def in_child(self):
        """A forked child tells by the file, if there is one."""
        self.file = os.environ.get("NTKLIN_ENTERED")
        self.seen = {}

    def tell(self, code):
        name = self.name(code)
        if name:
            with open(self.file, "a", encoding="utf-8") as file:
                file.write(name + "\n")


def plain(name):
    """A qualified name without lambdas, comprehensions and class bodies at its end."""
    parts = name.split(".")
    while parts and (parts[-1].startswith("<") or parts[-1] == ""):
        parts.pop()
    return ".".join(parts)


entered = Entered()
sys.meta_path.insert(0, Finder)
if os.environ.get("NTKLIN_MUTANT"):
    mutant = json.loads(Path(os.environ["NTKLIN_MUTANT"]).read_text("utf-8"))
if os.environ.get("NTKLIN_ENTERED"):
    entered.file = os.environ["NTKLIN_ENTERED"]
    entered.start()
