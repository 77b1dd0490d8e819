"""Every rule step by step: against PyTorch, plain loops and 50 digits; and what all rules share."""

import doctest
import inspect
import json
import warnings
from pathlib import Path

import mpmath
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_each_close

import ntklin
from ntklin.kernels.cpu import rules
from ntklin.runs import optimizer as room
from ntklin.runs.optimizer import OptimizerState

DTYPES = (np.float64, np.float32)
REFERENCE = json.loads(Path(__file__).with_name("reference_optimizers.json").read_text("utf-8"))
# One optimizer of each rule and its name in `naive`, for whatever does not depend on its options.
EACH = {
    "descent": ntklin.GradientDescent(0.1),
    "momentum": ntklin.Momentum(0.1),
    "nesterov": ntklin.Momentum(0.1, 0.9, True),
    "adagrad": ntklin.AdaGrad(0.1),
    "adagrad without eps": ntklin.AdaGrad(0.1, 0.0),
    "rmsprop": ntklin.RMSprop(0.1),
    "rmsprop without eps": ntklin.RMSprop(0.1, 0.9, 0.0),
    "adam": ntklin.Adam(0.1),
    "adam without eps": ntklin.Adam(0.1, (0.9, 0.99), 0.0),
    "preconditioned": ntklin.Preconditioned(0.1, lambda t, g: np.linspace(0, 1 + t, len(g))),
}
each = pytest.mark.parametrize("optimizer", EACH.values(), ids=EACH.keys())
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def as_torch(entry):
    """The optimizer that a stored run was made with."""
    options = dict(entry["options"])
    rate = options.pop("lr")
    if entry["class"] == "Adam":
        return ntklin.Adam(rate, **options)
    if entry["class"] == "SGD":
        return ntklin.Momentum(rate, **options) if options else ntklin.GradientDescent(rate)
    return {"Adagrad": ntklin.AdaGrad, "RMSprop": ntklin.RMSprop}[entry["class"]](rate, **options)


def loops(optimizer):
    """The same rule in `naive`."""
    names = {"GradientDescent": "descent"}
    options = dict(vars(optimizer))
    name = type(optimizer).__name__
    return naive.optimizer(names.get(name, name.lower()), options.pop("learning_rate"), **options)


def walk(optimizer, theta, gradients):
    """θ and the state after each step."""
    state, path = optimizer.init(theta), []
    for g in gradients:
        theta, state = optimizer.update(state, theta, g)
        path.append((theta, state))
    return path


def naive_walk(optimizer, theta, gradients):
    """θ and D_t after each step, and the absolute terms that θ sums."""
    step, unsigned, memory, other = loops(optimizer), loops(optimizer), {}, {}
    theta, size, path = theta.astype(float), np.abs(theta.astype(float)), []
    for t, g in enumerate(gradients.astype(float)):
        change, D = step(t, g, memory)
        theta, size = theta + change, size + np.abs(unsigned(t, np.abs(g), other)[0])
        path.append((theta, D, size))
    return path


def assert_walks_agree(path, expected):
    for t, ((theta, _), (truth, _, size)) in enumerate(zip(path, expected, strict=True)):
        assert_each_close(theta, truth, scale=size, kind="rule", n=t + 1)


@st.composite
def optimizers(draw):
    """Any compiled rule with any options."""
    rate = draw(st.sampled_from([1e-3, 0.1, 2.0]))
    eps = draw(st.sampled_from([0.0, 1e-10, 1e-8, 1e-3, 1.0]))
    fraction = st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.999])
    kind = draw(st.sampled_from(["descent", "momentum", "adagrad", "rmsprop", "adam"]))
    if kind == "descent":
        return ntklin.GradientDescent(rate)
    if kind == "momentum":
        return ntklin.Momentum(rate, draw(fraction), nesterov=draw(st.booleans()))
    if kind == "adagrad":
        return ntklin.AdaGrad(rate, eps)
    if kind == "rmsprop":
        return ntklin.RMSprop(rate, draw(fraction), eps)
    # With β_2 = 0 and a gradient that vanishes for a step, a mean is divided by ε alone.
    return ntklin.Adam(rate, (draw(fraction), draw(fraction.filter(bool))), eps)


