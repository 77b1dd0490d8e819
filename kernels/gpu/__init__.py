"""CuPy kernels with cuBLAS for the matrix products; the contract is in ``ntklin.kernels``."""

from ntklin.kernels.gpu.arrays import total
from ntklin.kernels.gpu.assembly import jacobian
from ntklin.kernels.gpu.descent import descend, descent_state, fold, own_copy
from ntklin.kernels.gpu.fused import FusedNetwork as fused_network
from ntklin.kernels.gpu.infinite import infinite_width, infinite_width_of
from ntklin.kernels.gpu.linearized import LinearizedNetwork
from ntklin.kernels.gpu.passes import backward, forward
from ntklin.kernels.gpu.products import (
    dense_product,
    jacobian_vector,
    jacobian_vectors,
    vector_jacobian,
    vectors_jacobian,
)
from ntklin.kernels.gpu.rules import update
from ntklin.kernels.gpu.unweighted import gram, gram_copies
from ntklin.kernels.gpu.weighted import weighted_gram, weighted_gram_copies

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
