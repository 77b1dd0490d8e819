"""Numba kernels with BLAS for the matrix products; the contract is in ``ntklin.kernels``."""

from ntklin.kernels.cpu.assembly import jacobian
from ntklin.kernels.cpu.blas import dense_product
from ntklin.kernels.cpu.descent import descend, descent_state, fold, own_copy
from ntklin.kernels.cpu.fused_network import fused_network
from ntklin.kernels.cpu.infinite import infinite_width
from ntklin.kernels.cpu.infinite_others import infinite_width_of
from ntklin.kernels.cpu.linearized import LinearizedNetwork
from ntklin.kernels.cpu.passes import backward, forward
from ntklin.kernels.cpu.products import (
    jacobian_vector,
    jacobian_vectors,
    vector_jacobian,
    vectors_jacobian,
)
from ntklin.kernels.cpu.rules import update
from ntklin.kernels.cpu.totals import total
from ntklin.kernels.cpu.unweighted import gram, gram_copies
from ntklin.kernels.cpu.weighted import weighted_gram, weighted_gram_copies

__all__ = [
    "LinearizedNetwork",
    "backward",
    "dense_product",
    "descend",
    "descent_state",
    "fold",
    "forward",
    "fused_network",
    "gram",
    "gram_copies",
    "infinite_width",
    "infinite_width_of",
    "jacobian",
    "jacobian_vector",
    "jacobian_vectors",
    "own_copy",
    "total",
    "update",
    "vector_jacobian",
    "vectors_jacobian",
    "weighted_gram",
    "weighted_gram_copies",
]
