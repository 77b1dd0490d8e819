"""What the verdicts say: by room, by operator, and the survivors one by one."""

import json
import tomllib
from collections import Counter, defaultdict
from math import sqrt
from pathlib import Path

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
DEAD, ALIVE = ("killed", "timeout"), ("survived", "uncovered")


class Verdicts:
    """A file of lines of JSON, to which each verdict is added; the last one on a mutant counts."""

    def __init__(self, path):
        self.path, self.kept = path, {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                try:
                    told = json.loads(line)
                except ValueError:  # of a process that was killed as it wrote
                    continue
                self.kept[told["id"]] = told

    def of(self, mutant):
        """The verdict on a mutant; None where there is none yet."""
        return self.kept.get(mutant["id"])

    def add(self, mutant, result):
        """Keep a verdict."""
        told = {"id": mutant["id"], **result}
        self.kept[mutant["id"]] = told
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


def room(path):
    """The room that a file belongs to."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def equivalents():
    """Mutants that are shown to be none: (path, line before, line after)."""
    if not EQUIVALENT.exists():
        return set()
    told = tomllib.loads(EQUIVALENT.read_text("utf-8"))
    return {(one["path"], one["before"], one["after"]) for one in told.get("mutant", [])}


def is_shown(mutant, shown):
    """Whether a mutant is one of those."""
    return (mutant["path"], mutant["before"], mutant["after"]) in shown


def interval(k, n):
    """The 95 % interval of a share k/n, after Wilson."""
    z, p = 1.96, k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def text(place, options):
    """The report as Markdown."""
    name = f"{options.seed}-{options.number}"
    drawn = json.loads((place.folder / f"sample-{name}.json").read_text("utf-8"))
    verdicts = Verdicts(place.folder / f"verdicts-{name}.jsonl")
    shown = equivalents()
    counts, operators, alive = defaultdict(Counter), defaultdict(Counter), []
    for mutant in drawn["mutants"]:
        told = verdicts.of(mutant)
        verdict = told["verdict"] if told else "open"
        if verdict in ALIVE:
            alive.append(mutant)
            if is_shown(mutant, shown):
                verdict = "equivalent"
        counts[room(mutant["path"])][verdict] += 1
        operators[mutant["operator"]][verdict] += 1
    lines = [
        f"Code {drawn['code'][:12]}, seed {drawn['seed']}: {len(drawn['mutants'])} of "
        f"{drawn['total']} mutants.",
        "",
        *table("room", counts),
        "",
        *table("operator", operators),
        "",
        "Survivors:",
    ]
    for mutant in sorted(alive, key=lambda mutant: (mutant["path"], mutant["line"])):
        shows = (mutant["path"], mutant["before"], mutant["after"]) in shown
        lines += [
            f"- {mutant['path']}:{mutant['line']} ({mutant['function'] or 'module'}, "
            f"{mutant['id']}){', equivalent' if shows else ''}",
            f"      - {mutant['before']}".replace("\n", "\n        "),
            f"      + {mutant['after']}".replace("\n", "\n        "),
        ]
    return "\n".join(lines)


def table(first, counts):
    """Counts of verdicts with scores, the sum last."""
    kinds = (*DEAD, *ALIVE, "equivalent", "open")
    yield f"| {first} | {' | '.join(kinds)} | score |"
    yield "|" + "---|" * (len(kinds) + 2)
    total = sum(counts.values(), Counter())
    for name, count in [*sorted(counts.items()), ("all", total)]:
        dead = sum(count[kind] for kind in DEAD)
        judged = count.total() - count["open"]
        score = f"{dead / judged:.1%}" if judged else ""
        if name == "all" and judged:
            low, high = interval(dead, judged)
            score += f" ({low:.1%} to {high:.1%})"
        yield f"| {name} | {' | '.join(str(count[kind]) for kind in kinds)} | {score} |"
