"""A private copy of the sources, and an environment whose ntklin it is.

Mutants never touch a work tree. The environment has no packages of its own: it sees those of the
Python that made it, and ``mutant_site`` in front of them.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROOMS = ("ntklin", "kernels")
COPIED = (*ROOMS, "validation", "tests", "docs")


def listed(root):
    """The files of a work tree, of git where that is there."""
    command = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        names = [name for name in told.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for folder in COPIED for path in (root / folder).rglob("*")]
        names = [str(path.relative_to(root)) for path in (*found, *root.glob("*.*"))]
        names = [name for name in names if "__pycache__" not in name]
    return sorted(name for name in names if (root / name).is_file())


def digest(root, names):
    """Of the names and contents of files."""
    found = hashlib.sha256()
    for name in names:
        found.update(name.encode() + b"\0" + hashlib.sha256((root / name).read_bytes()).digest())
    return found.hexdigest()


class Place:
    """A folder for the code as it stands; another code gets another folder.

    Tests may change meanwhile: :meth:`refresh` copies them again.
    """

    def __init__(self, base):
        names = listed(ROOT)
        self.sources = [n for n in names if n.split("/")[0] in ROOMS and n.endswith(".py")]
        self.code = digest(ROOT, self.sources)
        self.folder = Path(base).resolve() / self.code[:12]
        self.tree, self.maps = self.folder / "tree", self.folder / "maps"
        self.compiled_maps = self.folder / "maps-compiled"
        self.python = self.folder / "env" / "bin" / "python"
        for folder in (self.tree, self.maps, self.compiled_maps, self.folder / "work"):
            folder.mkdir(parents=True, exist_ok=True)
        self.refresh(names)
        self.environment()

    def map(self, file, compiled=False):
        """What is known of a test file's tests; None where that is nothing.

        Two things: those that ran in plain Python, and what the others did with compiled kernels.
        """
        path = (self.compiled_maps if compiled else self.maps) / f"{Path(file).stem}.json"
        if not path.exists():
            return None
        told = json.loads(path.read_text("utf-8"))
        names = told.pop("functions")
        for test in told["tests"].values():
            test["entered"] = [names[number] for number in test["entered"]]
        return told

    def keep_map(self, told, compiled=False):
        """Keep what is known, whole or not at all; each function's name once."""
        numbers, tests = {}, {}
        for test, what in told["tests"].items():
            entered = [numbers.setdefault(name, len(numbers)) for name in what["entered"]]
            tests[test] = what | {"entered": entered}
        folder = self.compiled_maps if compiled else self.maps
        path = folder / f"{Path(told['file']).stem}.json"
        text = json.dumps(told | {"tests": tests, "functions": list(numbers)})
        path.with_suffix(".part").write_text(text, "utf-8")
        path.with_suffix(".part").replace(path)

    def refresh(self, names):
        """Copy what has changed, and drop what is gone."""
        wanted = set(names)
        for path in self.tree.rglob("*.py"):
            if str(path.relative_to(self.tree)) not in wanted:
                path.unlink()
        for name in names:
            old, new = self.tree / name, ROOT / name
            if not old.exists() or old.read_bytes() != new.read_bytes():
                old.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(new, old)

    def environment(self):
        """Make the environment, or bring it up to date."""
        env = self.folder / "env"
        if not self.python.exists():
            venv.EnvBuilder(symlinks=True, with_pip=False).create(env)
            for script in Path(sys.executable).parent.iterdir():
                copied_script(script, env / "bin" / script.name, self.python)
        (site,) = env.glob("lib/python*/site-packages")
        shutil.copy(HERE / "mutant_site.py", site)
        paths = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        (site / "mutant_site.pth").write_text("\n".join([*paths, "import mutant_site", ""]))


def copied_script(script, target, python):
    """A command of the environment that runs this, for another Python."""
    if script.is_symlink() or not script.is_file() or target.exists():
        return
    first, _, rest = script.read_bytes().partition(b"\n")
    if first == b"#!" + sys.executable.encode():
        target.write_bytes(b"#!" + str(python).encode() + b"\n" + rest)
        target.chmod(0o755)