@st.composite
def walks(draw, max_steps=6):
    """θ and gradients of many sizes, some coordinates without any or none at first."""
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    P, steps = draw(st.integers(1, 40)), draw(st.integers(1, max_steps))
    gradients = rng.standard_normal((steps, P)) * 10.0 ** rng.uniform(-8, 8, P)
    begins = rng.choice([0, 0, 2, steps], P)
    gradients[np.arange(steps)[:, None] < begins] = 0
    theta = rng.standard_normal(P) * rng.choice([0.0, 1.0, 100.0], P)
    return theta.astype(dtype), gradients.astype(dtype)


# Against others' values


@each_dtype
@pytest.mark.parametrize(
    "entry", REFERENCE["runs"], ids=lambda e: f"{e['class']}-{list(e['options'].values())}"
)
def test_stored_values_of_pytorch(entry, dtype):
    optimizer = as_torch(entry)
    theta, gradients = (np.array(REFERENCE[k], dtype) for k in ("theta", "gradients"))
    path = walk(optimizer, theta, gradients)
    expected = np.array(entry[np.dtype(dtype).name], dtype)
    sizes = [size for _, _, size in naive_walk(optimizer, theta, gradients)]
    never = REFERENCE["coordinates"].index("never")
    assert len(expected) == len(path) == 12
    for t, (here, _) in enumerate(path):
        # PyTorch's own rounding is as large as ours.
        assert_each_close(here, expected[t], scale=2 * sizes[t], kind="rule", n=t + 1)
        assert here.dtype == dtype
        assert here[never] == theta[never] == expected[t, never]


def test_the_stored_values_cover_every_rule_and_its_defaults():
    made = [as_torch(entry) for entry in REFERENCE["runs"]]
    for optimizer in (
        ntklin.GradientDescent(0.1),
        ntklin.Momentum(0.1),
        ntklin.Momentum(0.1, nesterov=True),
        ntklin.AdaGrad(0.1),
        ntklin.RMSprop(0.01),
        ntklin.Adam(0.001),
    ):
        assert optimizer in made
    gradients = np.abs(np.array(REFERENCE["gradients"]))
    assert gradients.max() > 1e17
    assert gradients[gradients > 0].min() < 1e-18


@given(optimizer=optimizers(), problem=walks())
def test_against_plain_loops(optimizer, problem):
    path, expected = walk(optimizer, *problem), naive_walk(optimizer, *problem)
    assert_walks_agree(path, expected)
    for t, ((_, state), (_, D, _)) in enumerate(zip(path, expected, strict=True)):
        found = optimizer.preconditioner(state)
        if isinstance(optimizer, ntklin.GradientDescent | ntklin.Momentum):
            assert found == 1.0
        else:
            assert_each_close(found, D, scale=D, kind="rule", n=t + 1)


def literal_sums(optimizer, theta, gradients):
    """θ_T in 50 digits by sums over the gradients' whole past, with no state at all."""
    m = mpmath.mpf
    rate = m(optimizer.learning_rate)
    options = {k: v for k, v in vars(optimizer).items() if isinstance(v, float)}
    ends = []
    for start, column in zip(theta, gradients.T, strict=True):
        g, x = [m(float(v)) for v in column], m(float(start))
        for t in range(len(g)):
            past = list(enumerate(g[: t + 1]))
            if isinstance(optimizer, ntklin.Momentum):
                mu = m(options["momentum"])
                velocity = sum(mu ** (t - u) * g_u for u, g_u in past)
                x -= rate * (g[t] + mu * velocity if optimizer.nesterov else velocity)
                continue
            direction, eps = g[t], m(optimizer.eps)
            if isinstance(optimizer, ntklin.AdaGrad):
                square = sum(g_u**2 for _, g_u in past)
            elif isinstance(optimizer, ntklin.RMSprop):
                alpha = m(optimizer.alpha)
                square = (1 - alpha) * sum(alpha ** (t - u) * g_u**2 for u, g_u in past)
            else:
                b, c = map(m, optimizer.betas)
                # (1 − β) Σ_u β^{t−u}, the sum of the weights, is what bias correction divides by.
                total = [sum(beta ** (t - u) for u, _ in past) for beta in (b, c)]
                direction = sum(b ** (t - u) * g_u for u, g_u in past) / total[0]
                square = sum(c ** (t - u) * g_u**2 for u, g_u in past) / total[1]
            if square:
                x -= rate * direction / (mpmath.sqrt(square) + eps)
        ends.append(float(x))
    return np.array(ends)


