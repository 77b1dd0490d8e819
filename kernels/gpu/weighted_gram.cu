// K_D = J D J'^T of one layer for a diagonal D, without J:
//
//     K_D(x, x') = w² Σ_i δ_i δ'_i ( Σ_j D_ij a_j a'_j + bias_i )
//
// A block has a tile of TILE × TILE pairs of inputs and a slice of the neurons. The inputs' columns
// come into shared memory DEPTH at a time and serve all neurons of the slice, of which GROUP at a
// time bring their weights and signals. A thread sums EACH × EACH pairs in registers, TILE/EACH
// apart, so that neighboring threads read neighboring words.

#define TILE 64
#define EACH 4
#define SIDE (TILE / EACH)
#define THREADS (SIDE * SIDE)
#define DEPTH 16
#define GROUP 16
// Of a row in shared memory; odd, so that what is loaded along columns meets different banks.
#define PITCH (TILE + 1)

// sheet[k][r] ← source[first + r, start + k], zero beyond the ends.
__device__ inline void load_columns(REAL sheet[DEPTH][PITCH], const REAL *source, int first, int n,
                                    int start, int columns, int thread) {
    for (int e = thread; e < DEPTH * TILE; e += THREADS) {
        int r = e / DEPTH, k = e % DEPTH;
        bool inside = first + r < n && start + k < columns;
        sheet[k][r] = inside ? source[(long long)(first + r) * columns + start + k] : 0;
    }
}

// sheet[g][r] ← source[first + r, neuron + g], zero beyond the ends.
__device__ inline void load_signals(REAL sheet[GROUP][PITCH], const REAL *source, int first, int n,
                                    int neuron, int stop, int m, int thread) {
    for (int e = thread; e < GROUP * TILE; e += THREADS) {
        int r = e / GROUP, g = e % GROUP;
        bool inside = first + r < n && neuron + g < stop;
        sheet[g][r] = inside ? source[(long long)(first + r) * m + neuron + g] : 0;
    }
}

// parts[slice, n, n'] of the tile (blockIdx.y, blockIdx.x) and the slice blockIdx.z of the neurons.
// a (n, columns) holds the columns of the layer's inputs that are listed in ``live``, by which D
// (m, width) is read; δ is (n, m), bias (m,). When symmetric, tiles above the diagonal are left out.
extern "C" __global__ __launch_bounds__(THREADS, 2) void weighted_gram(
    const REAL *a, const REAL *delta, const REAL *other_a, const REAL *other_delta, const REAL *D,
    const REAL *bias, const int *live, REAL w2, REAL *parts, int n, int other_n, int m, int columns,
    int width, int slice, int symmetric) {
    __shared__ REAL left[DEPTH][PITCH], right[DEPTH][PITCH];
    __shared__ REAL signals[GROUP][PITCH], other_signals[GROUP][PITCH];
    __shared__ REAL weights[GROUP][DEPTH], shifts[GROUP];
    if (symmetric && blockIdx.x > blockIdx.y) return;
    int thread = threadIdx.x, x = thread % SIDE, y = thread / SIDE;
    int first = blockIdx.y * TILE, other_first = blockIdx.x * TILE;
    int begin = blockIdx.z * slice, end = begin + slice < m ? begin + slice : m;
    REAL sums[EACH][EACH] = {};
    for (int start = 0; start == 0 || start < columns; start += DEPTH) {
        __syncthreads();
        load_columns(left, a, first, n, start, columns, thread);
        load_columns(right, other_a, other_first, other_n, start, columns, thread);
        for (int neuron = begin; neuron < end; neuron += GROUP) {
            __syncthreads();
            load_signals(signals, delta, first, n, neuron, end, m, thread);
            load_signals(other_signals, other_delta, other_first, other_n, neuron, end, m, thread);
            for (int e = thread; e < GROUP * DEPTH; e += THREADS) {
                int g = e / DEPTH, k = e % DEPTH;
                bool inside = neuron + g < end && start + k < columns;
                weights[g][k] =
                    inside ? D[(long long)(neuron + g) * width + live[start + k]] : 0;
            }
            if (thread < GROUP)
                shifts[thread] = start == 0 && neuron + thread < end ? bias[neuron + thread] : 0;
            __syncthreads();
            for (int g = 0; g < GROUP; ++g) {
                REAL products[EACH][EACH];
#pragma unroll
                for (int p = 0; p < EACH; ++p)
#pragma unroll
                    for (int q = 0; q < EACH; ++q) products[p][q] = shifts[g];
// In full it would keep both sheets in registers, more than there are.
#pragma unroll 4
                for (int k = 0; k < DEPTH; ++k) {
                    REAL scaled[EACH], others[EACH];
#pragma unroll
                    for (int p = 0; p < EACH; ++p)
                        scaled[p] = weights[g][k] * left[k][y + p * SIDE];
#pragma unroll
                    for (int q = 0; q < EACH; ++q) others[q] = right[k][x + q * SIDE];
#pragma unroll
                    for (int p = 0; p < EACH; ++p)
#pragma unroll
                        for (int q = 0; q < EACH; ++q) products[p][q] += scaled[p] * others[q];
                }
#pragma unroll
                for (int p = 0; p < EACH; ++p)
#pragma unroll
                    for (int q = 0; q < EACH; ++q)
                        sums[p][q] += signals[g][y + p * SIDE] *
                                      (other_signals[g][x + q * SIDE] * products[p][q]);
            }
        }
    }
    REAL *target = parts + (long long)blockIdx.z * n * other_n;
#pragma unroll
    for (int p = 0; p < EACH; ++p)
#pragma unroll
        for (int q = 0; q < EACH; ++q) {
            int row = first + y + p * SIDE, column = other_first + x + q * SIDE;
            if (row < n && column < other_n)
                target[(long long)row * other_n + column] = w2 * sums[p][q];
        }
}
