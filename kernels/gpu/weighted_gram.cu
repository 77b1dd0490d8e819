// What stands between the matrix products of K_D = J D J'^T, which go over a neuron's active inputs
// only. For a group of neurons g, place[g, n] is the place of input n among the active ones of
// neuron g, or −1 where it is not active.

// rows[g, place, j] ← δ[n, i] D[i, j] a[n, j] with i = neurons[g], for a (n, k), δ (n, m), D (m, k)
// and rows (g, most, k).
extern "C" __global__ void pack_rows(const REAL *a, const REAL *delta, const REAL *D,
                                     const int *neurons, const int *place, REAL *rows, int groups,
                                     int n, int m, int k, int most) {
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int g = blockIdx.x; g < groups; g += gridDim.x) {
            int at = place[(long long)g * n + row];
            if (at < 0) continue;
            const REAL *diagonal = D + (long long)neurons[g] * k, *source = a + (long long)row * k;
            REAL d = delta[(long long)row * m + neurons[g]];
            REAL *target = rows + ((long long)g * most + at) * k;
            for (int j = threadIdx.x; j < k; j += blockDim.x)
                target[j] = d * (diagonal[j] * source[j]);
        }
}

// columns[g, j, place] ← δ[n, i] a[j, n] with i = neurons[g], for a transposed (k, n) and columns
// (g, k, most).
extern "C" __global__ void pack_columns(const REAL *a, const REAL *delta, const int *neurons,
                                        const int *place, REAL *columns, int groups, int n, int m,
                                        int k, int most) {
    for (int j = blockIdx.y; j < k; j += gridDim.y)
        for (int g = blockIdx.x; g < groups; g += gridDim.x)
            for (int row = threadIdx.x; row < n; row += blockDim.x) {
                int at = place[(long long)g * n + row];
                if (at < 0) continue;
                columns[((long long)g * k + j) * most + at] =
                    delta[(long long)row * m + neurons[g]] * a[(long long)j * n + row];
            }
}

// K[n, n'] += Σ_g products[g, place[g, n], other_place[g, n']] where both are active, in the order
// of the groups; where ``mirrored``, above the diagonal K is left as it is.
extern "C" __global__ void add_products(const REAL *products, const int *place,
                                        const int *other_place, REAL *K, int groups, int n,
                                        int other_n, int most, int other_most, int mirrored) {
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int column = blockIdx.x * blockDim.x + threadIdx.x;
             column < (mirrored ? row + 1 : other_n); column += gridDim.x * blockDim.x) {
            REAL sum = K[(long long)row * other_n + column];
            for (int g = 0; g < groups; ++g) {
                int at = place[(long long)g * n + row];
                int other_at = other_place[(long long)g * other_n + column];
                if (at >= 0 && other_at >= 0)
                    sum += products[((long long)g * most + at) * other_most + other_at];
            }
            K[(long long)row * other_n + column] = sum;
        }
}

// The same for K of (n C, n' C), rows n C + c, where outputs c and c' share the products:
// K[n C + c, n' C + c'] += Σ_g u[c, i] u[c', i] products[g, …] with i = neurons[g], for u (C, m).
extern "C" __global__ void add_outputs(const REAL *products, const int *place,
                                       const int *other_place, const int *neurons, const REAL *u,
                                       REAL *K, int groups, int n, int other_n, int most,
                                       int other_most, int mirrored, int outputs, int m) {
    for (int row = blockIdx.y; row < n * outputs; row += gridDim.y)
        for (int column = blockIdx.x * blockDim.x + threadIdx.x;
             column < (mirrored ? row + 1 : other_n * outputs); column += gridDim.x * blockDim.x) {
            int first = row / outputs, second = column / outputs;
            const REAL *own = u + (long long)(row % outputs) * m;
            const REAL *other = u + (long long)(column % outputs) * m;
            long long there = (long long)row * other_n * outputs + column;
            REAL sum = K[there];
            for (int g = 0; g < groups; ++g) {
                int at = place[(long long)g * n + first];
                int other_at = other_place[(long long)g * other_n + second];
                if (at >= 0 && other_at >= 0)
                    sum += own[neurons[g]] * other[neurons[g]] *
                           products[((long long)g * most + at) * other_most + other_at];
            }
            K[there] = sum;
        }
}