@pytest.mark.parametrize(
    "optimizer",
    [
        ntklin.Momentum(0.1, 0.7),
        ntklin.Momentum(0.1, 0.7, nesterov=True),
        ntklin.AdaGrad(0.1),
        ntklin.RMSprop(0.1, 0.9),
        ntklin.Adam(0.1),
        ntklin.Adam(0.1, (0.3, 0.6), 0.0),
    ],
    ids=repr,
)
def test_against_sums_over_the_whole_past_in_50_digits(optimizer):
    theta, gradients = (np.array(REFERENCE[k]) for k in ("theta", "gradients"))
    with mpmath.workdps(50):
        expected = literal_sums(optimizer, theta, gradients)
    (end, _), size = walk(optimizer, theta, gradients)[-1], naive_walk(optimizer, theta, gradients)
    assert_each_close(end, expected, scale=size[-1][2], kind="rule", n=len(gradients))


# What all rules share


@each
@each_dtype
def test_update_is_pure_and_step_is_the_same_in_place(optimizer, dtype):
    rng = np.random.default_rng(0)
    theta, *gradients = rng.standard_normal((5, 7)).astype(dtype)
    state, path = optimizer.init(theta), []
    in_place, running = theta.copy(), optimizer.init(theta)
    for t, g in enumerate(gradients):
        for a in (theta, g, *state.slots.values()):
            a.flags.writeable = False
        before = state.copy()
        path.append((theta.copy(), theta))
        theta, new = optimizer.update(state, theta, g)
        assert state == before
        assert optimizer.update(state, path[-1][0], g)[1] == new
        state = new
        running = optimizer.step(running, in_place, g)
        np.testing.assert_array_equal(in_place, theta)
        assert running == state
        assert state.count == t + 1
        assert all(a.dtype == dtype for a in (theta, *state.slots.values()))
        assert np.asarray(optimizer.preconditioner(state), dtype).dtype == dtype
    for copy, original in path:
        np.testing.assert_array_equal(copy, original)


@each
def test_the_preconditioner_shares_no_memory_with_the_state(optimizer):
    theta = np.ones(3)
    _, state = optimizer.update(optimizer.init(theta), theta, theta)
    before, D = state.copy(), np.asarray(optimizer.preconditioner(state))
    assert not any(np.shares_memory(D, a) for a in state.slots.values())
    if D.ndim:
        assert optimizer.preconditioner(state).dtype == theta.dtype
        D[:] = -1
    assert state == before


@given(optimizer=optimizers().filter(lambda o: o.is_preconditioner), problem=walks())
def test_a_step_is_minus_eta_d_times_the_gradient(optimizer, problem):
    theta, gradients = problem
    for g, (moved, state) in zip(gradients, walk(optimizer, theta, gradients), strict=True):
        D = np.asarray(optimizer.preconditioner(state), float)
        change = -optimizer.learning_rate * D * g
        scale = np.abs(theta) + np.abs(change)
        assert_each_close(moved, theta + change, scale=scale, kind="rule")
        theta = moved


