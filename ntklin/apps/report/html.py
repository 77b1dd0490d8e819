"""The parts that every report page shares: its shell, formulas in text, tables of facts."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --quiet: #5b6570; --paper: #fff;
  --line: #d8dde3; --shade: #f5f7f9; --mark: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --quiet: #9aa5b1;
  --paper: #16191d; --line: #343b43; --shade: #1e2329; --mark: #3d3415; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
p { margin: .6rem 0; }
.quiet, figcaption, dd { color: var(--quiet); }
.note { background: var(--mark); padding: .6rem .9rem; border-radius: 6px; }
figure { margin: 1.5rem 0; }
figure img { width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; }
figcaption { font-size: .9rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr));
  gap: 0 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
thead th { background: var(--shade); vertical-align: bottom; }
p, pre, table.facts td { overflow-wrap: anywhere; }
table.facts th, table.facts td { text-align: left; white-space: normal; }
table.facts th { font-weight: 600; white-space: nowrap; }
td small, th small { display: block; font-weight: normal; color: var(--quiet); }
sub, sup { font-size: .75em; line-height: 0; }
.formula { margin-left: 1.5rem; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { font-weight: 600; } dd { margin: 0; }
pre { background: var(--shade); padding: .8rem 1rem; border-radius: 6px; white-space: pre-wrap;
  font-size: .9rem; }
"""


def document(title: str, body: str) -> str:
    """A self-contained page around ``body``, which is HTML; ``title`` is text."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def picture(image: bytes, description: str, caption: str) -> str:
    """A PNG inside the page; ``description`` is text, ``caption`` HTML."""
    return f"""<figure>
<img src="data:image/png;base64,{b64encode(image).decode()}"
 alt="{escape(description)}">
<figcaption>{caption}</figcaption>
</figure>"""


def notes(sentences: Iterable[str]) -> str:
    """Sentences without their full stops, each set off as a note."""
    return "".join(f'<p class="note">{formulas(sentence)}.</p>\n' for sentence in sentences)


def formulas(text: str) -> str:
    """Escaped text in which a_b, a_{bc}, a^b and a^{bc} show as subscript and superscript."""
    text = re.sub(r"[_^]\{([^{}]*)\}", lambda m: _raised(m[0][0], m[1]), escape(text))
    names = r"(?<=[\w‖])_(int|init|lin|min|max|val|∞|0|t|T|F|B|L)(?!\w)"
    text = re.sub(names, lambda m: _raised("_", m[1]), text)
    text = re.sub(r"(?<=[\w)])\^(\w)", lambda m: _raised("^", m[1]), text)
    return re.sub(r"(?<=\de)-(?=\d)", "\u2011", text)  # no line ends inside 1e-5


def _raised(mark: str, text: str) -> str:
    tag = "sub" if mark == "_" else "sup"
    return f"<{tag}>{text}</{tag}>"


def facts(values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>\n"
        for name, value in values.items()
    )
    return f'<table class="facts">\n{rows}</table>'


def origin(provenance: Mapping[str, Any], numbers: str) -> str:
    """How to repeat the run, when and on what it ran; ``numbers`` says where all of them are."""
    elapsed = f"{provenance['elapsed_seconds']:.0f} s"
    return f"""<h2>How to repeat it</h2>
<pre>{escape(provenance["command"])}</pre>
<p class="quiet">Written {escape(provenance["created"])}, {elapsed} after the start. {numbers}</p>
<h2>Versions and machine</h2>
{facts({**provenance["versions"], **provenance["machine"]})}"""


def legend(meanings: Iterable[tuple[str, str]]) -> str:
    """What column headings mean: pairs of texts."""
    rows = "".join(
        f"<dt>{formulas(' '.join(heading.split()))}</dt><dd>{formulas(meaning)}</dd>\n"
        for heading, meaning in meanings
    )
    return f"<dl>\n{rows}</dl>"


def number_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A wide table: headings are text, with newlines; the first cell of a row is its heading.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequence of str
        Cells as HTML.

    Returns
    -------
    str
        HTML.
    """
    head = "".join(f"<th>{formulas(h).replace(chr(10), '<br>')}</th>" for h in headings)
    body = "".join(
        f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
        for first, *cells in rows
    )
    return f"""<div class="wide"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table></div>"""
