"""PyTorch and JAX on the same GPU, where they are installed for it.

Both as their users would: ``torch.func`` and ``jax.vmap(jax.grad)`` for Jacobians and their
contraction for the Gram matrix, eager ``torch.optim`` and a jitted step for training. Their arrays
are copies of the problem's; each waits for its own library.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks.cases import SIGMA, Problem
from ntklin.validation.benchmarks.gates import GATE_STEPS
from ntklin.validation.benchmarks.plain import Reference
from ntklin.validation.benchmarks.way import Way

# The most bytes of a Jacobian that a Gram matrix is contracted from.
MOST_BYTES = 1 << 33
STEPS = 100


class Library:
    """The network in a library's arrays.

    Parameters
    ----------
    problem : Problem
        With NumPy arrays.
    put, relu, join : callable
        The library's: an array on the device, max(h, 0), arrays one below the other.
    """

    def __init__(
        self,
        problem: Problem,
        put: Callable[..., Any],
        relu: Callable[..., Any],
        join: Callable[..., Any],
    ) -> None:
        self.w = [SIGMA / len(W) ** 0.5 for W, _ in problem.layers]  # v_l = σ
        self.X, self.Y, self.X_test = map(put, (problem.X, problem.Y, problem.X_test))
        self.flat = tuple(put(part) for layer in problem.layers for part in layer)
        self.relu, self.join = relu, join

    def apply(self, flat: Any, X: Any) -> Any:
        """f(X), for X of shape (…, d)."""
        a = X
        for l, w in enumerate(self.w):
            h = w * (a @ flat[2 * l].T) + SIGMA * flat[2 * l + 1]
            a = self.relu(h)
        return h[..., 0]

    def outputs(self, flat: Any) -> Any:
        """f on training and test inputs."""
        return self.apply(flat, self.join([self.X, self.X_test]))


class Torch(Library):
    """PyTorch's own way.

    Parameters
    ----------
    problem : Problem
    device : str
    """

    name = "torch.func"

    def __init__(self, problem: Problem, device: str = "cuda") -> None:
        import torch  # pyright: ignore[reportMissingImports]

        self.torch, self.device = torch, device
        # True float32, as everywhere here.
        torch.backends.cuda.matmul.allow_tf32 = False
        super().__init__(problem, partial(torch.as_tensor, device=device), torch.relu, torch.cat)

    @staticmethod
    def available() -> bool:
        """Whether there is one for CUDA."""
        try:
            import torch  # pyright: ignore[reportMissingImports]
        except ImportError:
            return False
        return torch.cuda.is_available()

    def finish(self) -> None:
        """Wait for the GPU."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def host(self, a: Any) -> Array:
        """A tensor as NumPy array."""
        return a.detach().cpu().numpy()

    def jacobian(self) -> Any:
        """J by vmap(grad)."""
        func = self.torch.func
        parts = func.vmap(func.grad(self.apply), (None, 0))(self.flat, self.X)
        return self.torch.cat([part.reshape(len(self.X), -1) for part in parts], dim=1)

    def train(self, name: str, rate: float, steps: int) -> Any:
        """The parameters after some eager steps on ½ mean (f − Y)²."""
        flat = [part.clone().requires_grad_() for part in self.flat]
        optim = self.torch.optim
        kind = {"descent": optim.SGD, "adagrad": optim.Adagrad, "adam": optim.Adam}[name]
        optimizer = kind(flat, lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            (((self.apply(flat, self.X) - self.Y) ** 2).mean() / 2).backward()
            optimizer.step()
        return flat


class Jax(Library):
    """JAX's own way; the arguments are those of :class:`Torch`."""

    name = "jax"

    def __init__(self, problem: Problem, device: str = "gpu") -> None:
        # Else it takes three quarters of the memory for itself.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax  # pyright: ignore[reportMissingImports]

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")
        put = partial(jax.device_put, device=jax.devices(device)[0])
        super().__init__(problem, put, lambda h: jax.numpy.maximum(h, 0), jax.numpy.concatenate)
        self.jax = jax
        gradient = jax.vmap(jax.grad(self.apply), (None, 0))

        def jacobian(flat: Any, X: Any) -> Any:
            parts = gradient(flat, X)
            return jax.numpy.concatenate([part.reshape(len(X), -1) for part in parts], axis=1)

        self._jacobian = jax.jit(jacobian)
        self._step = jax.jit(self._unjitted_step, static_argnums=3)

    @staticmethod
    def available() -> bool:
        """Whether there is one for CUDA."""
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        try:
            import jax  # pyright: ignore[reportMissingImports]

            return bool(jax.devices("gpu"))
        except (ImportError, RuntimeError):
            return False

    def finish(self) -> None:
        """Nothing: whoever asks for a result waits for it."""

    def host(self, a: Any) -> Array:
        """An array as NumPy's."""
        return np.asarray(a)

    def jacobian(self) -> Any:
        """J by a jitted vmap(grad)."""
        return self._jacobian(self.flat, self.X).block_until_ready()

    def _unjitted_step(
        self, flat: Any, slots: Any, count: float, name: str, rate: float
    ) -> tuple[Any, Any]:
        sqrt = self.jax.numpy.sqrt

        def loss(flat: Any) -> Any:
            return ((self.apply(flat, self.X) - self.Y) ** 2).mean() / 2

        moved, kept = [], []
        for part, (mean, square), g in zip(flat, slots, self.jax.grad(loss)(flat), strict=True):
            if name == "descent":
                step = g
            elif name == "adagrad":
                square = square + g * g
                step = g / (sqrt(square) + 1e-10)
            else:
                mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
                root = sqrt(square / (1 - 0.999**count)) + 1e-8
                step = mean / (1 - 0.9**count) / root
            moved.append((part - rate * step).astype(part.dtype))
            kept.append((mean.astype(part.dtype), square.astype(part.dtype)))
        return tuple(moved), kept

    def train(self, name: str, rate: float, steps: int) -> Any:
        """The parameters after some jitted steps on ½ mean (f − Y)²."""
        flat = self.flat
        slots = [(self.jax.numpy.zeros_like(p), self.jax.numpy.zeros_like(p)) for p in flat]
        for count in range(1, steps + 1):
            flat, slots = self._step(flat, slots, float(count), name, rate)
        return tuple(part.block_until_ready() for part in flat)


def ways(
    problem: Problem,
    reference: Reference,
    libraries: Sequence[type[Torch] | type[Jax]] = (Torch, Jax),
) -> dict[str, dict[tuple[str, str], Way]]:
    """``{library: {(work, variant): Way}}`` of those that are installed for CUDA.

    The problem has NumPy arrays.

    Returns
    -------
    dict
    """
    there = [kind(problem) for kind in libraries if kind.available()]
    return {library.name: ways_of(library, problem, reference) for library in there}


def ways_of(
    library: Torch | Jax, problem: Problem, reference: Reference
) -> dict[tuple[str, str], Way]:
    """One library's: a J beyond MOST_BYTES is left out, and all that takes it."""
    found = {}
    if problem.n * len(problem.theta) * problem.dtype.itemsize <= MOST_BYTES:

        def gram() -> Any:
            J = library.jacobian()
            return J @ J.T

        for key, run in ((("jacobian", "fresh"), library.jacobian), (("gram", ""), gram)):
            probe = partial(_on_host, library, run)
            found[key] = Way(run=run, probe=probe, finish=library.finish)
    for work, rule in RULES.items():
        rate = reference.learning_rate if rule == "descent" else problem.adaptive_rate
        train = partial(library.train, rule, rate)
        probe = partial(_on_host, library, lambda train=train: library.outputs(train(GATE_STEPS)))
        run = partial(train, STEPS)
        found[work, ""] = Way(run=run, count=STEPS, probe=probe, finish=library.finish)
    return found


def _on_host(library: Torch | Jax, run: Callable[[], Any]) -> Array:
    return library.host(run())


RULES = {"gd_step": "descent", "adagrad_step": "adagrad", "adam_step": "adam"}
