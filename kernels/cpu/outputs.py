"""Outputs of a network as sums over its last hidden neurons, (m, padded N) and neuron-major.

They are summed in parts of a fixed size, so that they do not depend on the number of threads.
"""

from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.sums import add_relu, clear_rows

# Neurons per part of the outputs.
CHUNK = 64


@kernel
def sum_outputs(H, row, stop, W, w, parts):
    """parts[chunk] ← Σ_i w W_i max(H_i, 0) over the neurons of each chunk from ``row`` to stop."""
    for start in range(row, stop, CHUNK):
        chunk = start // CHUNK
        clear_rows(parts, chunk, chunk + 1)
        for i in range(start, min(start + CHUNK, stop)):
            add_relu(parts, chunk, H, i, w * W[i])


@parallel_kernel
def output_parts(task, H, W, w, parts):
    """Each task's share of w Σ_i W_i max(H_i, 0), shape (tasks, padded N)."""
    sum_outputs(H, task * CHUNK, min((task + 1) * CHUNK, H.shape[0]), W, w, parts)


@kernel
def sum_parts(f, parts, shift):
    """f = Σ parts + shift, by tasks in their order."""
    for n in range(f.shape[0]):
        f[n] = shift
    for task in range(parts.shape[0]):
        for n in range(f.shape[0]):
            f[n] += parts[task, n]