@each_dtype
def test_a_gradient_whose_square_underflows_has_the_d_of_eps_alone(dtype):
    """And none without ε: 1/0 is no number, and θ stays."""
    tiny = np.finfo(dtype).smallest_subnormal
    for optimizer in (ntklin.AdaGrad(0.1), ntklin.RMSprop(0.1), ntklin.AdaGrad(0.1, 0.0)):
        theta, state = optimizer.update(
            optimizer.init(np.zeros(1, dtype)), np.zeros(1, dtype), np.array([tiny])
        )
        D = 1 / dtype(optimizer.eps) if optimizer.eps else 0
        assert optimizer.preconditioner(state)[0] == D
        assert theta[0] == -dtype(0.1) * (tiny / dtype(optimizer.eps) if optimizer.eps else 0)


@each_dtype
def test_a_gradient_whose_square_overflows_stands_still(dtype):
    huge = np.array([np.finfo(dtype).max])
    for optimizer in EACH.values():
        if optimizer.is_preconditioner and optimizer.init(huge).slots:
            with np.errstate(over="ignore"):
                theta, state = optimizer.update(optimizer.init(huge), np.ones(1, dtype), huge)
            assert theta[0] == 1
            assert optimizer.preconditioner(state)[0] == 0


@each
@each_dtype
def test_coordinates_without_gradient_stay_bit_for_bit(optimizer, dtype):
    rng = np.random.default_rng(1)
    theta = np.array([0.0, -0.0, 1 / 3, -1e30, 1e-30, *rng.standard_normal(8)], dtype)
    gradients = np.zeros((5, len(theta)), dtype)
    gradients[:, -3:] = rng.standard_normal((5, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for here, state in walk(optimizer, theta, gradients):
            assert here[:-3].tobytes() == theta[:-3].tobytes()
            D = optimizer.preconditioner(state)
            if state.slots.keys() & {"squares"}:
                assert not D[:-3].any()
                assert (D[-3:] > 0).all()
    assert (here[-3:] != theta[-3:]).all()


@given(problem=walks(), seed=st.integers(0, 99))
def test_adagrad_without_eps_does_not_see_the_gradients_units(problem, seed):
    theta, gradients = problem
    rng = np.random.default_rng(seed)
    # Powers of two, so that nothing is rounded, and either sign.
    units = 2.0 ** rng.integers(-20, 21, len(theta))
    signs = rng.choice([-1, 1], len(theta))
    optimizer = ntklin.AdaGrad(0.1, eps=0.0)
    scaled = (gradients * units).astype(theta.dtype)
    for (here, _), (there, _), (mirrored, _) in zip(
        walk(optimizer, theta, gradients),
        walk(optimizer, theta, scaled),
        walk(optimizer, signs.astype(theta.dtype) * theta, signs.astype(theta.dtype) * gradients),
        strict=True,
    ):
        np.testing.assert_array_equal(here, there)
        np.testing.assert_array_equal(here, signs * mirrored)


@given(problem=walks(max_steps=1), fractions=st.tuples(*[st.floats(0, 0.999)] * 2))
def test_adams_first_step_is_the_sign_of_the_gradient(problem, fractions):
    theta, gradients = problem
    optimizer = ntklin.Adam(0.1, fractions, eps=0.0)
    ((here, state),) = walk(optimizer, theta, gradients)
    step = -0.1 * np.sign(gradients[0])
    # 1 − β is rounded once in the mean and once in its correction.
    kappa = 1 / (1 - max(fractions))
    assert_each_close(here, theta + step, scale=np.abs(theta) + 0.1, kind="rule", kappa=kappa)
    D = optimizer.preconditioner(state)
    assert_each_close(D * np.abs(gradients[0]), np.abs(np.sign(step)), scale=1.0, kind="rule")


@given(optimizer=optimizers(), problem=walks(), cut=st.integers(0, 40))
def test_an_elements_result_does_not_depend_on_where_it_stands(optimizer, problem, cut):
    """Vector instructions and what is left over after them round alike."""
    theta, gradients = problem
    whole = walk(optimizer, theta, gradients)[-1][0]
    parts = [slice(0, cut % len(theta)), slice(cut % len(theta), None)]
    ends = [walk(optimizer, theta[p], gradients[:, p])[-1][0] for p in parts if len(theta[p])]
    np.testing.assert_array_equal(np.concatenate(ends), whole)


@each_dtype
@pytest.mark.parametrize("rule", rules.RULES)
def test_a_rule_keeps_to_its_elements(rule, dtype):
    """From element 3 on, by a gradient that lies elsewhere in its own array."""
    rng = np.random.default_rng(2)
    theta, first, second = np.abs(rng.standard_normal((3, 12))).astype(dtype)
    g = rng.standard_normal(9).astype(dtype)
    c = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], dtype)
    arrays = rules.WithSlots(*(a.copy() for a in (theta, first, second)))
    rules.apply_step(rules.step_of(rule, c, dtype), arrays, 3, g, 1, 7)
    alone = [a[3:10].copy() for a in (theta, first, second)]
    rules.update(rule, c, alone[0], alone[1 : 1 + rules.SLOTS[rule]], g[1:8].copy())
    for old, new, part in zip((theta, first, second), arrays, alone, strict=True):
        np.testing.assert_array_equal(new[3:10], part)
        np.testing.assert_array_equal(np.delete(new, np.s_[3:10]), np.delete(old, np.s_[3:10]))
    assert (arrays[0][3:10] != theta[3:10]).all()


