"""Dense Jacobian assembly: every element of the (N, P) result is written exactly once."""

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import stream_scaled, to_next_line
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sizes import LINE


@twin(plain.write_row)
@kernel
def _write_row(out, row, start, d, a, n):
    """out[row, start:] ← d a_n: whole cache lines past the caches, both ends as usual."""
    target = (row * out.shape[1] + start) * out.itemsize
    n_columns = a.shape[1]
    head = min(n_columns, to_next_line((out, target)) // out.itemsize)
    n_lines = (n_columns - head) * out.itemsize // LINE
    tail = head + n_lines * (LINE // out.itemsize)
    for j in range(head):
        out[row, start + j] = d * a[n, j]
    source = (n * n_columns + head) * a.itemsize
    stream_scaled((out, target + head * out.itemsize), (a, source), d, n_lines)
    for j in range(tail, n_columns):
        out[row, start + j] = d * a[n, j]


@parallel_kernel
def _layer(row, a, delta, w, v, has_bias, out, offset):
    n_rows, n_out = delta.shape
    n_in, n_outputs = a.shape[1], n_rows // a.shape[0]
    for i in range(n_out):
        _write_row(out, row, offset + i * n_in, w * delta[row, i], a, row // n_outputs)
    if has_bias:
        for i in range(n_out):
            out[row, offset + n_out * n_in + i] = v * delta[row, i]


def jacobian(passes, has_bias, out):
    """J = φ(X) into ``out``: ∂f/∂W^l = w_l δ^l ⊗ a^{l-1}, ∂f/∂b^l = v_l δ^l.

    Parameters
    ----------
    passes : Passes
    has_bias : bool
        Whether the biases are in θ.
    out : ndarray, shape (N C, P)
        C-contiguous, overwritten; rows follow the layout of θ.
    """
    scalar = out.dtype.type
    offset = 0
    for a, d, w, v in zip(*passes, strict=True):
        _layer[len(out)](a, d, scalar(w), scalar(v), has_bias, out, offset)
        offset += d.shape[1] * (a.shape[1] + has_bias)
