"""The sizes of tiles, groups and tables, which the loops and the instructions share."""

import llvmlite.binding
import numpy as np

LINE = 64  # bytes of a cache line, and of the widest vector register
GROUP = 64  # elements whose zeros are told by one machine word
# Cache lines that accumulate_active sums in registers: 8 hide the latency of a multiply-add, and a
# tile of GROUP rows of 8 lines fills 32 kB, a first-level cache.
REGISTERS = 8
# Subset sums: words of 32 neurons, tabulated by fours. A sum of SUBSET_LINES cache lines is four
# vectors of the machine's width; the 8 tables of 16 sums then fill half of a first-level cache of
# 32 kB, or two thirds of the 48 kB that come with AVX-512.
WORD = 32
SUBSET = 4
AVX512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
SUBSET_LINES = 4 if AVX512 else 2
# Samples whose 32 subset sums share a table where many neurons look up the same few samples; tables
# of a whole chunk of samples fill at most a quarter megabyte of a second-level cache.
SAMPLES = 5
CHUNK_GROUPS = 32
# Subset sums that are one cache line wide: the tables of so many bytes of bits, each of two groups
# of SUBSET rows, take 28 kB and stay in a first-level cache of 32 kB.
SET_BYTES = 14
# Rows of weights that add_panel takes at a time: as many sums as the registers hold, at least eight
# vectors of the machine's width, which hide the latency of a multiply-add.
PANEL_ROWS = 8 if AVX512 else 4
# Cache lines of inputs that add_rows takes at a time: with as many sums as registers hold, a line
# that is loaded serves PANEL_ROWS multiply-adds, and a weight as many as there are lines.
PANEL_LINES = 3 if AVX512 else 1


def skipping_width(dtype):
    """The columns of a tile of a product that skips zeros."""
    return REGISTERS * LINE // np.dtype(dtype).itemsize


def subset_width(dtype):
    """The columns of a tile of subset sums."""
    return SUBSET_LINES * LINE // np.dtype(dtype).itemsize