@each_dtype
def test_the_same_bits_on_one_and_two_threads(dtype):
    numba = pytest.importorskip("numba")
    if numba.get_num_threads() < 2 or numba.config.DISABLE_JIT:
        pytest.skip("needs two threads")
    P = 3 * rules.BLOCK + 17
    theta, *gradients = np.random.default_rng(0).standard_normal((4, P)).astype(dtype)
    for name, optimizer in EACH.items():
        two = walk(optimizer, theta, gradients)[-1]
        numba.set_num_threads(1)
        try:
            one = walk(optimizer, theta, gradients)[-1]
        finally:
            numba.set_num_threads(2)
        np.testing.assert_array_equal(one[0], two[0], err_msg=name)
        assert one[1] == two[1], name


def test_rules_have_the_slots_that_their_optimizers_keep():
    for optimizer in EACH.values():
        if optimizer.rule:
            slots = optimizer.init(np.ones(2)).slots
            assert len(slots) == rules.SLOTS[optimizer.rule]
            assert all(not a.any() for a in slots.values())
    assert {o.rule for o in EACH.values()} - {None} == set(rules.RULES) == set(rules.SLOTS)


# Any D_t the caller gives


@pytest.mark.parametrize(
    "D",
    [
        2,
        np.float32(0.5),
        np.array(3.0),
        True,
        [1.0, 0.0, 2.0],
        np.zeros(3),
        np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
        np.arange(9).reshape(3, 3),
    ],
    ids=str,
)
@each_dtype
def test_preconditioned_takes_scalars_diagonals_and_matrices(D, dtype):
    theta, g = np.array([1.0, -2.0, 3.0], dtype), np.array([0.5, 4.0, -1.0], dtype)
    optimizer = ntklin.Preconditioned(0.25, lambda t, gradient: D)
    moved, state = optimizer.update(optimizer.init(theta), theta, g)
    full = np.asarray(D, float)
    full = np.diag(np.broadcast_to(full, 3)) if full.ndim < 2 else full
    np.testing.assert_array_equal(moved, theta - 0.25 * (full @ g))  # nothing is rounded here
    assert moved.dtype == dtype
    found = optimizer.preconditioner(state)
    np.testing.assert_array_equal(found, D)
    assert np.shape(found) == np.shape(D)


def test_preconditioned_tells_the_step_and_the_gradient():
    seen = []

    def fn(t, gradient):
        seen.append((t, gradient.copy()))
        return 1 / (1 + t)

    optimizer = ntklin.Preconditioned(1.0, fn)
    theta, gradients = np.zeros(2), np.arange(8.0).reshape(4, 2)
    path = walk(optimizer, theta, gradients)
    assert [t for t, _ in seen] == [0, 1, 2, 3]
    np.testing.assert_array_equal([g for _, g in seen], gradients)
    assert [optimizer.preconditioner(state) for _, state in path] == [1, 1 / 2, 1 / 3, 1 / 4]


