"""Numba kernels with BLAS for the matrix products; the contract is in ``ntklin.kernels``."""

from ntklin.kernels.cpu.gram import gram
from ntklin.kernels.cpu.jacobian import jacobian
from ntklin.kernels.cpu.passes import backward, forward
from ntklin.kernels.cpu.products import jacobian_vector, vector_jacobian
from ntklin.kernels.cpu.weighted_gram import weighted_gram

__all__ = [
    "backward",
    "forward",
    "gram",
    "jacobian",
    "jacobian_vector",
    "vector_jacobian",
    "weighted_gram",
]
