"""A random sample of mutants: as many of each file as its share, any first part of it a sample."""

import json
import random

from mutable import Mutations


def draw(tree, paths, *, number, seed):
    """A systematic sample: every k-th mutation of all files in order, from a random start.

    Returns
    -------
    dict
        ``total``, the number of mutations there are, and ``mutants`` in a random order.
    """
    numbers = random.Random(seed)
    files = [Mutations(path, (tree / path).read_text("utf-8")) for path in sorted(paths)]
    total = sum(len(file) for file in files)
    step = total / number
    start = numbers.random() * step
    places = [int(start + k * step) for k in range(number)]
    mutants, before = [], 0
    for file in files:
        taken = set()
        for place in (p - before for p in places if before <= p < before + len(file)):
            edit = next_edit(file, place, taken)
            if edit is not None:
                mutants.append(edit)
        before += len(file)
    numbers.shuffle(mutants)
    return {
        "seed": seed,
        "total": total,
        "mutants": [{"id": k, **mutant} for k, mutant in enumerate(mutants)],
    }


def next_edit(file, place, taken):
    """The mutation at a place of a file, or the next that changes the program and is not taken."""
    for k in range(len(file)):
        number = (place + k) % len(file)
        if number not in taken:
            taken.add(number)
            edit = file.edit(number)
            if edit is not None:
                return edit
    return None


def kept(path, make):
    """A sample from its file; made first where there is none."""
    if not path.exists():
        path.write_text(json.dumps(make(), indent=1), "utf-8")
    return json.loads(path.read_text("utf-8"))
