"""From a command's dataclass of options to a command of the command line."""

from __future__ import annotations

from dataclasses import MISSING
from inspect import Parameter, Signature
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ntklin.apps.cli.failures import reported
from ntklin.apps.options.declared import read, single_options, typed_default
from ntklin.apps.options.shared import DebugOption

if TYPE_CHECKING:
    from ntklin.apps.options.declared import Single


def register(app: typer.Typer, name: str, command: ModuleType) -> None:
    """Add a command.

    Parameters
    ----------
    app : typer.Typer
    name : str
    command : module
        With its dataclass ``Options``; ``run(options)``, which returns the exit status or None;
        and the texts ``HELP`` and ``EXAMPLES``. All but ``run`` loads nothing heavy.
    """

    def call(debug: bool, **typed: Any) -> NoReturn:
        with reported(debug):
            status = command.run(read(command.Options, typed))
        raise typer.Exit(status or 0)

    options = (*single_options(command.Options), *single_options(DebugOption))
    call.__signature__ = Signature(list(map(_parameter, options)))
    examples = "\n\n".join(f"    {line}" for line in command.EXAMPLES)
    app.command(
        name,
        help=command.HELP,
        epilog=f"[bold]Examples[/bold]\n\n{examples}" if command.EXAMPLES else None,
    )(call)


def _parameter(one: Single) -> Parameter:
    """An option as the parameter that typer makes it of."""
    option, flag = one.option, one.option.flag_of(one.name)
    kind = one.kind
    if option.read:
        kind = str | None if one.default is None else str
    if option.is_argument:
        info = typer.Argument(metavar=option.metavar, help=option.help)
    else:
        turns_off = option.also.startswith("--no-")
        flags = [f"{flag}/{option.also}"] if turns_off else filter(None, [flag, option.also])
        # An empty metavar: some versions of typer would print ``<bool>`` behind a flag.
        info = typer.Option(
            *flags, metavar=option.metavar, rich_help_panel=option.panel, help=option.help
        )
    default = typed_default(one)
    return Parameter(
        one.name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if default is MISSING else default,
        annotation=Annotated[kind, info],
    )