def test_preconditioned_with_adagrads_d_is_adagrad():
    def fn(t, gradient, sums={}):  # noqa: B006
        sums[t] = sums.get(t - 1, 0.0) + gradient**2
        return 1 / np.sqrt(sums[t])

    theta, gradients = np.ones(5), np.random.default_rng(3).standard_normal((6, 5))
    mine = walk(ntklin.Preconditioned(0.1, fn), theta, gradients)[-1][0]
    theirs = walk(ntklin.AdaGrad(0.1, 0.0), theta, gradients)[-1][0]
    assert_each_close(mine, theirs, scale=np.full(5, 2.0), kind="rule", n=6)


def test_what_fn_returned_is_copied():
    D = np.ones(2)
    optimizer = ntklin.Preconditioned(0.1, lambda t, g: D)
    _, state = optimizer.update(optimizer.init(D), np.ones(2), np.ones(2))
    D[:] = 7
    np.testing.assert_array_equal(optimizer.preconditioner(state), 1)


def spoil(t, gradient):
    gradient[:] = 0


@pytest.mark.parametrize(
    ("fn", "error", "match"),
    [
        (
            lambda t, g: "much",
            TypeError,
            r"fn\(0, gradient\) must be .*, got dtype <U4",
        ),
        (
            lambda t, g: None,
            TypeError,
            r"fn\(0, gradient\) must be .*, got the missing",
        ),
        (lambda t, g: 1j, TypeError, "real numbers, got dtype complex128"),
        (lambda t, g: np.ones(3), ValueError, r"shape \(2,\) or \(2, 2\), got shape \(3,\)"),
        (lambda t, g: np.ones((2, 1)), ValueError, r"shape \(2,\) or \(2, 2\), got shape \(2, 1\)"),
        (lambda t, g: np.nan, ValueError, "returned NaN, or numbers beyond the range of float32"),
        (lambda t, g: [1, np.inf], ValueError, "returned NaN, or numbers beyond the range of"),
        (lambda t, g: 1e39, ValueError, "returned NaN, or numbers beyond the range of float32"),
        (lambda t, g: -1, ValueError, "returned a negative D_t; D ≥ 0 is required"),
        (lambda t, g: [1, -1e-9], ValueError, "returned a negative D_t"),
        (spoil, ValueError, "read-only"),
    ],
)
def test_bad_preconditioners(fn, error, match):
    optimizer, theta = ntklin.Preconditioned(0.1, fn), np.ones(2, np.float32)
    with np.errstate(all="raise"), pytest.raises(error, match=match):
        optimizer.update(optimizer.init(theta), theta, theta)


# States


def test_states_are_equal_where_every_bit_is():
    def state(count=2, dtype=float, **slots):
        return OptimizerState(count, {k: np.array(v, dtype) for k, v in slots.items()})

    one = state(squares=[1.0, 2.0])
    assert one == state(squares=[1.0, 2.0])
    assert one == one.copy()
    assert OptimizerState() == OptimizerState(0, {})
    assert one != state(count=3, squares=[1.0, 2.0])
    assert one != state(squares=[1.0, 2.5])
    assert one != state(squares=[1.0])
    assert one != state(means=[1.0, 2.0])
    assert one != state(squares=[1.0, 2.0], means=[1.0, 2.0])
    assert one != state(dtype=np.float32, squares=[1.0, 2.0])
    assert one != 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_a_copy_has_arrays_of_its_own():
    state = ntklin.Adam(0.1).init(np.ones(3))
    copy = state.copy()
    copy.slots["means"][:] = 1
    assert not state.slots["means"].any()


