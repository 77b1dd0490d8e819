"""Steps of the linearized network under any optimizer's rule: the displacement Δ = θ − θ_0.

The features are those at θ_0 throughout: a step takes the weighted loss derivatives s_n, those of
the loss at the outputs times the samples' weights, moves Δ by the rule along φ(X)^T s, and returns
the new φ(X) Δ. Each layer does so on its own, and each parameter passes through the cache once.
One output and ReLU have ways of their own through the last two layers.
"""

import numpy as np

from ntklin.kernels.cpu.aligned import Aligned, aligned_empty
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.linearized_blocks import LinearizedBlocks
from ntklin.kernels.cpu.linearized_slopes import LinearizedOutputs, LinearizedSlopes
from ntklin.kernels.cpu.linearized_tiles import LinearizedTiles
from ntklin.kernels.cpu.rules import SLOTS, Step, WithSlots, apply_step, step_of, with_slots
from ntklin.kernels.cpu.sums import add_scaled, clear_rows, dot

# Weights of a task: fixed, so that the sums over tasks do not depend on the number of threads.
CHUNK = 256


@parallel_kernel
def _output_step(task, A, s, step: Step, vector: WithSlots, parts):
    """Gradient A s, the rule, and parts[task] = Σ_k W_k A_k over each task's weights k."""
    W = vector.theta
    start = task * CHUNK
    stop = min(start + CHUNK, A.shape[0])
    gradient = np.empty(stop - start, A.dtype)
    for k in range(start, stop):
        gradient[k - start] = dot(s, A, k)
    apply_step(step, vector, start, gradient, np.int64(0), stop - start)
    clear_rows(parts, task, task + 1)
    for k in range(start, stop):
        add_scaled(parts, task, A, k, W[k])


class LinearizedOutput(Aligned):
    """The output layer of a linearized network, whose features are its inputs (w a, v).

    Parameters
    ----------
    a : ndarray, shape (N, K)
    w, v : float
    has_bias : bool
    rule : str
    """

    def __init__(self, a, w, v, has_bias, rule):
        n, k = a.shape
        self._A = aligned_empty((k + has_bias, n), a.dtype)
        self._A[:k] = a.dtype.type(w) * a.T
        if has_bias:
            self._A[k] = v
        theta, *slots = (np.zeros(len(self._A), a.dtype) for _ in range(1 + SLOTS[rule]))
        self._vector = with_slots(theta, slots)
        self._parts = np.empty((-(-len(self._A) // CHUNK), n), a.dtype)

    def take(self, step, s, changes):
        """One step with the weighted loss derivatives s; adds φ Δ after it to ``changes``, (N,)."""
        _output_step[len(self._parts)](self._A, s, step, self._vector, self._parts)
        changes += self._parts.sum(axis=0)

    def read(self, layer, slots):
        """Take Δ and the slots from pairs (W, b), as ``write`` wrote them."""
        for (W, b), target in zip((layer, *slots), self._vector, strict=False):
            target[: W.shape[1]] = W[0]
            if b is not None:
                target[-1] = b[0]

    def write(self, layer, slots):
        """Write Δ and the slots to pairs (W, b)."""
        for (W, b), source in zip((layer, *slots), self._vector, strict=False):
            W[0] = source[: W.shape[1]]
            if b is not None:
                b[0] = source[-1]


class LinearizedNetwork:
    """Δ = 0 at first, with the optimizer's slots, in the layouts of the layers' fused steps.

    Parameters
    ----------
    passes : Passes
        At θ_0, with the ``BackwardSignals`` themselves.
    has_bias : bool
    rule : str
    """

    def __init__(self, passes, has_bias, rule):
        activations, deltas, w, v = passes
        last = len(activations) - 1
        slopes = activations.slopes
        is_plain = deltas.n_rows == 1 and slopes is None
        self._rule, self._dtype = rule, activations[0].dtype
        self._layers = []
        for l, a in enumerate(activations):
            shared = (w[l], v[l], has_bias, rule)
            if l == last and is_plain:
                layer = LinearizedOutput(a, *shared)
            elif l == last:
                layer = LinearizedOutputs(a, deltas.n_rows, *shared)
            elif l == last - 1 and is_plain:
                layer = LinearizedTiles(a, activations[last], deltas.scale, *shared)
            elif l == last - 1:
                gates = activations[last] > 0 if slopes is None else slopes[l]
                layer = LinearizedSlopes(a, gates, deltas.scales, *shared)
            else:
                layer = LinearizedBlocks(a, deltas[l], *shared)
            self._layers.append(layer)

    def step(self, coefficients, s):
        """One step.

        Parameters
        ----------
        coefficients : sequence of float
            The rule's, for this step.
        s : ndarray, shape (N C,)

        Returns
        -------
        ndarray, shape (N C,)
            φ(X) Δ after the step.
        """
        step = step_of(self._rule, coefficients, self._dtype)
        changes = np.zeros(len(s), self._dtype)
        for layer in self._layers:
            layer.take(step, s, changes)
        return changes

    def read(self, displacement, slots):
        """Take Δ and the slots in the layout of θ, as ``write`` wrote them."""
        for l, layer in enumerate(self._layers):
            layer.read(displacement[l], [slot[l] for slot in slots])

    def write(self, displacement, slots):
        """Write Δ and the slots.

        Parameters
        ----------
        displacement : list of (W^l, b^l or None)
            Zeros in the layout of θ; what has no gradient is not written.
        slots : sequence of such lists
        """
        for l, layer in enumerate(self._layers):
            layer.write(displacement[l], [slot[l] for slot in slots])
