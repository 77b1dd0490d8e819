"""Plain Python in the place of what has to be compiled, for runs without the JIT.

Kernels made of instructions, of BLAS calls in threads or of loops that only a compiler makes fast
have their twins here and nowhere else. Each has the name of the compiled function, which says what
it does, but for an underscore. ``twin`` is the one switch between the two.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import config

from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, GROUP, PANEL_ROWS, SAMPLES, SUBSET, WORD

F = TypeVar("F", bound=Callable[..., Any])
JIT_DISABLED = bool(config.DISABLE_JIT)  # pyright: ignore[reportAttributeAccessIssue]


def twin(plain: F) -> Callable[[Any], F]:
    """A decorator that puts ``plain`` in the place of what it decorates where there is no JIT."""
    return lambda compiled: plain if JIT_DISABLED else compiled


def wide_vectors():
    """Nothing: the interpreter has no vectors."""


def parallel_for(turn, n_turns, arguments):
    for k in range(n_turns):
        turn(k, *arguments)


def next_task(counter):
    counter[0] += 1
    return counter[0] - 1


def fma(a, b, c):
    return a * b + c


def power_of_two(number):
    info = np.finfo(number.dtype)
    word = np.dtype(f"u{number.itemsize}")
    return (number.view(word) << word.type(info.nmant)).view(number.dtype)


def positive_samples(A, i, n):
    return sum(int(A[i, n + p] > 0) << p for p in range(SAMPLES))


def gemm(transpose_a, transpose_b, alpha, A, B, beta, C):
    product = (A.T if transpose_a else A) @ (B.T if transpose_b else B)
    C[...] = alpha * product + (beta * C if beta != 0 else 0)


def dots(x, y, out):
    out[:] = x @ y


def write_row(out, row, start, d, a, n):
    out[row, start : start + a.shape[1]] = d * a[n]


def nearest(words, left, latest):
    differences = np.bitwise_count(words[left] ^ words[latest]).sum(axis=1)
    return np.lexsort((left, differences))[0]


# Skipping


def transpose_panels(target, i, first, B, k, j, height, width):
    target[i : i + height, first : first + width] = B[j : j + width, k : k + height].T


def is_finite(tile):
    return np.isfinite(tile).all()


def add_row(sums, place, A, n, k, tile):
    row = A[n, k : k + GROUP]
    active = np.flatnonzero(row)
    sums[place] += row[active] @ tile[active]


def add_tiled(C, start, stop, A, tiles):
    width = tiles.shape[3]
    for j in range(tiles.shape[0]):
        for k in range(tiles.shape[1]):
            product = A[: stop - start, k * GROUP : (k + 1) * GROUP] @ tiles[j, k]
            C[start:stop, j * width : (j + 1) * width] += product


def prefetch_row(matrix, i, j):
    pass


def prefetch_rows(W, start, j):
    pass


# Subset sums over neurons


def _bits(words):
    """The bits of words of 32, along one more axis."""
    return words[..., None] >> np.arange(WORD, dtype=np.uint32) & 1


def tabulate_neurons(table, B, k, j, scale, start):
    """Only the rows themselves are kept."""
    width = table.shape[2]
    rows = scale[start : start + WORD, None] * B[k : k + WORD, j : j + width]
    table[:, :SUBSET] = rows.reshape(-1, SUBSET, width)


def add_neurons(sums, bits, k, start, stop, table):
    rows = table[:, :SUBSET].reshape(WORD, -1)
    sums[: stop - start] += _bits(bits[k, start:stop]).astype(sums.dtype) @ rows


def tabulate_listed(table, products, j, listed, first):
    """Only the rows themselves are kept."""
    rows = products[listed[first : first + WORD], j : j + table.shape[2]]
    table[:, :SUBSET] = rows.reshape(-1, SUBSET, table.shape[2])


def common_words(words, samples, listed, first, start, stop):
    blocks = samples[start // WORD : -(-stop // WORD), listed[first : first + WORD]]
    places = 1 << np.arange(WORD, dtype=np.uint32)
    words[0, : len(blocks) * WORD] = (_bits(blocks) * places[:, None]).sum(axis=1).ravel()


# Subset sums over sets of bits


def positive_set(sets, i, A, k):
    sets[i] = np.packbits(A[k] > 0, bitorder="little")


def tabulate_sets(table, line, rows, j, listed, factors, members):
    """Only the rows themselves are kept."""
    first, count = members
    chosen = slice(8 * first, 8 * (first + count))
    values = factors[chosen, None] * rows[listed[chosen], j : j + table.shape[2]]
    values = values.reshape(2 * count, SUBSET, table.shape[2])
    table[2 * count * line : 2 * count * (line + 1), :SUBSET] = values


def add_sets(A, lines, rows, sets, members, table, scale, factor):
    n_bytes, lanes = members.count, table.shape[2]
    chosen = slice(rows.first, rows.first + rows.count)
    bits = sets[chosen, members.first : members.first + n_bytes]
    bits = np.unpackbits(bits, axis=1, bitorder="little").astype(A.dtype)
    values = table[: 2 * n_bytes * lines.count, :SUBSET].reshape(lines.count, 8 * n_bytes, lanes)
    columns = slice(lines.first * lanes, (lines.first + lines.count) * lanes)
    sums = np.concatenate(list(bits @ values), axis=1)
    A[chosen, columns] += factor * scale[chosen, None] * sums


def add_changes(sums, table, tiles, t, row, stop, active, samples, count):
    live = samples[:count]
    sets = active.sets[live, row // 8 : stop // 8]
    members = np.unpackbits(sets, axis=1, bitorder="little").astype(sums.dtype)
    products = members @ (active.scale[row:stop, None] * tiles[t, row:stop])
    sums[:, live] += products.reshape(count, len(sums), sums.shape[2]).swapaxes(0, 1)


# Subset sums over samples


def add_samples(W, start, stop, j, index, chunk, table, rate, scale, spare):
    for i in range(start, stop):
        for g, s in enumerate(index[i, chunk * CHUNK_GROUPS :][:CHUNK_GROUPS]):
            entry = table[g, s, : W.shape[1] - j]
            W[i, j : j + table.shape[2]] += rate * scale[i] * entry


def add_groups(sums, place, start, stop, index, chunk, table):
    for g, subsets in enumerate(index[start:stop, chunk * CHUNK_GROUPS :].T[:CHUNK_GROUPS]):
        sums[place : place + stop - start] += table[g, subsets]


def add_gradients(g, row, stop, index, groups, first, last, table, scale):
    for i in range(row, stop):
        for k in range(first, last):
            g[i - row] += scale[i] * table[k - first, index[i, groups[k]]]


# Tiles


def add_product(H, row, tiles, t, panels):
    lanes = panels.values.shape[1]
    for line in range(panels.starts.shape[1] - 1):
        for k in range(panels.starts[t, line], panels.starts[t, line + 1]):
            column = panels.offsets[k] // tiles.itemsize
            H[row : row + WORD, line * lanes : (line + 1) * lanes] += (
                tiles[t, row : row + WORD, column, None] * panels.values[k]
            )


def add_signals(g, n_rows, D, inputs, t, seen, found):
    lanes = g.shape[1] // inputs.samples.shape[1]
    for line in range(inputs.samples.shape[1]):
        listed = inputs.samples[t, line, : inputs.counts[t, line]]
        listed = listed[seen[listed]]
        columns = slice(line * lanes, (line + 1) * lanes)
        g[:n_rows, columns] += D[:n_rows, listed] @ inputs.X[t, listed, columns]


def add_rows(sums, p, t, W, i, k, packed, place, count, n_halves):
    rows = W[i : i + PANEL_ROWS, k : k + count]
    sums[p, t] += rows @ packed[t, place : place + count]


def pack_panel(X, n, k, stop, packed, t, place, q):
    packed[t, place : place + stop - k, q : q + PANEL_ROWS] = X[n : n + PANEL_ROWS, k:stop].T


def are_finite(sums, p):
    return np.isfinite(sums[p]).all()


def store_rows(sums, p, w, n_inputs, a, i, start, stop):
    rows = sums[p].transpose(1, 0, 2).reshape(PANEL_ROWS, -1)[:, :n_inputs]
    a[:, start : min(stop, i + len(rows))] = w * rows[start - i : stop - i].T
