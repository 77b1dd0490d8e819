"""What of a source can be mutated, and how: mutmut's operators, and a rule for what does not run.

Mutated is every expression that runs. Left out is what does not, or what no test should look at:

- docstrings, annotations, imports, ``__all__``, what stands under ``if TYPE_CHECKING:``, type
  variables and the type that ``cast`` is told,
- wording: literals in a ``raise`` or a ``warn``, and those in which a blank stands between words,
- decorators of kernels, which tell the compiler what to do and nothing without the JIT,
- calls of ``len`` and ``isinstance``, as mutmut has it: what they become raises at once.
"""

import ast
import re
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper
from mutmut.mutation.mutators import mutation_operators

NOT_RUN = (
    m.Annotation()
    | m.Import()
    | m.ImportFrom()
    | m.If(test=m.Name("TYPE_CHECKING") | m.Attribute(attr=m.Name("TYPE_CHECKING")))
    | m.Assign(targets=[m.AssignTarget(target=m.Name("__all__"))])
    | m.Call(func=m.Name("TypeVar") | m.Name("ParamSpec") | m.Name("len") | m.Name("isinstance"))
    | m.Call(func=m.Name("cast") | m.Attribute(attr=m.Name("cast")))
    | m.Expr(value=m.SimpleString() | m.ConcatenatedString())
)
MAYBE_NOT_RUN = (
    *(cst.Annotation, cst.Import, cst.ImportFrom, cst.If, cst.Assign, cst.Call, cst.Expr),
    cst.Decorator,
)
WORDING = m.Raise() | m.Call(func=m.Name("warn") | m.Attribute(attr=m.Name("warn")))
BLANKS = (cst.BaseParenthesizableWhitespace, cst.EmptyLine, cst.TrailingWhitespace, cst.Newline)
SENTENCE = re.compile(r"\w[\w.,:;!?)'’]* [\w(]")


class Places(cst.CSTVisitor):
    """All mutations of a module, in order: the node, what stands in its place, the operator."""

    def __init__(self, compiled):
        super().__init__()
        self.skipped = NOT_RUN | m.Decorator() if compiled else NOT_RUN
        self.wording = 0
        self.found = []

    def on_visit(self, node):
        """Note the node's mutations.

        Returns
        -------
        bool
            Whether to look into it.
        """
        if isinstance(node, BLANKS):
            return False
        # The types first: matching all nodes against all patterns would take minutes.
        if isinstance(node, MAYBE_NOT_RUN) and m.matches(node, self.skipped):
            return False
        self.wording += self.is_told(node)
        for kind, operator in mutation_operators:
            if isinstance(node, kind) and not self.is_wording(node):
                name = operator.__name__.removeprefix("operator_")
                self.found.extend((node, new, name) for new in operator(node))
        return True

    def on_leave(self, original_node):
        """Count the sentences that are being read."""
        self.wording -= self.is_told(original_node)

    def is_told(self, node):
        """Whether the literals below are wording: an error or a warning."""
        return isinstance(node, cst.Raise | cst.Call) and m.matches(node, WORDING)

    def is_wording(self, node):
        """Whether this is a literal that only people read."""
        if not isinstance(node, cst.SimpleString):
            return False
        return self.wording > 0 or SENTENCE.search(node.raw_value) is not None


@dataclass(frozen=True)
class Mutations:
    """Those of one file."""

    path: str
    source: str

    def __post_init__(self):
        module = MetadataWrapper(cst.parse_module(self.source)).module
        places = Places(compiled=self.path.startswith("kernels/"))
        module.visit(places)
        object.__setattr__(self, "module", module)
        object.__setattr__(self, "found", places.found)

    def __len__(self):
        return len(self.found)

    def edit(self, number):
        """One as a change of the text; None where the program stays the same or is none."""
        old, new, operator = self.found[number]
        mutated = self.module.deep_replace(old, new).code
        try:
            if ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(self.source)):
                return None
        except SyntaxError:
            return None
        return {"path": self.path, "operator": operator, **difference(self.source, mutated)}


def difference(source, mutated):
    """Where two texts differ, with the lines around it and the function that it is in."""
    start = 0
    while source[start : start + 1] == mutated[start : start + 1]:
        start += 1
    end = 0
    while end < min(len(source), len(mutated)) - start and source[-1 - end] == mutated[-1 - end]:
        end += 1
    stop, new = len(source) - end, mutated[start : len(mutated) - end]
    first = source.rfind("\n", 0, start) + 1
    last = source.find("\n", stop)
    line = source.count("\n", 0, start) + 1
    return {
        "line": line,
        "function": enclosing(ast.parse(source), line),
        "start": start,
        "old": source[start:stop],
        "new": new,
        "before": source[first:last].strip(),
        "after": (source[first:start] + new + source[stop:last]).strip(),
    }


def enclosing(node, line, name=""):
    """The qualified name of the innermost function in whose body a line stands; else ""."""
    innermost = ""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if child.body[0].lineno <= line <= child.end_lineno:
                own = name + child.name
                return enclosing(child, line, own + ".<locals>.") or own
        elif isinstance(child, ast.ClassDef):
            innermost = innermost or enclosing(child, line, f"{name}{child.name}.")
        else:
            innermost = innermost or enclosing(child, line, name)
    return innermost
