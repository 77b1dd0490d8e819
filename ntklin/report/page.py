"""A study as one HTML file that needs nothing else."""

import re
from base64 import b64encode
from html import escape

from ntklin.report.columns import DYNAMICS, TEST, cell, outcome_sentences, slope_sentence

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
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
thead th { background: var(--shade); vertical-align: bottom; }
table.facts th, table.facts td { text-align: left; white-space: normal; }
table.facts th { font-weight: 600; white-space: nowrap; }
td small { display: block; color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { font-weight: 600; } dd { margin: 0; }
pre { background: var(--shade); padding: .8rem 1rem; border-radius: 6px; white-space: pre-wrap;
  font-size: .9rem; }
"""

INTRODUCTION = (
    "Training from θ_0 on the squared loss ends, for a wide network, near the minimizer of its "
    "linearization, f_∞ = f_int + f_init. The kernel interpolator f_int comes from the data alone; "
    "f_init is what the initialization leaves behind, and grows like σ^L with the initialization "
    "scale σ and the number of layers L. All σ start from the same Gaussian draw."
)


def html_page(result, image, provenance):
    """The study as a self-contained page: findings, plot, tables, configuration, how to repeat it.

    Parameters
    ----------
    result : StudyResult
    image : bytes
        The plot, a PNG.
    provenance : dict
        ``command`` (str), ``created`` (str), ``elapsed_seconds`` (float), ``versions`` (dict) and
        ``machine`` (dict).

    Returns
    -------
    str
    """
    config = result.config
    encoded = b64encode(image).decode()
    notes = "".join(
        f'<p class="note">{_formulas(sentence)}.</p>\n' for sentence in outcome_sentences(result)
    )
    finding = slope_sentence(result)
    bands = " Bands: one standard deviation over the seeds." if len(config.seeds) > 1 else ""
    target = f"Gradient descent to training loss {config.until:g}"
    test_title = f"Test loss ‖f − Y‖²/(2N) on {len(config.data.X_test)} test points"
    elapsed = f"{provenance['elapsed_seconds']:.0f} s"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ntklin minimizer: {escape(config.data.name)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Which minimizer does the network converge to?</h1>
<p class="quiet">{escape(_subtitle(config))}</p>
{notes}<p>{_formulas(INTRODUCTION)}</p>
{f"<p><strong>{_formulas(finding)}.</strong></p>" if finding else ""}
<figure>
<img src="data:image/png;base64,{encoded}"
 alt="Left: test loss against σ for the trained network, the linearized network and the kernel
 interpolator. Right: size of the initialization term against σ with its fitted power law.">
<figcaption>Left: test loss against the initialization scale σ, and how a loss ∝ σ<sup>2L</sup>
would grow. Right: size of the initialization term, and its fitted power of σ.{bands}</figcaption>
</figure>
<h2>{escape(target)}</h2>
{_table(result, DYNAMICS)}
<h2>{escape(test_title)}</h2>
{_table(result, TEST)}
<h2>Configuration</h2>
{_facts(_configuration(config))}
<h2>How to repeat it</h2>
<pre>{escape(provenance["command"])}</pre>
<p class="quiet">Written {escape(provenance["created"])}, {elapsed} after the start. Every number
is also in results.json, with all digits and seed by seed.</p>
<h2>Versions and machine</h2>
{_facts({**provenance["versions"], **provenance["machine"]})}
</body>
</html>
"""


def _formulas(text):
    """Escaped text in which a_b and a^b show as subscript and superscript."""
    text = re.sub(r"(?<=\w)_(int|init|lin|min|max|∞|0|T)(?!\w)", r"<sub>\1</sub>", escape(text))
    return re.sub(r"(?<=\w)\^(\w)", r"<sup>\1</sup>", text)


def _subtitle(config):
    seeds = len(config.seeds)
    return (
        f"{config.data.name}, {len(config.data.X_train)} training points, L = {config.depth}, "
        f"widths {'–'.join(map(str, config.widths))}, "
        f"{seeds} initialization{'s' if seeds > 1 else ''}"
    )


def _configuration(config):
    facts = config.describe()
    for name in ("widths", "sigmas", "seeds"):
        facts[name] = ", ".join(format(value, "g") for value in facts[name])
    facts["n_parameters"] = f"{facts['n_parameters']:,}"
    if facts["rcond"] is None:
        facts["rcond"] = "no rank cut"
    if facts["max_steps"] is None:
        facts["max_steps"] = "ten times as many as predicted"
    facts["train"] = "yes" if facts["train"] else "no"
    return facts


def _facts(facts):
    """A table of names and values."""
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>\n"
        for name, value in facts.items()
    )
    return f'<table class="facts">\n{rows}</table>'


def _table(result, columns):
    """One row per σ, and below it what each column means."""
    headings = "".join(
        f"<th>{_formulas(column.heading).replace(chr(10), '<br>')}</th>" for column in columns
    )
    rows = "".join(
        f"<tr><th>{row.sigma:g}</th>{''.join(_cell(row, column) for column in columns)}</tr>\n"
        for row in result.rows
    )
    meanings = "".join(
        f"<dt>{_formulas(' '.join(column.heading.split()))}</dt>"
        f"<dd>{_formulas(column.meaning)}</dd>\n"
        for column in columns
    )
    return f"""<div class="wide"><table>
<thead><tr><th>σ</th>{headings}</tr></thead>
<tbody>
{rows}</tbody>
</table></div>
<dl>
{meanings}</dl>"""


def _cell(row, column):
    mean, spread = cell(row.statistics[column.name], column.style)
    small = f"<small>{escape(spread)}</small>" if spread else ""
    return f"<td>{escape(mean)}{small}</td>"
