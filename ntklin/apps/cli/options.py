"""The options that several commands share."""

from typing import Annotated

import typer


def flag(*names, **settings):
    """An option without a value; some versions of typer would print ``<bool>`` behind it."""
    return typer.Option(*names, metavar="", **settings)


def hidden_width(default):
    """The option --width, whose default depends on the command."""
    return Annotated[
        str | None,
        typer.Option(
            metavar="M|LIST",
            rich_help_panel="Network",
            help=f"Hidden width, one for all layers or one each. Default: {default}.",
        ),
    ]


Debug = Annotated[bool, flag("--debug", help="Show the traceback of an error.")]
Threads = Annotated[
    int | None, typer.Option(metavar="N", help="Threads of Numba and BLAS. Default: all.")
]
Quiet = Annotated[bool, flag("--quiet", "-q", help="Print errors only.")]
Data = Annotated[
    str,
    typer.Option(
        metavar="NAME|PATH",
        rich_help_panel="Data",
        help="mnist01 or fashion01 (embedded), mnist or fashion_mnist (downloaded once), "
        "a folder of IDX files, or an .npz archive.",
    ),
]
Classes = Annotated[
    str,
    typer.Option(metavar="A,B", rich_help_panel="Data", help="The two classes; targets 0, 1."),
]
TrainingPoints = Annotated[
    int, typer.Option(metavar="N", rich_help_panel="Data", help="Training points.")
]
TestPoints = Annotated[int, typer.Option(metavar="N", rich_help_panel="Data", help="Test points.")]
DataSeed = Annotated[
    int, typer.Option(metavar="SEED", rich_help_panel="Data", help="Which points are drawn.")
]
Depth = Annotated[
    int, typer.Option(metavar="L", rich_help_panel="Network", help="Layers, output included.")
]
Scaling = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel="Network",
        help="fan_out (the paper's), fan_in (the usual NTK parametrization) or eq1 (Eq. 1 to "
        "the letter).",
    ),
]
Bias = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        rich_help_panel="Network",
        help="zero (trained from 0), normal (trained from N(0, 1)) or none.",
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="SEED", rich_help_panel="Network", help="The initialization θ₀.")
]
Precision = Annotated[
    str,
    typer.Option(metavar="TYPE", rich_help_panel="Network", help="float64 or float32."),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel="Network",
        help="cpu or gpu (CUDA, by CuPy: pip install 'ntklin\\[gpu]').",
    ),
]
Until = Annotated[
    float,
    typer.Option(metavar="LOSS", rich_help_panel="Training", help="Stop below this training loss."),
]
