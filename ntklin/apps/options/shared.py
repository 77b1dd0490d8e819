"""The options that several commands share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from ntklin.apps.options import checks, reading
from ntklin.apps.options.option import CHANGED, NEVER, Option

# Far deeper than any network of this kind can be trained.
MOST_LAYERS = 10_000
DATA, NETWORK, TRAINING = "Data", "Network", "Training"

Source = Annotated[
    str,
    Option(
        metavar="NAME|PATH",
        panel=DATA,
        help="mnist01 or fashion01 (embedded), mnist or fashion_mnist (downloaded once), "
        "mnist_like or fashion_mnist_like (deformed images, as many as wanted), a folder of IDX "
        "files, or an .npz archive.",
    ),
]
Classes = Annotated[
    str,
    Option(
        metavar="LIST",
        panel=DATA,
        help="The classes, such as 3,8 or 0-9: two have the targets 0 and 1 of one output, more of "
        "them one-hot rows and an output each. Only whole numbers make a range, so that T-shirt is "
        "a label; one with a comma, or that reads like a range, goes in double quotes.",
    ),
]
TwoClasses = Annotated[
    str, Option(metavar="A,B", panel=DATA, help="The two classes; targets 0, 1.")
]
DataSeed = Annotated[
    int,
    Option(metavar="SEED", panel=DATA, help="Which points are drawn.", check=checks.seed),
]
Activation = Annotated[
    str,
    Option(
        metavar="NAME",
        panel=NETWORK,
        help="relu, leaky_relu, abs, erf, tanh, gelu, softplus, sigmoid or sin; with a number as "
        "'leaky_relu(0.2)'.",
        check=checks.activation,
    ),
]
Scaling = Annotated[
    str,
    Option(
        metavar="NAME",
        panel=NETWORK,
        help="fan_out (the paper's), fan_in (the usual NTK parametrization) or eq1 (Eq. 1 to "
        "the letter).",
        check=checks.scaling,
    ),
]
Bias = Annotated[
    str,
    Option(
        metavar="KIND",
        panel=NETWORK,
        help="zero (trained from 0), normal (trained from N(0, 1)) or none.",
    ),
]
Seed = Annotated[int, Option(metavar="SEED", panel=NETWORK, help="The initialization θ₀.")]
Precision = Annotated[
    str,
    Option(
        metavar="TYPE",
        panel=NETWORK,
        help="float64 or float32.",
        check=checks.one_of("float64", "float32"),
    ),
]
Device = Annotated[
    str,
    Option(
        metavar="NAME",
        panel=NETWORK,
        help="cpu or gpu (CUDA, by CuPy: pip install 'ntklin\\[gpu]').",
        check=checks.device,
        repeated=CHANGED,
    ),
]
Threads = Annotated[
    int | None,
    Option(metavar="N", help="Threads of Numba and BLAS. Default: all.", repeated=NEVER),
]
Quiet = Annotated[bool, Option(also="-q", help="Print errors only.", repeated=NEVER)]


@dataclass(frozen=True, kw_only=True)
class DebugOption:
    """What every command has."""

    debug: Annotated[bool, Option(help="Show the traceback of an error.", repeated=NEVER)] = False


def points(kind: str, check: checks.Check | None = None) -> Option:
    """The option of a number of points, ``kind`` being what they are for."""
    return Option(metavar="N", panel=DATA, help=f"{kind} points.", check=check)


def folder(content: str) -> Option:
    """The option of the output folder; ``content`` is what goes there."""
    return Option(metavar="FOLDER", help=f"Where {content}.", repeated=NEVER)


def until(check: checks.Check | None = None) -> Option:
    """The option of the training loss at which training ends."""
    return Option(
        metavar="LOSS",
        panel=TRAINING,
        help="Stop below this training loss.",
        write=repr,
        check=check,
    )


def hidden_width(usual: tuple[int, int]) -> Option:
    """The option --width; ``usual`` are the widths for depth 2 and for deeper networks."""
    return Option(
        metavar="M|LIST",
        panel=NETWORK,
        help="Hidden width, one for all layers or one each. "
        f"Default: {usual[0]} for depth 2, else {usual[1]}.",
        read=reading.integers,
        write=reading.listed,
    )


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """The options that the hidden widths m_1, …, m_{L-1} are typed with."""

    USUAL: ClassVar[tuple[int, int]]

    depth: Annotated[int, Option(metavar="L", panel=NETWORK, help="Layers, output included.")] = 2
    width: tuple[int, ...] | None = None

    @classmethod
    def usual(cls, depth: int) -> tuple[int, ...]:
        """The hidden widths of a network of this depth, where none are given."""
        depth = checks.count(depth, "depth")
        checks.count_up_to(MOST_LAYERS)(depth, "--depth")
        return (cls.USUAL[depth > 2],) * (depth - 1)

    def value(self) -> tuple[int, ...]:
        """The hidden widths; one number serves for all layers."""
        usual = self.usual(self.depth)
        if self.width is None:
            return usual
        if len(self.width) == 1:
            return self.width * len(usual)
        if len(self.width) != len(usual):
            raise ValueError(
                f"--width lists {len(self.width)} layers, but --depth {self.depth} has "
                f"{len(usual)} hidden layer{'' if len(usual) == 1 else 's'}"
            )
        return self.width

    @staticmethod
    def check(widths: Iterable[int], name: str) -> tuple[int, ...]:
        """Any sequence; the network refuses bad widths."""
        return tuple(widths)

    @staticmethod
    def words(widths: Sequence[int]) -> list[str]:
        """The words that give these widths again."""
        depth = ["--depth", str(len(widths) + 1)]
        return [*depth, "--width", reading.listed(widths)] if widths else depth
