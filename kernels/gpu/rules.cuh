// The optimizers' rules, one coordinate each; as the CPU's, and with the coefficients of
// ntklin.runs.optimizers in the same order.

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
// is a coordinate that never had one, where D = 0. Its root is nothing beside ε.
__device__ inline REAL kept(REAL s, REAL before, REAL g) {
    return s != 0 ? s : before != 0 || g != 0 ? LEAST : (REAL)0;
}

// Whether a step leaves its coordinate: where the denominator would be 0.
__device__ inline bool stays(REAL s, REAL eps) { return eps == 0 && s <= LEAST; }

// s ← α s + β g², θ ← θ − η g/(√s + ε): AdaGrad with α = β = 1, and RMSprop.
// Where the denominator is 0, θ stays.
__device__ inline void normalized(const REAL *c, REAL &theta, REAL &squares, REAL g) {
    squares = kept(c[1] * squares + c[2] * (g * g), squares, g);
    if (!stays(squares, c[3])) theta -= c[0] * (g / (sqrt(squares) + c[3]));
}

// m ← m + (1−β_1)(g − m), s ← β_2 s + (1−β_2) g², θ ← θ − η' m/(κ √s + ε).
// Where the denominator is 0, θ stays.
__device__ inline void adam(const REAL *c, REAL &theta, REAL &mean, REAL &squares, REAL g) {
    mean += c[1] * (g - mean);
    squares = kept(c[2] * squares + c[3] * (g * g), squares, g);
    if (!stays(squares, c[5])) theta -= c[0] * (mean / (c[4] * sqrt(squares) + c[5]));
}
