// One step of an optimizer's rule: parameters, slots and gradient pass through once.
#include "rules.cuh"

enum { DESCENT, MOMENTUM, NORMALIZED, ADAM };

// A rule without slots never touches what stands in their place.
extern "C" __global__ void update(int rule, REAL c0, REAL c1, REAL c2, REAL c3, REAL c4, REAL c5,
                                  REAL *theta, REAL *first, REAL *second, const REAL *g,
                                  long long count) {
    const REAL c[] = {c0, c1, c2, c3, c4, c5};
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x; j < count; j += stride) {
        if (rule == DESCENT)
            descend(c, theta[j], g[j]);
        else if (rule == MOMENTUM)
            momentum(c, theta[j], first[j], g[j]);
        else if (rule == NORMALIZED)
            normalized(c, theta[j], first[j], g[j]);
        else
            adam(c, theta[j], first[j], second[j], g[j]);
    }
}
