// Runs CUDA kernels on the host: blocks one after the other, a block's threads as fibers that take
// turns at every __syncthreads. Enough of CUDA for this project's kernels, and slow.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after the other

using std::exp, std::fabs, std::log1p, std::sqrt;
using std::cos, std::erf, std::erfc, std::pow, std::sin, std::tanh;

struct Place {
    int x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

namespace host {

constexpr size_t STACK = 1 << 16;

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[STACK]};
    bool done;
};

static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static Fiber *running;
static const std::function<void()> *body;

static void enter() {
    (*body)();
    running->done = true;
}

// Returns 0, or 1 where some threads of a block met at a barrier that others never came to.
static int launch(const int *shape, bool backwards, const std::function<void()> &kernel) {
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], 1, 1};
    body = &kernel;
    if (fibers.size() < (size_t)blockDim.x) fibers.resize(blockDim.x);
    int n_blocks = gridDim.x * gridDim.y * gridDim.z;
    for (int block = 0; block < n_blocks; ++block) {
        blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y,
                    block / gridDim.x / gridDim.y};
        for (int t = 0; t < blockDim.x; ++t) {
            Fiber &fiber = fibers[t];
            fiber.done = false;
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.get();
            fiber.context.uc_stack.ss_size = STACK;
            fiber.context.uc_link = &scheduler;
            makecontext(&fiber.context, enter, 0);
        }
        for (int n_done = 0; n_done < blockDim.x;) {
            n_done = 0;
            for (int k = 0; k < blockDim.x; ++k) {
                int t = backwards ? blockDim.x - 1 - k : k;
                if (!fibers[t].done) {
                    threadIdx = {t, 0, 0};
                    running = &fibers[t];
                    swapcontext(&scheduler, &fibers[t].context);
                }
                n_done += fibers[t].done;
            }
            if (n_done && n_done < blockDim.x) return 1;
        }
    }
    return 0;
}

}  // namespace host

static inline void __syncthreads() {
    int t = threadIdx.x;
    swapcontext(&host::running->context, &host::scheduler);
    threadIdx = {t, 0, 0};
}
