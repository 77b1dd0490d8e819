// Dense Jacobian assembly: every element of the (N C, P) result is written exactly once.

// Columns offset … offset + m k of J, and with biases m more:
// ∂f/∂W = w δ ⊗ a, ∂f/∂b = v δ, for δ (n, m), a (n / outputs, k) and rows of J of length
// n_parameters: row r is one of input r / outputs.
// A block writes one neuron's row after the other, neighboring threads neighboring columns.
extern "C" __global__ void jacobian_layer(const REAL *a, const REAL *delta, REAL w, REAL v,
                                          int has_bias, REAL *out, long long n_parameters,
                                          long long offset, int n, int m, int k,
                                          int outputs) {
    for (int row = blockIdx.y; row < n; row += gridDim.y) {
        REAL *target = out + row * n_parameters + offset;
        const REAL *source = a + (long long)(row / outputs) * k;
        for (int i = blockIdx.x; i < m; i += gridDim.x) {
            REAL d = delta[(long long)row * m + i];
            for (int j = threadIdx.x; j < k; j += blockDim.x)
                target[(long long)i * k + j] = w * d * source[j];
            if (has_bias && threadIdx.x == 0) target[(long long)m * k + i] = v * d;
        }
    }
}
