// The loss's derivatives of a step and the loss before it, without a word to the host.
#include "losses.cuh"

#define THREADS 256

// *total = (1/n) Σ of what the threads of a block have, in an order that is always the same.
__device__ inline void write_mean(double sum, double *sums, double *total, int n) {
    sums[threadIdx.x] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) *total = sums[0] / n;
}

// s_n = sample_weights_n ℓ'(f_n, y_n) and *total = (1/N) Σ_n ℓ(f_n, y_n), summed in float64. One
// block of THREADS threads for each network; they share y.
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
    write_mean(sum, sums, total + blockIdx.x, n);
}

// The same of several outputs, for the sum of their losses: output c of sample n lies at n * across
// + c * along in f, y and s.
extern "C" __global__ void losses_and_derivatives(int loss, const REAL *f, const REAL *y,
                                                  const REAL *sample_weights, REAL *s,
                                                  double *total, int n, int outputs, int across,
                                                  int along) {
    __shared__ double sums[THREADS];
    long long start = (long long)blockIdx.x * n;
    f += start * outputs, sample_weights += start, s += start * outputs;
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        long long place = (long long)i * across;
        if (loss == SOFTMAX) {
            sum += softmax(f + place, y + place, sample_weights[i], s + place, outputs, along);
            continue;
        }
        for (int c = 0; c < outputs; ++c, place += along) {
            s[place] = sample_weights[i] * loss_derivative(loss, f[place], y[place]);
            sum += loss_value(loss, f[place], y[place]);
        }
    }
    write_mean(sum, sums, total + blockIdx.x, n);
}
