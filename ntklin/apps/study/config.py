"""What an initialization study computes, fixed before it starts."""

from dataclasses import dataclass
from functools import cached_property

from ntklin.algebra.spectrum import as_rank_cut
from ntklin.apps.study.methods import as_method_names
from ntklin.data import Dataset
from ntklin.edge.backends import device_namespace
from ntklin.edge.checks import as_count, as_flag, as_positive
from ntklin.edge.files.names import shown
from ntklin.networks.mlp import MLP
from ntklin.runs.batches import Batches

DTYPES = ("float64", "float32")
PATIENCE = 10
DEFAULT_SIGMAS = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
# The fewest steps that an adaptive method may take where gradient descent is done sooner.
LEAST_HORIZON = 1000


def default_hidden_widths(depth):
    """The paper's widths (Fig. 2): 4000 for L = 2; 2000 per hidden layer for deeper networks."""
    depth = as_count(depth, name="depth")
    return (4000 if depth == 2 else 2000,) * (depth - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyConfig:
    """One sweep over the initialization scale σ, and optimizers at one σ, on fixed data.

    Attributes
    ----------
    data : Dataset
    hidden_widths : tuple of int
        m_1, …, m_{L-1}.
    sigmas : tuple of float
        The scales σ, in the order in which they run.
    seeds : tuple of int
        One initialization each; for one seed all σ share the same Gaussian draw θ_0.
    scaling, bias : str
        As in ``MLP``.
    dtype : {"float64", "float32"}
    device : {"cpu", "gpu"}
        Where networks live and train.
    train : bool
        Whether real networks are trained, too.
    until : float
        Training stops when the loss first drops below this.
    rcond : float, optional
        Kernel eigenvalues ≤ rcond · λ_max are cut in the limits t → ∞, which inputs that are equal
        or parallel need; without it they are refused.
    max_steps : int, optional
        … or after so many steps; when not given, ten times as many as the linearized network takes:
        a network that needs more has left its linearization.
    optimizers : tuple of str
        What is compared at one σ, by the names in ``METHODS``; "gd" comes first.
    optimizer_sigma : float
        That σ, one of ``sigmas`` or another.
    split : float
        |B|/N of methods with mini-batches, whose seed is that of the initialization.
    """

    data: Dataset
    hidden_widths: tuple[int, ...] = default_hidden_widths(2)
    sigmas: tuple[float, ...] = DEFAULT_SIGMAS
    seeds: tuple[int, ...] = (0,)
    scaling: str = "fan_out"
    bias: str = "zero"
    dtype: str = "float64"
    device: str = "cpu"
    rcond: float | None = None
    train: bool = True
    until: float = 1e-5
    max_steps: int | None = None
    optimizers: tuple[str, ...] = ()
    optimizer_sigma: float = 0.5
    split: float = 0.1

    def __post_init__(self):
        if not isinstance(self.data, Dataset):
            raise TypeError(f"data must be an ntklin.Dataset, got {type(self.data).__name__}")
        if len(self.data.X_test) == 0:
            raise ValueError("the study measures test losses: it needs at least one test sample")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        device_namespace(self.device)  # refuses other names, and a GPU that is not there
        max_steps = self.max_steps
        checked = {
            "hidden_widths": tuple(self.hidden_widths),
            "sigmas": _distinct(self.sigmas, as_positive, "sigmas"),
            "seeds": _distinct(self.seeds, _as_seed, "seeds"),
            "rcond": as_rank_cut(self.rcond),
            "train": as_flag(self.train, name="train"),
            "until": as_positive(self.until, name="until"),
            "max_steps": None if max_steps is None else as_count(max_steps, name="max_steps"),
            "optimizers": as_method_names(self.optimizers),
            "optimizer_sigma": as_positive(self.optimizer_sigma, name="optimizer_sigma"),
            "split": Batches(self.split).split,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        net = self.network(self.sigmas[0])  # refuses bad widths, scalings and biases
        object.__setattr__(self, "hidden_widths", net.widths[1:-1])

    @property
    def depth(self):
        """The number of layers L."""
        return len(self.hidden_widths) + 1

    @property
    def widths(self):
        """m_0 = d, m_1, …, m_L = 1."""
        return (self.data.X_train.shape[1], *self.hidden_widths, 1)

    @cached_property
    def arrays(self):
        """X, Y, X_T, Y_T in the study's dtype, on its device."""
        data, xp = self.data, device_namespace(self.device)
        parts = (data.X_train, data.Y_train, data.X_test, data.Y_test)
        return tuple(xp.asarray(a.astype(self.dtype, copy=False)) for a in parts)

    def network(self, sigma):
        """The network with initialization scale σ."""
        return MLP(self.widths, sigma=sigma, scaling=self.scaling, bias=self.bias)

    def step_limit(self, predicted):
        """After how many steps training stops, where the linearized network takes ``predicted``."""
        return PATIENCE * max(predicted, 1) if self.max_steps is None else self.max_steps

    def horizon(self, predicted):
        """How many steps a trial of a learning rate has; gradient descent takes ``predicted``."""
        horizon = max(predicted, LEAST_HORIZON)
        return horizon if self.max_steps is None else min(horizon, self.max_steps)

    def describe(self):
        """The configuration as plain values, for reports."""
        return {
            "data": shown(self.data.name),
            "provenance": shown(self.data.provenance),
            "n_train": len(self.data.X_train),
            "n_test": len(self.data.X_test),
            "depth": self.depth,
            "widths": list(self.widths),
            "n_parameters": self.network(self.sigmas[0]).n_parameters,
            "scaling": self.scaling,
            "bias": self.bias,
            "sigmas": list(self.sigmas),
            "seeds": list(self.seeds),
            "dtype": self.dtype,
            "device": self.device,
            "rcond": self.rcond,
            "train": self.train,
            "until": self.until,
            "max_steps": self.max_steps,
            "optimizers": list(self.optimizers),
            "optimizer_sigma": self.optimizer_sigma,
            "split": self.split,
        }


def _distinct(values, check, name):
    """A non-empty tuple of checked, different values."""
    values = tuple(check(value, name=f"{name}[{i}]") for i, value in enumerate(values))
    if not values:
        raise ValueError(f"{name} is empty")
    repeated = sorted(value for value in set(values) if values.count(value) > 1)
    if repeated:
        raise ValueError(f"{name} contains {repeated[0]:g} more than once")
    return values


def _as_seed(value, *, name):
    return as_count(value, name=name, minimum=0)
