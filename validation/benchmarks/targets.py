"""What ntklin holds itself to: ratios in one run, to peers and to the machine's limits."""

from dataclasses import dataclass
from itertools import product

from ntklin.validation.benchmarks.cases import Group
from ntklin.validation.benchmarks.peers import Peer


@dataclass(frozen=True, kw_only=True)
class Target:
    """A row of the target table.

    Attributes
    ----------
    work, variant, case, dtype, inputs : str
    n : int
    against : {"peers", "hand", "gemm", "gemm unskipped", "fill", "factorize", "parts"}
        What the measured rate or time is divided by: the best of ``peers``, NumPy by hand, the
        limit of matrix products (for the flops done, or as if no use were made of zeros) or of
        writing, or the time of the factorization, or of the parts that the work is made of.
    peers : tuple of Peer
    least : float or None
        The ratio to reach; None where it is shown for context.
    """

    work: str
    case: str
    n: int
    variant: str = ""
    dtype: str = "float64"
    inputs: str = "gaussian"
    against: str = "peers"
    peers: tuple[Peer, ...] = ()
    least: float | None = None

    @property
    def group(self) -> Group:
        """The targets with the same group share the processes of their peers."""
        return self.work, self.case, self.dtype, self.n


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The same target in several cases, dtypes and inputs: see ``Target``.

    Attributes
    ----------
    cases, dtypes, inputs : sequence of str
    n : int, optional
        The work's largest when not given.
    """

    least: float | None
    peers: tuple[Peer, ...] = ()
    against: str = "peers"
    variant: str = ""
    cases: tuple[str, ...] = ("A",)
    dtypes: tuple[str, ...] = ("float64",)
    inputs: tuple[str, ...] = ("gaussian",)
    n: int | None = None

    def targets(self, work: str, n: int) -> list[Target]:
        """Of a work that is done with N up to ``n``."""
        shared = {"peers": self.peers, "against": self.against, "variant": self.variant}
        return [
            Target(work=work, n=self.n or n, least=self.least, case=c, dtype=d, inputs=i, **shared)
            for c, d, i in product(self.cases, self.dtypes, self.inputs)
        ]
