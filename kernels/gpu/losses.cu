// The loss's derivatives of a step and the loss before it, without a word to the host.
#include "losses.cuh"

#define THREADS 256

// s_n = sample_weights_n ℓ'(f_n, y_n) and *total = (1/N) Σ_n ℓ(f_n, y_n), summed in float64 in an order
// that is always the same. One block of THREADS threads for each network; they share y.
extern "C" __global__ void loss_and_derivatives(int loss, const REAL *f, const REAL *y,
                                                const REAL *sample_weights, REAL *s, double *total,
                                                int n) {
    __shared__ double sums[THREADS];
    long long start = (long long)blockIdx.x * n;
    f += start, sample_weights += start, s += start;
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        s[i] = sample_weights[i] * loss_derivative(loss, f[i], y[i]);
        sum += loss_value(loss, f[i], y[i]);
    }
    sums[threadIdx.x] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) total[blockIdx.x] = sums[0] / n;
}
