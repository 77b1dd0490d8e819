"""What the estimates of the engines' memory have in common, in numbers of the arrays' dtype."""

from numba import get_num_threads

# Tables of subset sums, gradients and the like, for each thread.
EACH_THREAD = 1 << 17
# Bytes of a row of a tile, on machines with the widest vectors.
TILE_BYTES = 256


def workspace(n_samples):
    """Tables for each thread, and vectors of the length N: outputs, slopes, weights, places."""
    return EACH_THREAD * get_num_threads() + 12 * n_samples


def whole_tiles(n_columns, itemsize):
    """So many columns, rounded up to whole tiles."""
    width = TILE_BYTES // itemsize
    return -(-n_columns // width) * width
