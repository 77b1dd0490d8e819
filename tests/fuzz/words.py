"""Every option of the command line with hostile words; what they let pass is not computed."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from commands import invoke
from hypothesis import strategies as st

from fuzz.outcomes import DEPTHS, NAMED, RESULT, UNNAMED, Verdict, told
from fuzz.places import FAR, NAMES, prepare
from ntklin.apps.cli.app import COMMANDS
from ntklin.apps.options.declared import single_options
from ntklin.apps.options.shared import DebugOption

WORDS = (
    *(
        "",
        " ",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "-0",
        "+1",
        "00",
        "1.0",
        "1.5",
        "0.5",
        "1e3",
        "1e-3",
        ".5",
    ),
    *(
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "1e309",
        "-1e309",
        "1e-400",
        "5e-324",
        "0x10",
        "1_0",
    ),
    *(
        "9" * 40,
        "-" + "9" * 40,
        "1e40",
        "١",
        "１",
        "½",
        "1,",
        ",1",
        ",",
        ",,",
        "1,2",
        "1,1",
        "1, 2",
    ),
    *(
        "0,1",
        "1,0",
        "0-1",
        "1-0",
        "0-9",
        "0-1000000",
        "5-5",
        "-1-2",
        "a",
        "a,b",
        "a b",
        "A,B",
        "1,x",
    ),
    *(
        "none",
        "None",
        "NONE",
        "true",
        "True",
        "False",
        "auto",
        "all",
        "default",
        "cpu",
        "gpu",
        "CPU",
    ),
    *("float32", "float64", "float16", "relu", "ReLU", "leaky_relu(0.2)", "leaky_relu(", "relu()"),
    *("leaky_relu(nan)", "leaky_relu(1e999)", "tanh", "sigmoid(3)", "fan_in", "eq1", "standard"),
    *(
        "zero",
        "normal",
        "gd",
        "adam",
        "gd,adam",
        "sgd+momentum",
        "adam,adam",
        "lion",
        "packed",
        "pcg",
    ),
    *("quick", "standard", "paper", "decay", "moments", "11", "theorem3", "THEOREM3", "lemma1"),
    *(
        "warmup:3",
        "cosine:5",
        "step:2:0.5",
        "warmup:",
        "cosine:x",
        "step:0:1",
        "warmup:3*",
        "*",
        ":",
    ),
    *("warmup:-1", "cosine:1e3", "step:2:nan", "warmup:3*cosine:5", "step:1:2:3", "warmup:9e99"),
    *("mnist01", "fashion01", "mnist_like", "mnst01", "MNIST01", ".", "no/such", "x.npz", "a/b/c"),
    *(
        "x" * 300,
        "x" * 5000,
        "x/" * 200,
        "é",
        "日本",
        "\udcff",
        "σ",
        "\x1b[2J",
        "a\nb",
        "\t",
        "\u202e",
    ),
    *(
        "%s",
        "{}",
        "{0}",
        "[red]",
        "[/red]",
        ":bomb:",
        "'",
        '"',
        '"0,1",2',
        '"',
        "$(id)",
        "`id`",
        ";",
    ),
    *(
        "--",
        "-",
        "---",
        "=",
        "@x",
        "--out",
        "--help",
        "-h",
        "--quiet",
        "tcp://",
        "tcp://x",
        "1-",
        "-x",
    ),
    *("9" * 5000, "-" + "9" * 5000, "1e5000", "0." + "0" * 5000 + "1", "1" + ",1" * 5000),
    *("0-" + "9" * 40, "9" * 40 + "-0", "0--1", "1e1-3", "0b1", "0o7", "1__0", "+nan", "-nan"),
    *("infinity,1", "1,inf", "5e-324,1", "1.7e308", "1j", "1+1j", "1/2", "50%", "1 000", "1'000"),
    *("softplus(0)", "sin(1e308)", "gelu(", "abs()", "erf", "relu,relu", "module:x", "lambda x: x"),
    *("mnist01.npz", "file:///etc/passwd", "http://x", "s3://x/y", "\\\\x\\y", "c:\\x", "nul"),
    *(
        "\ufeff1",
        "\u200b1",
        "1\u00a0",
        "\u2212" + "1",
        "\u0661\u0662",
        "\r",
        "\x7f",
        "a\tb",
        "\U0001f4a5",
    ),
)
# Smallest problems, without what is computed.
SMALL = {
    "minimizer": ("--n-train", "4", "--n-test", "3", "--width", "9", "--sigma", "1"),
    "mitigate": ("--n-train", "4", "--n-val", "3", "--n-test", "3", "--width", "9"),
    "scale": ("--n", "12", "--n-test", "3", "--width", "9"),
    "verify": ("--quick",),
    "figure": ("--scale", "quick"),
    "bench": ("--quick",),
    "info": (),
}
ARGUMENTS = {"figure": ("2",), "verify": ("lemma3",)}
# Where the work begins.
WORK = (
    "ntklin.apps.study.scale_results",
    "ntklin.recipes.mitigation.algorithm._Search.descend",
    "ntklin.apps.scale.plans.plans",
    "ntklin.validation.theorems.run",
    "ntklin.validation.figures.executors.local",
    "ntklin.validation.figures.executors.dask",
    "ntklin.validation.figures.results",
    "ntklin.validation.benchmarks.benchmark.Benchmark.run",
    "ntklin.apps.cli.environment.everything",
    "ntklin.data.download.download",
)
# Integers that are allowed, and only take long.
LONG = {
    "--width": 1000,
    "--depth": 200,
    "--n-train": 5000,
    "--n": 300,
    "--n-test": 300,
    "--seeds": 10,
}
REFUSED = 2
# Options that name a place.
PLACES = ("out", "data", "dataset", "peers", "peer_scripts")


class Reached(BaseException):
    """The options are fine, and the work would begin."""


class Line(NamedTuple):
    """Words of the command line."""

    command: str
    hostile: tuple[str, ...]

    @property
    def label(self):
        """How it is called in reports."""
        return f"{self.command}({', '.join(word[:60] for word in self.hostile)})"

    def __repr__(self):
        return f"{self.command} {self.hostile!r}"

    def judged(self) -> Verdict:
        """What comes of it."""
        return judged(self.command, self.hostile)


def options_of(command):
    """The options of a command, with that of all commands."""
    return [*single_options(COMMANDS[command].Options), *single_options(DebugOption)]


def is_long(flag, word):
    """Whether a number would be fine, and take too long."""
    try:
        largest = max(int(part) for part in word.split(","))
    except ValueError:
        return False
    return flag in LONG and LONG[flag] < largest < 10**12


@st.composite
def lines(draw, command=None):
    """A command with one or two hostile options.

    Parameters
    ----------
    command : str, optional

    Returns
    -------
    Line
    """
    command = command or draw(st.sampled_from(sorted(COMMANDS)))
    found = []
    for one in draw(st.lists(st.sampled_from(options_of(command)), min_size=1, max_size=3)):
        flag = one.option.flag_of(one.name)
        if one.kind is bool:
            found.append(draw(st.sampled_from([*filter(None, (flag, one.option.also))])))
            continue
        is_place = one.name in PLACES
        word = draw(at_places() if is_place else words()).replace("\0", "")
        if not is_admitted(flag, word, is_place):
            continue
        if one.option.is_argument:
            found.append(word)
        else:
            found += draw(st.sampled_from([[f"{flag}={word}"], [flag, word], [flag, word] * 2]))
    stray = draw(st.integers(0, 9))
    if stray < 2:  # what no option is, and where a word is missing
        found.insert(draw(st.integers(0, len(found))), draw(strays()))
    return Line(command, tuple(found))


def grid(number):
    """One option with each listed word, both ways to write it; one command with each as a stray.

    Parameters
    ----------
    number : int
        Of the option, among all of all commands; beyond the last there is none.

    Yields
    ------
    Line
    """
    for command, one in places()[number : number + 1]:
        if one is None:
            yield from (Line(command, (word,)) for word in WORDS)
            continue
        flag = one.option.flag_of(one.name)
        if one.kind is bool:
            yield from (Line(command, (word,)) for word in (flag, one.option.also) if word)
            continue
        is_place = one.name in PLACES
        for word in (*WORDS, *NAMES, *FAR) if is_place else WORDS:
            if is_admitted(flag, word, is_place):
                both = [(word,)] if one.option.is_argument else [(f"{flag}={word}",), (flag, word)]
                yield from (Line(command, found) for found in both)


def places():
    """Each command's options, and None for what is none."""
    return [(command, one) for command in sorted(COMMANDS) for one in (*options_of(command), None)]


