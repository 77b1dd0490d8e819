"""What ntklin holds itself to: ratios in one run, to peers and to the machine's limits."""

from dataclasses import dataclass

from ntklin.validation.benchmarks.peers import Peer

CHUNKED = (
    *(Peer("JAX", f"chunked{size}") for size in (4, 8, 40)),
    Peer("NumPy", "chunked"),
    Peer("NumPy AVX-512", "chunked"),
    Peer("torch", "chunked8"),
    Peer("torch", "chunked2r"),
)
STRUCTURED = tuple(
    Peer(library, "structured") for library in ("JAX", "NumPy", "NumPy AVX-512", "torch")
)
STEPS = (Peer("JAX", "jit_sgd"), Peer("torch", "eager_sgd"), Peer("torch", "compile_sgd"))
ADAGRAD, ADAM = (
    (Peer("JAX", f"jit_{name}"), Peer("torch", f"eager_{name}"), Peer("torch", f"compile_{name}"))
    for name in ("adagrad", "adam")
)
LINEARIZED = (Peer("torch", "structured"), Peer("JAX", "linearize"))
DENSE = (Peer("JAX", "dense"), Peer("torch", "dense"))
NT_STRUCTURED = (Peer("neural-tangents", "nt3"),)
NT_ANALYTIC = (Peer("neural-tangents", "nt"),)
VMAP = (Peer("torch", "vmap_grad"),)
VMAP_HUGE = (Peer("torch, huge pages", "vmap_grad"),)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A row of the target table.

    Attributes
    ----------
    work, variant, case, dtype, inputs : str
    n : int
    against : {"peers", "gemm", "gemm unskipped", "fill", "factorize", "parts"}
        What the measured rate or time is divided by: the best of ``peers``, the limit of matrix
        products (for the flops done, or as if no use were made of zeros) or of writing, or the time
        of the factorization, or of the parts that the work is made of.
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
    peers: tuple = ()
    least: float | None = None

    @property
    def group(self):
        """The targets with the same group share the processes of their peers."""
        return self.work, self.case, self.dtype, self.n


def _table():
    weighted = {"work": "weighted_gram", "n": 100, "peers": CHUNKED}
    yield Target(**weighted, case="A", least=6)
    # The peers' work is dense, so that their time on Gaussian inputs is that on any inputs.
    yield Target(**weighted, case="A", inputs="mnist", least=12)
    yield Target(**weighted, case="B", least=4)
    for case in "AB":
        gram = {"work": "gram", "n": 1000, "case": case}
        yield Target(**gram, peers=STRUCTURED, least=1.5)
        yield Target(**gram, peers=NT_STRUCTURED, least=4)
        yield Target(**gram, against="gemm", least=0.85)
        yield Target(**gram, against="gemm unskipped")
    jacobian = {"work": "jacobian", "n": 100, "case": "A"}
    given, fresh = jacobian | {"variant": "into out"}, jacobian | {"variant": "fresh"}
    yield Target(**given, against="fill", least=0.9)
    yield Target(**given, peers=(Peer("torch", "structured"),), least=1)
    yield Target(**given, peers=VMAP, least=15)
    yield Target(**fresh, peers=(Peer("torch", "structured_alloc"),), least=1)
    yield Target(**fresh, peers=(Peer("torch, huge pages", "structured_alloc"),))
    yield Target(**fresh, peers=VMAP)
    yield Target(**fresh, peers=VMAP_HUGE)
    step = {"work": "gd_step", "n": 100, "peers": STEPS}
    yield Target(**step, case="A", least=6)
    yield Target(**step, case="A", dtype="float32", least=3)
    yield Target(**step, case="B", least=1.3)
    for work, peers in (("adagrad_step", ADAGRAD), ("adam_step", ADAM)):
        for dtype in ("float64", "float32"):
            step = {"work": work, "case": "A", "n": 100, "dtype": dtype, "peers": peers}
            yield Target(**step, least=1.5)
            yield Target(**step, inputs="mnist", least=4)
    for dtype in ("float64", "float32"):
        step = {"work": "linearized_step", "case": "A", "n": 100, "dtype": dtype}
        yield Target(**step, peers=LINEARIZED, least=3)
        yield Target(**step, peers=LINEARIZED, inputs="mnist", least=8)
        yield Target(**step, peers=DENSE, least=30)
    for inputs in ("gaussian", "mnist"):
        split = {"work": "split", "variant": "A_t", "case": "A", "n": 100, "inputs": inputs}
        yield Target(**split, against="parts", least=1 / 1.2)
    for case in "AB":
        yield Target(work="infinite", case=case, n=1000, peers=NT_ANALYTIC, least=3)
    for case in "AB":
        for inputs in ("gaussian", "mnist"):
            yield Target(
                work="closed_form",
                variant="queries",
                case=case,
                n=1000,
                inputs=inputs,
                against="factorize",
                least=1,
            )


TARGETS = tuple(_table())
