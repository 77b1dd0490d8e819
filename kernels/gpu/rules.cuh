// The optimizers' rules, one coordinate each; as the CPU's, and with the coefficients of
// ntklin.optimizers in the same order.

// θ ← θ − η g.
__device__ inline void descend(const REAL *c, REAL &theta, REAL g) { theta -= c[0] * g; }

// v ← μ v + g, θ ← θ − η (α g + β v): (α, β) is (0, 1), with Nesterov's variant (1, μ).
__device__ inline void momentum(const REAL *c, REAL &theta, REAL &velocity, REAL g) {
    velocity = c[1] * velocity + g;
    theta -= c[0] * (c[2] * g + c[3] * velocity);
}

// s ← α s + β g², θ ← θ − η g/(√s + ε) where s ≠ 0: AdaGrad with α = β = 1, and RMSprop.
// s = 0 is a coordinate without gradient so far, where D = 0.
__device__ inline void normalized(const REAL *c, REAL &theta, REAL &squares, REAL g) {
    squares = c[1] * squares + c[2] * (g * g);
    if (squares != 0) theta -= c[0] * (g / (sqrt(squares) + c[3]));
}

// m ← m + (1−β_1)(g − m), s ← β_2 s + (1−β_2) g², θ ← θ − η' m/(κ √s + ε).
// Where the denominator is 0, θ stays.
__device__ inline void adam(const REAL *c, REAL &theta, REAL &mean, REAL &squares, REAL g) {
    mean += c[1] * (g - mean);
    squares = c[2] * squares + c[3] * (g * g);
    REAL root = c[4] * sqrt(squares) + c[5];
    if (root != 0) theta -= c[0] * (mean / root);
}
