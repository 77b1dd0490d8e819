"""Which tests can see a mutant: those that enter its function, and their neighbors."""

import ast
import heapq
from collections import defaultdict

LONGEST = 30.0  # seconds; longer tests are not asked
LOADING = 0.3  # seconds that a test file takes to load, beside its tests


class Choice:
    """What the maps of all test files tell, as far as they are made.

    Parameters
    ----------
    place : Place
    compiled : bool
        Whether of the tests that need compiled kernels, and not of all others.
    """

    def __init__(self, place, compiled=False):
        self.by_function, self.by_path = defaultdict(set), defaultdict(set)
        self.of_definitions = set()  # tests that enter no function
        self.seconds, self.files, self.digests = {}, defaultdict(set), {}
        self.n_passed = self.n_other = 0
        for path in sorted((place.compiled_maps if compiled else place.maps).glob("*.json")):
            self.read(place.map(path.name, compiled))
        self.importers = importers(place, place.sources)
        tests = [f"tests/{path.name}" for path in (place.tree / "tests").glob("test_*.py")]
        self.readers = importers(place, tests)
        self.users = users(place)

    def read(self, told):
        """Take in the map of one test file."""
        self.digests[told["file"]] = told["digest"]
        for test, what in told["tests"].items():
            if what["outcome"] != "passed" or what["seconds"] > LONGEST:
                self.n_other += 1
                continue
            self.n_passed += 1
            self.seconds[test] = what["seconds"]
            self.files[told["file"]].add(test)
            if not what["entered"]:
                self.of_definitions.add(test)
            for name in what["entered"]:
                self.by_function[name].add(test)
                self.by_path[name.partition("::")[0]].add(test)

    def tests(self, mutant, budget):
        """Tests for a mutant in the order in which to run them: fastest first, of few files.

        First those that enter its function; outside of functions, or where only imports enter it,
        those that enter any function of its file, or of the files that import it; outside of
        functions those that enter none, too, and first of all those of test files that import the
        file or what imports it: they look at definitions. Then the others of the same test files,
        which may look at what one of the first has computed for all.

        Returns
        -------
        list of (str, float)
            Tests with their seconds, of at most ``budget`` seconds together.
        """
        path, function = mutant["path"], mutant["function"]
        near = self.by_function.get(f"{path}::{function}", set()) if function else set()
        near = near or self.by_path.get(path, set())
        if not near:
            near = set().union(*(self.by_path[user] for user in self.importers.get(path, ())))
        if not function:
            near = near | self.of_definitions
        files = {test.partition("::")[0] for test in near}
        far = set().union(*(self.files[file] for file in files)) - near
        closest = set()
        if not function:  # what looks at definitions imports them, or what imports them
            users = {path, *self.importers.get(path, ())}
            readers = set().union(*(self.readers.get(user, ()) for user in users))
            closest = {test for test in near if test.partition("::")[0] in readers}
        chosen = []
        for group in (closest, near - closest, far):
            for test in in_order(group, self.seconds):
                budget -= self.seconds[test] + 0.01
                if budget < 0:
                    return chosen
                chosen.append((test, self.seconds[test]))
        return chosen

    def witnesses(self, mutant, most):
        """The fastest tests of as many files that enter the mutant's function, or what names it.

        Where none does, as of what only compiled code calls, those that enter a function in which
        its name stands, or one in which the name of one of these stands, and so on; and else those
        of its file, of the files that import it, or of the files that import these.
        """
        paths, seen = {mutant["path"]}, set()
        near = self.by_function.get(f"{mutant['path']}::{mutant['function']}", set())
        names, known = {mutant["function"].partition(".")[0]} - {""}, set()
        while not near and names - known:
            known |= names
            users = set().union(*(self.users.get(name, ()) for name in names))
            near = set().union(*(self.by_function.get(user, ()) for user in users))
            names = {user.partition("::")[2].partition(".")[0] for user in users}
        while not near and paths - seen:
            near = set().union(*(self.by_path.get(path, ()) for path in paths))
            seen |= paths
            paths = set().union(*(self.importers.get(path, ()) for path in paths))
        fastest = {}
        for test in sorted(near, key=lambda test: (self.seconds[test], test)):
            fastest.setdefault(test.partition("::")[0], test)
        return list(fastest.values())[:most]

    def knows(self, mutant):
        """Whether a test is known that enters the mutant's function."""
        return f"{mutant['path']}::{mutant['function']}" in self.by_function

    def known(self, test):
        """A test as it stands: with its file's digest."""
        return f"{test}@{self.digests[test.partition('::')[0]]}"


def in_order(tests, seconds):
    """Tests by their seconds, where the first one of a file pays for loading it as well."""
    files = defaultdict(list)
    for test in sorted(tests, key=lambda test: (seconds[test], test), reverse=True):
        files[test.partition("::")[0]].append(test)
    next_ones = [(seconds[left[-1]] + LOADING, file) for file, left in files.items()]
    heapq.heapify(next_ones)
    while next_ones:
        _, file = heapq.heappop(next_ones)
        yield files[file].pop()
        if files[file]:
            heapq.heappush(next_ones, (seconds[files[file][-1]], file))


def importers(place, paths):
    """Which of some files import a file, by what their import statements name."""
    found = defaultdict(set)
    for path in paths:
        for node in ast.walk(ast.parse((place.tree / path).read_text("utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                found[source_of(name)].add(path)
    return found


def users(place):
    """In which functions of the kernels a name stands, as ``path::function``."""
    found = defaultdict(set)
    for path in place.sources:
        if not path.startswith("kernels/"):
            continue
        for node in ast.parse((place.tree / path).read_text("utf-8")).body:
            of_class = node.body if isinstance(node, ast.ClassDef) else ()
            inside = f"{node.name}." if of_class else ""
            for function in of_class or (node,):
                if isinstance(function, ast.FunctionDef):
                    words = {
                        getattr(one, "id", getattr(one, "attr", "")) for one in ast.walk(function)
                    }
                    for word in words - {"", function.name}:
                        found[word].add(f"{path}::{inside}{function.name}")
    return found


def source_of(module):
    """The path of a module of ntklin, were it no package."""
    inside = module.removeprefix("ntklin.")
    folder = "" if inside.startswith("kernels") else "ntklin/"
    return folder + inside.replace(".", "/") + ".py"
