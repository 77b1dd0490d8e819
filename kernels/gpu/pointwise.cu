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

// Row r of the signals is that of input r / outputs.

// δ ← w δ where a > 0, else 0.
extern "C" __global__ void gate(REAL *delta, const REAL *a, REAL w, int outputs, int n, int m) {
    delta += (long long)blockIdx.z * n * m, a += (long long)blockIdx.z * (n / outputs) * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x) {
            long long place = (long long)row * m + i;
            bool active = a[(long long)(row / outputs) * m + i] > 0;
            delta[place] = active ? w * delta[place] : 0;
        }
}

// δ ← w δ ∘ slopes.
extern "C" __global__ void gate_sloped(REAL *delta, const REAL *slopes, REAL w, int outputs, int n,
                                       int m) {
    delta += (long long)blockIdx.z * n * m, slopes += (long long)blockIdx.z * (n / outputs) * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x)
            delta[(long long)row * m + i] *= w * slopes[(long long)(row / outputs) * m + i];
}

// δ ← c_i of the row's output where a > 0, else 0: the signal of the last hidden layer.
extern "C" __global__ void spread(REAL *delta, const REAL *a, const REAL *c, int outputs, int n,
                                  int m) {
    delta += (long long)blockIdx.z * n * m, a += (long long)blockIdx.z * (n / outputs) * m;
    c += (long long)blockIdx.z * outputs * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x) {
            bool active = a[(long long)(row / outputs) * m + i] > 0;
            delta[(long long)row * m + i] = active ? c[(row % outputs) * m + i] : 0;
        }
}

// δ ← c_i of the row's output ∘ slopes.
extern "C" __global__ void spread_sloped(REAL *delta, const REAL *slopes, const REAL *c,
                                         int outputs, int n, int m) {
    delta += (long long)blockIdx.z * n * m, slopes += (long long)blockIdx.z * (n / outputs) * m;
    c += (long long)blockIdx.z * outputs * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x)
            delta[(long long)row * m + i] =
                c[(row % outputs) * m + i] * slopes[(long long)(row / outputs) * m + i];
}