def test_slots_are_found_by_name():
    """Files may give them back in another order."""
    optimizer, theta = ntklin.Adam(0.1), np.arange(1.0, 4)
    theta, state = optimizer.update(optimizer.init(theta), theta, theta)
    turned = OptimizerState(state.count, dict(reversed(state.slots.items())))
    a, b = (optimizer.update(s, theta, theta) for s in (state, turned))
    np.testing.assert_array_equal(a[0], b[0])
    assert a[1] == b[1]


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (ntklin.AdaGrad(1).init(np.ones(3)), r"Adam on theta \(3,\) float64: it holds squares"),
        (ntklin.GradientDescent(1).init(np.ones(3)), "it holds nothing; make it with init"),
        (ntklin.Adam(1).init(np.ones(2)), r"holds means \(2,\) float64, squares \(2,\) float64"),
        (ntklin.Adam(1).init(np.ones(3, np.float32)), r"holds means \(3,\) float32"),
    ],
)
def test_a_state_of_something_else_is_refused(state, match):
    theta = np.ones(3)
    for call in (ntklin.Adam(0.1).update, ntklin.Adam(0.1).step):
        with pytest.raises(ValueError, match=match):
            call(state, theta, theta)
    np.testing.assert_array_equal(theta, 1)


@each
def test_d_is_known_after_the_first_step(optimizer):
    state = optimizer.init(np.ones(2))
    if isinstance(optimizer, ntklin.GradientDescent | ntklin.Momentum):
        assert optimizer.preconditioner(state) == 1.0
        return
    with pytest.raises(ValueError, match=r"state has taken no step: .* after the first one"):
        optimizer.preconditioner(state)


# Arguments


def test_signatures():
    assert ntklin.GradientDescent() == ntklin.GradientDescent(None)
    assert ntklin.GradientDescent().learning_rate is None
    assert ntklin.Momentum(0.1) == ntklin.Momentum(0.1, 0.9, False)
    assert ntklin.Momentum(0.1, 0.8, True) == ntklin.Momentum(0.1, momentum=0.8, nesterov=True)
    assert ntklin.AdaGrad(0.1) == ntklin.AdaGrad(0.1, eps=1e-10) == ntklin.AdaGrad(0.1, 1e-10)
    assert ntklin.RMSprop(0.1) == ntklin.RMSprop(0.1, 0.99, 1e-8)
    assert ntklin.RMSprop(0.1) == ntklin.RMSprop(0.1, alpha=0.99, eps=1e-8)
    assert ntklin.Adam(0.1) == ntklin.Adam(0.1, (0.9, 0.999), 1e-8)
    assert ntklin.Adam(0.1) == ntklin.Adam(learning_rate=0.1, betas=[0.9, 0.999], eps=1e-8)
    assert list(inspect.signature(ntklin.Preconditioned).parameters) == ["learning_rate", "fn"]
    assert ntklin.AdaGrad(0.1) != ntklin.RMSprop(0.1)
    assert len({ntklin.Adam(1), ntklin.Adam(1, [0.9, 0.999]), ntklin.Adam(2)}) == 2


def test_the_example_in_the_docstring():
    assert doctest.testmod(room) == (0, 5)


@each
def test_with_learning_rate_changes_nothing_else(optimizer):
    changed = optimizer.with_learning_rate(0.7)
    assert changed.learning_rate == 0.7
    assert changed != optimizer
    assert changed.with_learning_rate(0.1) == optimizer
    with pytest.raises(AttributeError):
        optimizer.learning_rate = 0.2


def test_lists_and_integers_become_float64():
    optimizer = ntklin.AdaGrad(0.5, 0.0)
    state = optimizer.init([1, 2])
    assert state.slots["squares"].dtype == np.float64
    theta, state = optimizer.update(state, [1, 2], [3, -4])
    np.testing.assert_array_equal(theta, [0.5, 2.5])
    assert theta.dtype == np.float64


def test_theta_decides_the_precision():
    theta = np.ones(2, np.float32)
    moved, state = ntklin.Adam(0.1).update(ntklin.Adam(0.1).init(theta), theta, np.ones(2))
    assert moved.dtype == state.slots["means"].dtype == np.float32


