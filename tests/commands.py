"""Commands of the command line, run in this process, and what they leave."""

import json

from typer.testing import CliRunner

from ntklin.apps.cli.app import app
from ntklin.apps.options.declared import read, single_options, typed_default

# Small problems: a study with its comparison, the same without it, and a mitigation.
STUDY = ("--n-train", "4", "--n-test", "3", "--width", "20", "--until", "0.01", "--sigma", "1,2")
SWEEP = (*STUDY, "--optimizer", "none")
MITIGATION = (
    *("--n-train", "4", "--n-val", "5", "--n-test", "3"),
    *("--width", "20", "--sigma", "2", "--min-sigma", "1", "--until", "0.01"),
)


def invoke(*words):
    """The command line's result for these words; its ``output`` is of both streams.

    What the command does not catch is raised here.
    """
    typed = [str(word) for word in words]
    return CliRunner().invoke(app, typed, prog_name="ntklin", catch_exceptions=False)


def results(folder):
    """What a command wrote of its numbers."""
    return json.loads((folder / "results.json").read_text("utf-8"))


def defaults(options):
    """What would be typed for the default of every option of a dataclass."""
    return {one.name: typed_default(one) for one in single_options(options)}


def typed(options, **texts):
    """Options of a dataclass as they are typed; the others are the defaults."""
    return read(options, defaults(options) | texts)
