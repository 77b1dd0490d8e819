"""Networks, their features φ(X) and kernels, and the infinite width."""
