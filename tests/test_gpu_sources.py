"""The .cu sources: they compile for cards, and do the same on the host as plain Python."""

import cuda_compiler
import host_gpu
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

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
    cuda_compiler.compile_source(loader.source(name), loader.options(dtype), architecture)


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
    """What launch arithmetic takes for granted stands in the sources."""
    gram = loader.source("weighted_gram.cu")
    assert f"#define TILE {launch.TILE}\n" in gram
    assert f"#define GROUP {launch.GROUP}\n" in gram
    assert (launch.TILE // 4) ** 2 == launch.TILE_THREADS
    assert "#define EACH 4\n" in gram
    assert f"#define THREADS {losses.THREADS}\n" in loader.source("losses.cu")


def test_rules_and_losses_have_the_sources_numbers():
    assert "enum { DESCENT, MOMENTUM, NORMALIZED, ADAM };" in loader.source("update.cu")
    assert rules.RULES == {"descent": 0, "momentum": 1, "adagrad": 2, "rmsprop": 2, "adam": 3}
    assert "enum { SQUARED, LOGISTIC };" in loader.source("losses.cu")
    assert losses.LOSSES == {"squared": 0, "logistic": 1}


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
        assert all(size <= launch.MAX_BLOCKS for size in grid[1:])


@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 10**5), st.sampled_from([4, 8]))
def test_slices_share_out_all_neurons_and_fit(n, other_n, m, itemsize):
    slices = launch.gram_slices(n, other_n, m, itemsize)
    assert 1 <= slices <= launch.MAX_SLICES
    assert slices == 1 or slices * n * other_n * itemsize <= launch.PARTS_BYTES
    assert slices <= launch.ceil_div(m, launch.GROUP)
    assert slices * launch.ceil_div(m, slices) >= m
    copies = weighted.weighted_gram_copies((n, other_n), itemsize)
    assert slices + 3 <= copies


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
        losses.loss_and_signal(name, f, Y, weights, s, total)
    found = zip(
        f.reshape(-1, n), weights.reshape(-1, n), s.reshape(-1, n), total.ravel(), strict=True
    )
    for f, weights, s, value in found:
        expected, slopes = naive.loss_and_slopes(f.astype(float), Y.astype(float), name)
        assert_close(value, expected, kind="loss", n=n, dtype=np.float64)
        assert_close(s, weights * np.array(slopes), kind="loss", scale=weights * (1 + np.abs(f)))


def gram_arguments(rng, n=70, m=20, k=18, dtype=np.float64):
    a, delta = rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((n, m)).astype(dtype)
    return a, delta, rng.random((m, k)).astype(dtype), rng.random(m).astype(dtype)


def run_gram(a, delta, D, bias, **options):
    (n, k), m = a.shape, len(D)
    parts = np.zeros((2, n, n), a.dtype)
    sizes = map(np.int32, (n, n, m, k, k, 10, 0))
    host_gpu.launch(
        *("weighted_gram.cu", "weighted_gram", a.dtype, launch.gram_tiles(n, n, 2)),
        (a, delta, a, delta, D, bias, np.arange(k, dtype=np.int32), a.dtype.type(2), parts, *sizes),
        **options,
    )
    return parts.sum(axis=0)


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_may_take_turns_in_any_order(dtype):
    """No thread reads what another one writes between the same two barriers."""
    arguments = gram_arguments(np.random.default_rng(0), dtype=dtype)
    forwards = run_gram(*arguments)
    assert np.array_equal(forwards, run_gram(*arguments, backwards=True))
    a, delta, D, bias = (x.astype(float) for x in arguments)
    expected = 2 * np.einsum("ni,ki,ij,nj,kj->nk", delta, delta, D, a, a)
    expected += 2 * np.einsum("ni,ki,i->nk", delta, delta, bias)
    assert_close(forwards, expected, kind="weighted_gram", n=18 + 20)


BREAKS = [
    ("row < n && column < other_n", "row <= n && column < other_n", "wrote beyond an array"),
    ("first + r < n && start + k < columns", "first + r < n && start + k <= columns", "NaN"),
    ("if (symmetric && blockIdx.x > blockIdx.y)", "if (threadIdx.x == 3)", "missed a barrier"),
    ("            __syncthreads();\n            for (int g = 0", "for (int g = 0", "order"),
]


@on_host
@pytest.mark.parametrize(("good", "bad", "what"), BREAKS, ids=[what for _, _, what in BREAKS])
def test_the_host_sees_what_would_go_wrong_on_a_card(good, bad, what, monkeypatch):
    """Reads and writes beyond the ends, barriers that some threads miss or that are missing."""
    text = loader.source("weighted_gram.cu")
    assert text.count(good) == 1
    monkeypatch.setattr(loader, "source", lambda name: text.replace(good, bad))
    host_gpu.library.cache_clear()
    arguments = gram_arguments(np.random.default_rng(0))
    try:
        if what == "NaN":
            assert np.isnan(run_gram(*arguments)).any()
        elif what == "order":
            forwards, backwards = run_gram(*arguments), run_gram(*arguments, backwards=True)
            assert not np.array_equal(forwards, backwards)
        else:
            with pytest.raises(AssertionError, match=what):
                run_gram(*arguments)
    finally:
        host_gpu.library.cache_clear()


@on_host
def test_the_host_checks_the_types_of_arguments():
    theta = np.zeros(3)
    wrong = (np.int32(0), *(np.float32(0),) * 6, theta, theta, theta, theta, np.int64(3))
    with pytest.raises(AssertionError, match="update"):
        host_gpu.launch("update.cu", "update", np.float64, launch.elements(3), wrong)
