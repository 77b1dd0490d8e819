// The optimizers' rules, one coordinate each; as the CPU's, and with the coefficients of
// ntklin.optimizers in the same order.

// θ ← θ − η g.
__device__ inline void descend(const REAL *c, REAL &theta, REAL g) { theta -= c[0] * g; }

// v ← μ v + g, θ ← θ − η (α g + β v): (α, β) is (0, 1), with Nesterov's variant (1, μ).
__device__ inline void momentum(const REAL *c, REAL &theta, REAL &velocity, REAL g) {
    velocity = c[1] * velocity + g;
    theta -= c[0] * (c[2] * g + c[3] * velocity);
}

// The least number above 0.
#define LEAST (sizeof(REAL) == 4 ? (REAL)1e-45 : (REAL)5e-324)

// What is kept of s: the least number instead of 0 where there is or was a gradient, so that s = 0
// is a coordinate that never had one, where D = 0. Steps take the least number for 0.
__device__ inline REAL mark(REAL s, REAL before, REAL g) {
    return s != 0 ? s : before != 0 || g != 0 ? LEAST : (REAL)0;
}

// √s; an s that is NaN stays so.
__device__ inline REAL root_of(REAL s) { return sqrt(s > LEAST ? s : s * 0); }

// s ← α s + β g², θ ← θ − η g/(√s + ε): AdaGrad with α = β = 1, and RMSprop.
// Where the denominator is 0, θ stays.
__device__ inline void normalized(const REAL *c, REAL &theta, REAL &squares, REAL g) {
    REAL s = c[1] * squares + c[2] * (g * g);
    squares = mark(s, squares, g);
    REAL root = root_of(s) + c[3];
    if (root != 0) theta -= c[0] * (g / root);
}

// m ← m + (1−β_1)(g − m), s ← β_2 s + (1−β_2) g², θ ← θ − η' m/(κ √s + ε).
// Where the denominator is 0, θ stays.
__device__ inline void adam(const REAL *c, REAL &theta, REAL &mean, REAL &squares, REAL g) {
    mean += c[1] * (g - mean);
    REAL s = c[2] * squares + c[3] * (g * g);
    squares = mark(s, squares, g);
    REAL root = c[4] * root_of(s) + c[5];
    if (root != 0) theta -= c[0] * (mean / root);
}
