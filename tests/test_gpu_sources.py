"""The .cu sources: they compile for cards, and do the same on the host as plain Python."""

import cuda_compiler
import host_gpu
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from ntklin.kernels.activations import BODIES, RELU, Body, c_functions
from ntklin.kernels.gpu import launch, loader, losses, rules, weighted

SOURCES = sorted(path.name for path in loader.FOLDER.glob("*.cu"))
DTYPES = (np.float32, np.float64)

compiles = pytest.mark.skipif(not cuda_compiler.available(), reason=cuda_compiler.NOTHING)
on_host = pytest.mark.skipif(host_gpu.COMPILER is None, reason="needs g++")


@compiles
@pytest.mark.parametrize("architecture", cuda_compiler.ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_compiles(name, dtype, architecture):
    before = c_functions(RELU) if name == "activation.cu" else ""
    cuda_compiler.compile_source(before + loader.source(name), loader.options(dtype), architecture)


@compiles
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BODIES)
def test_every_activation_compiles(name, dtype):
    text = c_functions(Body(name, *BODIES[name], 2.0)) + loader.source("activation.cu")
    cuda_compiler.compile_source(text, loader.options(dtype), cuda_compiler.ARCHITECTURES[0])


@compiles
def test_a_source_with_an_error_does_not_compile():
    text = loader.source("update.cu").replace("momentum(c, theta[j]", "momentum(c, theta[q]")
    with pytest.raises(cuda_compiler.CompilationError, match='identifier "q" is undefined'):
        cuda_compiler.compile_source(text, loader.options(float), "sm_80")


def test_headers_are_part_of_the_text():
    """CuPy knows compiled code by its text alone."""
    text = loader.source("update.cu")
    assert "#include" not in text
    assert (loader.FOLDER / "rules.cuh").read_text() in text


def test_python_and_sources_agree_on_sizes():
    assert f"#define THREADS {losses.THREADS}\n" in loader.source("losses.cu")


def test_rules_and_losses_have_the_sources_numbers():
    assert "enum { DESCENT, MOMENTUM, NORMALIZED, ADAM };" in loader.source("update.cu")
    assert rules.RULES == {"descent": 0, "momentum": 1, "adagrad": 2, "rmsprop": 2, "adam": 3}
    assert "enum { SQUARED, LOGISTIC, SOFTMAX };" in loader.source("losses.cu")
    assert losses.LOSSES == {"squared": 0, "logistic": 1, "softmax": 2}


# Launch arithmetic


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_grids_stay_within_what_cards_take(n, m):
    for (grid, block), threads in (
        (launch.elements(n), launch.THREADS),
        (launch.matrix(n, m, 1 + n % launch.MAX_BLOCKS), launch.THREADS),
        (launch.networks(n, losses.THREADS), losses.THREADS),
        (launch.neurons(n, m, 1 + n % 1000), launch.THREADS),
    ):
        assert 1 <= block[0] <= threads
        assert block[0] % 32 == 0
        assert all(1 <= size <= 2**31 - 1 for size in grid)
        assert all(size <= 65_535 for size in grid[1:])


@given(
    counts=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=30),
    k=st.integers(1, 50),
    block=st.integers(1, 10**6),
)
def test_batches_take_every_neuron_that_counts_once_and_fit(counts, k, block):
    left, right = np.array(counts).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighted, "BLOCK_BYTES", block)
        groups = list(weighted._groups(left, right, k, 8))
        copies = weighted.weighted_gram_copies((60, 40), 8)
    assert (
        sorted(i for group, _, _ in groups for i in group) == np.flatnonzero(left * right).tolist()
    )
    for group, most, other_most in groups:
        assert (most, other_most) == (left[group].max(), right[group].max())
        assert len(group) == 1 or len(group) * 8 * k * (most + other_most) <= block
        products = len(group) * most * other_most
        assert products <= (copies - 1) * 60 * 40


# The same text on the host


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@given(
    case=st.sampled_from(
        [
            ("descent", {}),
            ("momentum", {"momentum": 0.9, "nesterov": False}),
            ("momentum", {"momentum": 0.8, "nesterov": True}),
            ("adagrad", {"eps": 1e-10}),
            ("rmsprop", {"alpha": 0.9, "eps": 1e-8}),
            ("adam", {"betas": (0.9, 0.999), "eps": 1e-8}),
        ]
    ),
    size=st.integers(1, 600),
    seed=st.integers(0, 1000),
)
def test_rules(dtype, case, size, seed):
    """Three steps of each rule, with coordinates that never get a gradient."""
    name, options = case
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(size).astype(dtype)
    reference, memory = theta.astype(float), {}
    step = naive.optimizer(name, 0.1, **options)
    slots = [np.zeros(size, dtype) for _ in range(rules.SLOTS[name])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "launch", host_gpu.launch)
        for t in range(3):
            g = (rng.standard_normal(size) * (np.arange(size) % 3 > 0)).astype(dtype)
            rules.update(name, coefficients(name, t + 1, options), theta, slots, g)
            reference = reference + step(t, g.astype(float), memory)[0]
    # The quotient's relative error is of order eps, and each step moves by at most a few times η.
    assert_close(theta, reference, kind="rule", n=3, scale=np.abs(reference).max() + 1)


