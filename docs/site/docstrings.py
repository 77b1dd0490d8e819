"""Docstrings as Markdown: their roles, formulas and tables are reStructuredText.

Formulas become MathML, which browsers draw by themselves, without a script.
"""

import re
from collections.abc import Iterator
from typing import Any

import griffe
from latex2mathml.converter import convert

ROLE = re.compile(r":(?:class|func|meth):`([\w.]+)`")
MATH = re.compile(r"^( *)\.\. math::(.*)\n((?:\1 +.*\n|\n)*)", re.M)
# A parameter or what is returned, and the type that it has.
TYPED = re.compile(r"^( *[\w*]+(?:, [\w*]+)* : )(.*?)((?:, optional)?)$", re.M)
RULE = re.compile(r"^ *=+(?: +=+)+$")
# What the converter does not know, in words that it does.
WORDS = {r"\bigl": "", r"\bigr": "", r"\Big": "", r"\varphi": "φ"}


class Docstrings(griffe.Extension):
    """Rewrites what griffe has read of ntklin before it is parsed."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Give the package its room ``kernels``, which has a folder of its own, and Markdown."""
        if pkg.name != "ntklin":
            return
        if "kernels" not in pkg.members:
            pkg.set_member("kernels", loader.load("kernels", submodules=False))
        public = {name for name, member in pkg.members.items() if member.is_alias}
        rewrite(pkg, public)


def rewrite(item: griffe.Object | griffe.Alias, public: set[str]) -> None:
    """Turn the docstrings of an object and of all that is in it into Markdown."""
    if item.is_alias:
        return
    if item.docstring:
        item.docstring.value = markdown(item.docstring.value, public)
    if item.is_class:  # what a dataclass holds for itself is no user's argument
        for name in [name for name in item.members if re.match("_[^_]", name)]:
            item.del_member(name)
    for member in item.members.values():
        rewrite(member, public)


def markdown(text: str, public: set[str]) -> str:
    """A docstring's text with links, MathML and tables of Markdown."""

    def link(role: re.Match[str]) -> str:
        name = role[1].removeprefix("ntklin.")
        if name.split(".")[0] in public:
            return f"[`{name}`][ntklin.{name}]"
        return f"`{name}`"

    # A product, which Markdown would take for a link, and norms, whose names it would slant.
    text = re.sub("‖_(?=op|F)", r"‖\\_", text.replace("](", "] ("))
    text = re.sub(r", (shapes?) \(", r" of \1 (", text)
    text = TYPED.sub(lambda m: m[1] + in_words(m[2]) + m[3], text)
    text = MATH.sub(lambda m: f"{m[1]}{formula(m[2] + ' ' + m[3])}\n\n", text + "\n")
    return "\n".join(with_tables(ROLE.sub(link, text).splitlines()))


def in_words(kind: str) -> str:
    """A type that griffe does not take for an expression of Python, where it is none."""
    if choices := re.fullmatch(r"\{(.*)\}(.*)", kind):
        return f"one of {choices[1]}{choices[2]}"
    return kind if re.search(r"[\[(\"]", kind) else kind.replace(", ", " or ")


def formula(latex: str) -> str:
    """MathML of lines, broken where LaTeX breaks them and aligned where they have an ``&``."""
    for word, known in WORDS.items():
        latex = re.sub(re.escape(word) + r"(?![a-zA-Z])", lambda _, known=known: known, latex)
    latex = re.sub(r"_\{(int|init|new)\}", r"_{\\text{\1}}", " ".join(latex.split()))
    rows = "".join(f"<mtr>{cells(row)}</mtr>" for row in latex.split(r"\\"))
    table = f'<mtable displaystyle="true">{rows}</mtable>'
    return f'<div class="formula"><math display="block">{table}</math></div>'


def cells(row: str) -> str:
    """The cells of a row of a formula, of which the first one ends at the ``&``."""
    found = [re.sub(r"^<math[^>]*>|</math>$", "", convert(cell)) for cell in row.split("&")]
    sides = ["end", "start"] if len(found) > 1 else ["start"]
    return "".join(
        f'<mtd style="text-align: {side}">{cell}</mtd>'
        for side, cell in zip(sides, found, strict=True)
    )


def with_tables(lines: list[str]) -> Iterator[str]:
    """Lines whose simple tables are Markdown's."""
    rules = 0
    spans: list[slice] = []
    for line in lines:
        if RULE.match(line):
            rules = rules % 3 + 1
            columns = [m.span() for m in re.finditer("=+", line)]
            ends = [start for start, _ in columns[1:]]
            pairs = zip(columns, [*ends, None], strict=True)
            spans = [slice(start, end) for (start, _), end in pairs]
            if rules == 2:
                yield "|" + "---|" * len(spans)
            elif rules == 3:
                yield ""
        elif rules in (1, 2):
            cells_of = [
                line[span].strip().replace(r"\|", "|").replace("|", r"\|") for span in spans
            ]
            yield f"| {' | '.join(cells_of)} |"
        else:
            yield line
