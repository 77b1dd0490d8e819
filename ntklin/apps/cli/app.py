"""The command line: its commands, by name."""

from typing import Annotated

import typer

from ntklin._version import __version__
from ntklin.apps.cli import bench, figure, info, minimizer, mitigate, scale, verify
from ntklin.apps.cli.registering import register

COMMANDS = {
    "minimizer": minimizer,
    "mitigate": mitigate,
    "scale": scale,
    "verify": verify,
    "figure": figure,
    "bench": bench,
    "info": info,
}

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def show_version(wanted: bool) -> None:
    """Print the version and end, if that is wanted."""
    if wanted:
        typer.echo(f"ntklin {__version__}")
        raise typer.Exit


@app.callback()
def ntklin(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, metavar="", help="Show the version."
        ),
    ] = False,
) -> None:
    """Which of its many global minima does an overparametrized ReLU network converge to?

    Exact answers for wide networks and gradient descent, beside real networks.
    """  # noqa: D400


for name, command in COMMANDS.items():
    register(app, name, command)
