// A loss and its derivative at one output; the formulas are those of ntklin.runs.losses.

enum { SQUARED, LOGISTIC, SOFTMAX };

// ℓ(f, y) in float64.
__device__ inline double loss_value(int loss, double f, double y) {
    if (loss == SQUARED) return 0.5 * (f - y) * (f - y);
    return log1p(exp(-fabs(f))) + f * ((f >= 0) - y);
}

// ℓ'(f, y), for the logistic loss by the probability of the less likely class.
__device__ inline REAL loss_derivative(int loss, REAL f, REAL y) {
    if (loss == SQUARED) return f - y;
    REAL small = exp(-fabs(f));
    REAL unlikely = small / (1 + small);
    return f >= 0 ? (1 - y) - unlikely : unlikely - y;
}

// ℓ(f, y) of the softmax of outputs that lie ``stride`` apart, in float64; s ← weight ℓ'(f, y).
// Of the likeliest class, the first of equal ones, by the probability of all others.
__device__ inline double softmax(const REAL *f, const REAL *y, REAL weight, REAL *s, int outputs,
                                 long long stride) {
    int top = 0;
    // Not a number is taken for the largest, so that it is not hidden.
    for (int c = 1; c < outputs; ++c)
        if (f[c * stride] > f[top * stride] || f[c * stride] != f[c * stride]) top = c;
    double largest = f[top * stride], rest = 0, gaps = 0;
    for (int c = 0; c < outputs; ++c) {
        double gap = largest - f[c * stride];
        rest += c == top ? 0 : exp(-gap);
        gaps += y[c * stride] * gap;
    }
    for (int c = 0; c < outputs; ++c) {
        double target = y[c * stride];
        double slope = c == top ? (1 - target) - rest / (1 + rest)
                                : exp(f[c * stride] - largest) / (1 + rest) - target;
        s[c * stride] = weight * (REAL)slope;
    }
    return log1p(rest) + gaps;
}