def is_admitted(flag, word, is_place):
    """Whether a word leads to no long work, and to no place outside of the tests' own folder."""
    outside = is_place and word.startswith(("/", "~", "..")) and word not in FAR
    return not outside and not is_long(flag, word)


def words():
    """Words in an option's place."""
    return st.one_of(st.sampled_from(WORDS), st.text(max_size=6), numbers())


def at_places():
    """Words in the place of a file's or folder's name."""
    return st.one_of(st.sampled_from((*NAMES, *FAR)), words())


def strays():
    """Words that nobody asked for."""
    return st.one_of(st.sampled_from(WORDS), st.text(max_size=4).map("--{}".format)).map(
        lambda word: word.replace("\0", "")
    )


def numbers():
    """Numbers as they are written."""
    return st.one_of(st.integers().map(str), st.floats().map(repr))


@contextlib.contextmanager
def no_work():
    """Every work ends where it would begin; files go into a folder that is gone behind."""
    before = os.getcwd()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        prepare(folder)
        for name in WORK:
            stack.enter_context(mock.patch(name, side_effect=Reached))
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def judged(command, hostile):
    """What comes of a command line; to be called within :func:`no_work`.

    Parameters
    ----------
    command : str
    hostile : sequence of str

    Returns
    -------
    Verdict
    """
    flags = {word.partition("=")[0] for word in hostile}
    given = [word for word in SMALL[command]]
    words = [command, *ARGUMENTS.get(command, ()), *given, *hostile]
    try:
        done = invoke(*words)
    except Reached:
        return Verdict(RESULT)
    except Exception as e:
        debug = "--debug" in flags
        return Verdict(
            NAMED if debug and isinstance(e, ValueError | TypeError | OSError) else DEPTHS, told(e)
        )
    if done.exit_code == 0:
        return Verdict(RESULT)
    text = done.output.strip()
    if done.exit_code != REFUSED or not text:
        return Verdict(DEPTHS, f"exit code {done.exit_code}: {text[:200]}")
    is_usage = "Error" in text and ("Usage:" in text or "requires an argument" in text)
    if not is_usage and (not text.startswith("error: ") or "\n" in text):
        return Verdict(UNNAMED, f"not one line: {text[:300]!r}")
    return Verdict(NAMED, text[:200])
