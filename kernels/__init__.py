"""Compiled kernels: raw arrays in, raw arrays out. They trust their input and know no other room.

Every kernel exists once per backend under the same name, with the same arguments and shapes. Below,
N is the number of inputs, l = 1 … L the layer, m_l its width, W^l (m_l, m_{l-1}) and b^l (m_l,) or
None its parameters, w and v the sequences of scales w_l and v_l, a^l (N, m_l) the activations with
a^0 = X, and δ^l (N, m_l) the backward signals.

On a GPU, ``forward``, ``backward``, ``vector_jacobian`` and ``deep_descent`` also take S networks
of one shape at once, with a leading axis S of all arrays but G and Y.
"""

CONTRACT = {
    "forward": "(layers, w, v, X) -> ([a^0 … a^{L-1}], outputs (N,))",
    "backward": "(layers, w, activations) -> the sequence δ^1 … δ^L",
    "jacobian": "(activations, deltas, w, v, has_bias, out (N, P)) -> None",
    "jacobian_vector": "(activations, deltas, w, v, layers of the vector) -> (N,)",
    "vector_jacobian": "(activations, deltas, w, v, r (N,), layers of the result) -> None",
    "gram": "(activations, deltas, w, v, other activations, other deltas) -> (N, N')",
    "gram_copies": "((N, N'), itemsize) -> how many (N, N') arrays gram holds",
    "weighted_gram": "(activations, deltas, w, v, layers of D, other …) -> (N, N')",
    "weighted_gram_copies": "((N, N'), itemsize) -> how many (N, N') arrays weighted_gram holds",
    "neuron_major": "(a (m, N), dtype) -> a copy with the rows that the descent kernels take",
    "fold": "(total, change) -> None; their sum in two numbers, as exact as it was",
    "shallow_descent": "(H, moved, S, W, b, G, Y, w, v, rate, loss, weights (k, N), …) -> losses",
    "deep_descent": "(H, moved, S, layers, G, Y, w, v, rate, loss, weights (k, N), …) -> losses",
    "update": "(rule, coefficients, theta (P,), slots, gradient (P,)) -> None",
    "LinearizedNetwork": "(activations, deltas, w, v, has_bias, rule); .step(coefficients, s), …",
    "ShallowNetwork": "(X, Y, layers, slots, w, v, rule, loss); .signals(weights), .step(…), …",
    "infinite_width": "(X, X' or None, L, weight, gain, bias, shift, ntk) -> (N, N')",
}


class UncachedWarning(UserWarning):
    """Compiled code cannot be kept between processes, so that each of them compiles it anew."""
