"""Compiled kernels: raw arrays in, raw arrays out. They trust their input and know no other room.

Every kernel exists once per backend under the same name, with the same arguments and shapes. What
belongs together travels together: layers are ``Layers``, passes ``Passes``, a state is a
``DescentState`` (``structures``) and an end an ``End`` (``ends``). Below, N is the number of
inputs, l = 1 … L the layer, m_l its width, a^l (N, m_l) the activations with a^0 = X, δ^l (N, m_l)
the backward signals, and what is "in the layout of θ" the sequence of pairs (W^l, b^l or None).

On a GPU, ``forward``, ``backward``, ``vector_jacobian`` and ``descend`` also take S networks of one
shape at once, with a leading axis S of all arrays but G and Y, and ``dense_product`` several x.
"""

CONTRACT = {
    "forward": "(layers, X) -> ([a^0 … a^{L-1}], outputs (N,))",
    "backward": "(layers, activations) -> the sequence δ^1 … δ^L",
    "jacobian": "(passes, has_bias, out (N, P)) -> None",
    "jacobian_vector": "(passes, vector in the layout of θ) -> (N,)",
    "jacobian_vectors": "(passes, k vectors in the layout of θ, axis k first) -> (k, N)",
    "vector_jacobian": "(passes, r (N,), result in the layout of θ) -> None",
    "vectors_jacobian": "(passes, r (k, N), k results in the layout of θ, axis k first) -> None",
    "gram": "(passes, other passes or None) -> (N, N')",
    "gram_copies": "((N, N'), the widest layer) -> how many (N, N') arrays gram holds",
    "weighted_gram": "(passes, D in the layout of θ, other passes or None) -> (N, N')",
    "weighted_gram_copies": "((N, N'), itemsize) -> how many (N, N') arrays weighted_gram holds",
    "dense_product": "(x (N, K), y (N', K)) -> (N, N'), symmetric for y that is x",
    "descent_state": "(H (m_1, N), dtype) -> the state of a descent that begins",
    "fold": "(state) -> None; totals and changes in two numbers, as exact as they were",
    "own_copy": "(theta (P,), where the layers begin that are to lie well) -> a copy of it",
    "descend": "(state, layers 2 … L, kept, G, Y, loss, rate, weights (k, N), end) -> losses",
    "total": "(a of any shape) -> the sum of its elements",
    "update": "(rule, coefficients, theta (P,), slots, gradient (P,)) -> None",
    "LinearizedNetwork": "(passes, has_bias, rule); .step(coefficients, s (N,)), …",
    "fused_network": "(X, Y, layers, slots, rule, loss); .evaluate(sample weights), .step(…), …",
    "infinite_width": "(X, X' or None, L, weight, gain, bias, shift, ntk) -> (N, N'), of ReLU",
    "infinite_width_of": "(activation, X, X' or None, L, scales, shift, ntk, longest) -> (N, N')",
}


class UncachedWarning(UserWarning):
    """Compiled code cannot be kept between processes, so that each of them compiles it anew."""
