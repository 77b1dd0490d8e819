"""Numba kernels with BLAS for the matrix products; the contract is in ``ntklin.kernels``."""

from ntklin.kernels.cpu.assembly import jacobian
from ntklin.kernels.cpu.descent import deep_descent, fold, neuron_major, shallow_descent
from ntklin.kernels.cpu.fused import ShallowNetwork
from ntklin.kernels.cpu.infinite import infinite_width
from ntklin.kernels.cpu.linearized import LinearizedNetwork
from ntklin.kernels.cpu.passes import backward, forward
from ntklin.kernels.cpu.products import jacobian_vector, vector_jacobian
from ntklin.kernels.cpu.rules import update
from ntklin.kernels.cpu.unweighted import gram, gram_copies
from ntklin.kernels.cpu.weighted import weighted_gram, weighted_gram_copies

__all__ = [
    "LinearizedNetwork",
    "ShallowNetwork",
    "backward",
    "deep_descent",
    "fold",
    "forward",
    "gram",
    "gram_copies",
    "infinite_width",
    "jacobian",
    "jacobian_vector",
    "neuron_major",
    "shallow_descent",
    "update",
    "vector_jacobian",
    "weighted_gram",
    "weighted_gram_copies",
]
