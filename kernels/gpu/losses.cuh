// A loss and its derivative at one output; the formulas are those of ntklin.runs.losses.

enum { SQUARED, LOGISTIC };

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