def coefficients(name, t, options):
    """As the rules take them, written down once more."""
    if name == "descent":
        return (0.1,)
    if name == "momentum":
        mu = options["momentum"]
        return (0.1, mu, 1.0, mu) if options["nesterov"] else (0.1, mu, 0.0, 1.0)
    if name == "adam":
        beta, gamma = options["betas"]
        correction = 1 / np.sqrt(1 - gamma**t)
        return (0.1 / (1 - beta**t), 1 - beta, gamma, 1 - gamma, correction, options["eps"])
    alpha = options.get("alpha")
    weights = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    return (0.1, *weights, options["eps"])


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["squared", "logistic"])
@pytest.mark.parametrize("shape", [(1,), (5,), (3, 300), (1000,)])
def test_losses(dtype, name, shape):
    """Of one network, or of several."""
    n = shape[-1]
    rng = np.random.default_rng(n)
    f, Y = (3 * rng.standard_normal(shape)).astype(dtype), rng.random(n).astype(dtype)
    weights = (rng.random(shape) / n).astype(dtype)
    s, total = np.empty(shape, dtype), np.empty((1, *shape[:-1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "launch", host_gpu.launch)
        losses.loss_and_derivatives(name, f, Y, weights, s, total)
    found = zip(
        f.reshape(-1, n), weights.reshape(-1, n), s.reshape(-1, n), total.ravel(), strict=True
    )
    for f, weights, s, value in found:
        expected, slopes = naive.loss_and_slopes(f.astype(float), Y.astype(float), name)
        assert_close(value, expected, kind="loss", n=n, dtype=np.float64)
        assert_close(s, weights * np.array(slopes), kind="loss", scale=weights * (1 + np.abs(f)))


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize(("shape", "by_output"), [((5, 2), False), ((300, 3), True)])
def test_losses_of_several_outputs(dtype, name, shape, by_output):
    """Of two networks that share the targets, n major or output by output."""
    rng, (n, C) = np.random.default_rng(1), shape
    f = (3 * rng.standard_normal((2, n, C))).astype(dtype)
    weights = (rng.random((2, n)) / n).astype(dtype)
    # Sums of powers of two, which are probabilities to the last bit in either precision.
    Y = rng.multinomial(64, np.ones(C) / C, n).astype(dtype) / 64
    f[1, 0, 0] = 60  # a likeliest class beyond doubt

    def laid_out(a):
        return np.ascontiguousarray(a.swapaxes(-1, -2) if by_output else a)

    s, totals = np.empty_like(laid_out(f)), np.empty(2)
    arguments = name, laid_out(f), laid_out(Y), weights, s, totals
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "launch", host_gpu.launch)
        losses.losses_and_derivatives(*arguments, by_output=by_output)
    for one, w, slopes, total in zip(f, weights, s, totals, strict=True):
        expected, each = naive.loss_and_slopes(one.astype(float), Y.astype(float), name)
        scale = 1 + abs(one).max()
        assert_close(total, expected, kind="loss", n=n * C, scale=scale, dtype=np.float64)
        slopes = slopes.T if by_output else slopes
        each = w[:, None] * np.reshape(each, shape)
        assert_close(slopes, each, kind="loss", scale=w.max() * scale)


def run_losses(n=300, dtype=np.float64, **options):
    rng = np.random.default_rng(0)
    f, Y, weights = (rng.random(n).astype(dtype) for _ in range(3))
    s, total = np.zeros(n, dtype), np.zeros(1)
    arguments = (np.int32(losses.LOSSES["squared"]), f, Y, weights, s, total, np.int32(n))
    shape = (1,), (losses.THREADS,)
    host_gpu.launch("losses.cu", "loss_and_derivatives", f.dtype, shape, arguments, **options)
    return total, s


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_may_take_turns_in_any_order(dtype):
    """No thread reads what another one writes between the same two barriers."""
    for one, other in zip(
        run_losses(dtype=dtype), run_losses(dtype=dtype, backwards=True), strict=True
    ):
        assert np.array_equal(one, other)


BARRIER = "        __syncthreads();\n"
BREAKS = [
    ("s[i] = sample_weights[i]", "s[i + 1] = sample_weights[i]", "wrote beyond an array"),
    ("loss_value(loss, f[i], y[i])", "loss_value(loss, f[i + 1], y[i])", "NaN"),
    (BARRIER, "        if (threadIdx.x != 3) __syncthreads();\n", "missed a barrier"),
    (BARRIER, "", "order"),
]


@on_host
@pytest.mark.parametrize(("good", "bad", "what"), BREAKS, ids=[what for _, _, what in BREAKS])
def test_the_host_sees_what_would_go_wrong_on_a_card(good, bad, what, monkeypatch):
    """Reads and writes beyond the ends, barriers that some threads miss or that are missing."""
    text = loader.source("losses.cu")
    assert text.count(good) == 1
    monkeypatch.setattr(loader, "source", lambda name: text.replace(good, bad))
    host_gpu.library.cache_clear()
    try:
        if what == "NaN":
            assert np.isnan(run_losses()[0]).all()
        elif what == "order":
            assert run_losses()[0] != run_losses(backwards=True)[0]
        else:
            with pytest.raises(AssertionError, match=what):
                run_losses()
    finally:
        host_gpu.library.cache_clear()


@on_host
def test_the_host_checks_the_types_of_arguments():
    theta = np.zeros(3)
    wrong = (np.int32(0), *(np.float32(0),) * 6, theta, theta, theta, theta, np.int64(3))
    with pytest.raises(AssertionError, match="update"):
        host_gpu.launch("update.cu", "update", np.float64, launch.elements(3), wrong)
