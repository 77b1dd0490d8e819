// What stands between the matrix products of a pass, each in one trip through memory.
// Matrices are (n, m), row by row; blocks share out rows, threads columns. Several networks lie one
// after the other, each with a layer of blocks.

// a ← max(w a + v b, 0).
extern "C" __global__ void activate(REAL *a, const REAL *b, REAL w, REAL v, int n, int m) {
    a += (long long)blockIdx.z * n * m, b += (long long)blockIdx.z * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x) {
            REAL h = w * a[(long long)row * m + i] + v * b[i];
            // Not fmax, which would turn NaN into 0.
            a[(long long)row * m + i] = h <= 0 ? 0 : h;
        }
}

// δ ← w δ where a > 0, else 0.
extern "C" __global__ void gate(REAL *delta, const REAL *a, REAL w, int n, int m) {
    delta += (long long)blockIdx.z * n * m, a += (long long)blockIdx.z * n * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x) {
            long long place = (long long)row * m + i;
            delta[place] = a[place] > 0 ? w * delta[place] : 0;
        }
}

// δ ← c_i where a > 0, else 0: the signal of the last hidden layer.
extern "C" __global__ void spread(REAL *delta, const REAL *a, const REAL *c, int n, int m) {
    delta += (long long)blockIdx.z * n * m, a += (long long)blockIdx.z * n * m;
    c += (long long)blockIdx.z * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x) {
            long long place = (long long)row * m + i;
            delta[place] = a[place] > 0 ? c[i] : 0;
        }
}