@pytest.mark.parametrize(
    ("theta", "gradient", "error", "match"),
    [
        (np.ones(2), np.ones(3), ValueError, r"gradient must have shape \(2,\), got shape \(3,\)"),
        (np.ones((2, 2)), np.ones(4), ValueError, r"theta must have shape \(4,\), got .*\(2, 2\)"),
        (np.ones(2), [1, np.nan], ValueError, "gradient contains NaN or infinite .* entry 1"),
        ([np.inf, 1], np.ones(2), ValueError, "theta contains NaN or infinite .* entry 0"),
        (np.ones(2), ["a", "b"], TypeError, "gradient must be an array of real numbers"),
    ],
)
def test_bad_arrays(theta, gradient, error, match):
    optimizer = ntklin.GradientDescent(0.1)
    with pytest.raises(error, match=match):
        optimizer.update(OptimizerState(), theta, gradient)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ntklin.GradientDescent(0), ValueError, "learning_rate must be positive and fin"),
        (lambda: ntklin.GradientDescent("x"), TypeError, "learning_rate must be a number, got 'x'"),
        (lambda: ntklin.Momentum(-1), ValueError, "learning_rate must be positive and finite"),
        (lambda: ntklin.Momentum(0.1, 1.0), ValueError, r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: ntklin.Momentum(0.1, -0.1), ValueError, "momentum must be finite and at least 0"),
        (lambda: ntklin.Momentum(0.1, 0.9, 1), TypeError, "nesterov must be True or False, got 1"),
        (lambda: ntklin.AdaGrad(None), TypeError, "learning_rate must be a number, got None"),
        (lambda: ntklin.AdaGrad(0.1, -1e-9), ValueError, "eps must be finite and at least 0"),
        (lambda: ntklin.AdaGrad(0.1, np.inf), ValueError, "eps must be finite and at least 0"),
        (lambda: ntklin.RMSprop(np.nan), ValueError, "learning_rate must be positive and finite"),
        (lambda: ntklin.RMSprop(0.1, 1), ValueError, r"alpha must be in \[0, 1\), got 1"),
        (lambda: ntklin.RMSprop(0.1, eps="s"), TypeError, "eps must be a number, got 's'"),
        (lambda: ntklin.Adam(0.1, 0.9), TypeError, r"betas must be a pair \(β_1, β_2\), got 0.9"),
        (lambda: ntklin.Adam(0.1, (1, 2, 3)), TypeError, "betas must be a pair"),
        (lambda: ntklin.Adam(0.1, (1.0, 0.9)), ValueError, r"betas\[0\] must be in \[0, 1\)"),
        (lambda: ntklin.Adam(0.1, (0.9, -1)), ValueError, r"betas\[1\] must be finite and at lea"),
        (lambda: ntklin.Adam(0.1, eps=-1), ValueError, "eps must be finite and at least 0"),
        (lambda: ntklin.Preconditioned(0, len), ValueError, "learning_rate must be positive"),
        (lambda: ntklin.Preconditioned(0.1, 2.0), TypeError, r"fn must be callable as fn\(t, grad"),
    ],
)
def test_bad_options(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("state", [None, {"squares": np.ones(2)}])
def test_what_is_no_state(state):
    with pytest.raises(TypeError, match="state must be what init"):
        ntklin.AdaGrad(0.1).update(state, np.ones(2), np.ones(2))


def test_a_single_step_needs_a_learning_rate():
    with pytest.raises(ValueError, match=r"learning_rate is not set: .* 0\.5 N/λ_max"):
        ntklin.GradientDescent().update(OptimizerState(), np.ones(2), np.ones(2))


@pytest.mark.parametrize("rate", [1e57, 1e-57])
def test_a_rate_beyond_single_precision_is_refused(rate):
    rule, theta = ntklin.Preconditioned(rate, lambda t, g: 1.0), np.ones(2, np.float32)
    with pytest.raises(ntklin.FloatRangeError, match=r"learning_rate = 1e.57 is beyond.*float32"):
        rule.update(rule.init(theta), theta, theta)
