"""Text of the command line as values; every refusal names its option."""

import re

NONE = "none"
# Years of work even for small networks.
MOST_SEEDS = 100_000
# Far deeper than any network of this kind can be trained.
MOST_LAYERS = 10_000
LABEL = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)')


def split(text, option):
    """The non-empty parts of a comma-separated list."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError(f"{option} is empty; write a comma-separated list")
    return parts


def numbers(text, option, kind=float):
    """A comma-separated list of numbers as a tuple of ``kind``."""
    values = []
    for part in split(text, option):
        try:
            values.append(kind(part))
        except ValueError:
            what = "an integer" if kind is int else "a number"
            example = "1,2,3" if kind is int else "0.5,1,2"
            raise ValueError(
                f"{option}: {part!r} is not {what}; write a comma-separated list such as {example}"
            ) from None
    return tuple(values)


def optional_list(text):
    """The parts of a comma-separated list of lower-case words, which "none" leaves empty."""
    words = [part.strip().lower() for part in text.split(",") if part.strip()]
    return () if words == [NONE] else tuple(words)


def optional(parse, text, *arguments):
    """``parse(text, …)``; None stays None."""
    return None if text is None else parse(text, *arguments)


def hidden_widths(text, depth, default=None):
    """The L − 1 hidden widths; one number serves for all layers, None means the default.

    Parameters
    ----------
    text : str or None
    depth : int
    default : pair of int, optional
        The width for depth 2, and that of each layer of a deeper network; the study's when not
        given.
    """
    from ntklin.study import default_hidden_widths

    if depth > MOST_LAYERS:
        raise ValueError(f"--depth must be at most {MOST_LAYERS}, got {depth}")

    usual = default_hidden_widths(depth)
    if text is None:
        return usual if default is None else (default[depth > 2],) * (depth - 1)
    widths = numbers(text, "--width", int)
    if len(widths) == 1:
        return widths * (depth - 1)
    if len(widths) != depth - 1:
        raise ValueError(
            f"--width lists {len(widths)} layers, but --depth {depth} has {depth - 1} hidden "
            f"layer{'' if depth == 2 else 's'}"
        )
    return widths


def seeds(seed, text):
    """Seeds from ``--seed`` and ``--seeds``: a count from ``seed`` on, or a list."""
    seed = seed_of(seed, "--seed")
    if text is None:
        return (seed,)
    values = numbers(text, "--seeds", int)
    if "," in text:
        if seed != 0:
            raise ValueError("--seed goes with a number of --seeds, not with a list of them")
        return tuple(seed_of(value, "--seeds") for value in values)
    if values[0] < 1:
        raise ValueError(f"--seeds must be at least 1, got {values[0]}")
    if values[0] > MOST_SEEDS:
        raise ValueError(
            f"--seeds must be at most {MOST_SEEDS}, got {values[0]}; it is how many there are: for "
            f"one certain seed write --seed {values[0]}"
        )
    return tuple(range(seed, seed + values[0]))


def seed_of(value, option):
    """An integer that can be a seed."""
    if value < 0:
        raise ValueError(f"{option} must be at least 0, got {value}")
    return value


def classes(text):
    """Two labels as they are written, which finds numbers too; one in quotes may hold commas."""
    labels = []
    for found in LABEL.finditer(text):
        quoted, plain = found.groups()
        if quoted is not None:
            labels.append(quoted.replace('""', '"'))
        elif plain.strip():
            labels.append(plain.strip())
    if len(labels) != 2:
        raise ValueError(
            f"--classes needs two labels, such as 0,1; got {text!r}. A label with a comma goes in "
            "double quotes: '\"cat, black\",dog'"
        )
    return tuple(labels)
