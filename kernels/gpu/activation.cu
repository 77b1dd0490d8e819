// An activation that is defined before this source: alpha(h, p) and alpha_slope(h, p).
// Matrices are (n, m), row by row; blocks share out rows, threads columns. Several networks lie one
// after the other, each with a layer of blocks.

// h = w a + v b; a ← α(h), slopes ← α'(h).
extern "C" __global__ void activate_sloped(REAL *a, REAL *slopes, const REAL *b, REAL w, REAL v,
                                           REAL p, int n, int m) {
    a += (long long)blockIdx.z * n * m, slopes += (long long)blockIdx.z * n * m;
    b += (long long)blockIdx.z * m;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < m; i += gridDim.x * blockDim.x) {
            long long place = (long long)row * m + i;
            REAL h = w * a[place] + v * b[i];
            a[place] = alpha(h, p);
            slopes[place] = alpha_slope(h, p);
        }
}

// h ← α(h), slopes ← α'(h), of as many numbers as there are.
extern "C" __global__ void activate_all(REAL *h, REAL *slopes, REAL p, long long count) {
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x; j < count; j += stride) {
        REAL here = h[j];
        h[j] = alpha(here, p);
        slopes[j] = alpha_slope(here, p);
    }
}
