"""What has been run so far, on whatever machine: rows of ``record.json``, and their sums."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from fuzz import workers

PATH = Path(__file__).with_name("record.json")


def rows() -> list[dict[str, Any]]:
    """One row for each run: its kind, the commit, batches and their size, and what came of it."""
    return json.loads(PATH.read_text("utf-8"))


def add(kind: str, folder: Path, size: int) -> None:
    """Add the run in a folder; once, however often it is called.

    Parameters
    ----------
    kind : str
    folder : Path
        The ``--out`` of the run.
    size : int
        Cases in a batch.
    """
    found = [row for row in rows() if not _is_of(row, folder, kind)]
    about = {"kind": kind, "run": folder.name, "commit": _commit()}
    if kind == "kills":
        lines = [*workers.lines(folder / "kills.jsonl")]
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update({f"{line['command']}: {what}": n for what, n in line["counts"].items()})
        n_findings = sum(len(line["findings"]) for line in lines)
        found.append(about | {"counts": dict(counts), "findings": n_findings})
    else:
        run = workers.summary(folder)
        numbers = {key: run[key] for key in ("batches", "cases", "cpu", "counts")}
        found.append(about | {"size": size} | numbers | {"findings": len(run["findings"])})
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in found)
    PATH.write_text(f"[\n{text}\n]\n", "utf-8")


def _is_of(row: dict[str, Any], folder: Path, kind: str) -> bool:
    return (row["kind"], row["run"]) == (kind, folder.name)


def _commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=PATH.parent, capture_output=True, text=True).stdout.strip()


def table(found: list[dict[str, Any]]) -> str:
    """The sums, as docs/fuzzing.md has them.

    Parameters
    ----------
    found : list of dict
        See ``rows``.

    Returns
    -------
    str
        Lines of Markdown.
    """
    lines = ["| | cases | findings | seconds of CPU for 1000 |", "|---|---|---|---|"]
    for kind in dict.fromkeys(row["kind"] for row in found):
        mine = [row for row in found if row["kind"] == kind]
        n_findings = sum(row["findings"] or 0 for row in mine)  # of the first runs it is not known
        if kind == "kills":
            lines += [_of_kills(mine, n_findings)]
            continue
        timed = [row for row in mine if row.get("cpu")]
        cases = sum(row["cases"] for row in timed)
        rate = f"{1000 * sum(row['cpu'] for row in timed) / cases:.0f}" if cases else ""
        total = sum(row["cases"] for row in mine)
        lines.append(f"| `{kind}` | {total:,} | {n_findings} | {rate} |")
    return "\n".join(lines)


def _of_kills(found: list[dict[str, Any]], n_findings: int) -> str:
    counts: Counter[str] = Counter()
    for row in found:
        counts.update(row["counts"])
    killed = {key.partition(":")[0]: n for key, n in counts.items() if key.endswith(": killed")}
    words = ", ".join(f"{name} {n}" for name, n in killed.items())
    return f"| `kills` | {words} | {n_findings} | |"
