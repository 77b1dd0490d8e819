"""The code of the user guide, the FAQ and the page for torch.func, and what it says of itself."""

import re
import warnings
from pathlib import Path

import naive
import numpy as np
import pytest
from tolerances import assert_close

import ntklin

DOCS = Path(__file__).resolve().parents[1] / "docs"


def run(name):
    """The variables that the page's blocks leave, run one after the other."""
    variables = {}
    for source in re.findall(
        r"^```python\n(.*?)^```$", (DOCS / name).read_text("utf-8"), re.M | re.S
    ):
        exec(compile(source, name, "exec"), variables)
    return variables


@pytest.mark.filterwarnings("error")
def test_the_guide_runs():
    found = run("guide.md")
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(found["f"], found["of_data"] + found["of_start"], **close)
    np.testing.assert_allclose(found["outputs"][-1], found["f"], rtol=1e-3, atol=1e-3)
    assert found["run"].ended_by == "until"
    np.testing.assert_allclose(
        found["adagrad"].predict(found["X_new"]), found["fits"] + found["path"], **close
    )
    assert np.abs(found["at_zero"].initialization(found["X_new"])).max() <= 1e-12
    np.testing.assert_allclose(
        found["large"].predict(found["X_new"]), found["f"], rtol=1e-6, atol=1e-6
    )
    proof = found["proof"]
    assert 0 < proof.smallest_eigenvalue <= np.linalg.eigvalsh(found["K"])[0] * (1 + 1e-9)
    assert found["whole"].steps == 20
    np.testing.assert_array_equal(found["state_100"]["0.weight"].shape, (64, 3))
    # Frozen: D is 0 on the first layer, and nothing of it moves.
    moved = found["m_head"].parameters - found["theta"]
    assert np.flatnonzero(moved).min() >= found["theta"].size - 61


def test_the_faq_runs():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run("faq.md")
    assert found["K"].shape == (2, 2)
    with pytest.warns(ntklin.UnitBallWarning):
        ntklin.linearize(found["net"], found["net"].init(rng=0), found["X_long"])
    theta = np.array([0.5, 1.0])
    J, f0 = 2 * theta * found["X"][1:], found["X"][1:] @ theta**2
    w = J.T @ np.linalg.solve(J @ J.T, [1.0, 0.0] - f0)
    expected = found["X"] @ theta**2 + 2 * theta * found["X"] @ w
    predicted = found["squares"].minimizer([1.0, 0.0]).predict(found["X"])
    assert_close(predicted, expected, kind="solve", n=2, kappa=np.linalg.cond(J @ J.T))


def test_what_the_faq_says_is_degenerate():
    net = ntklin.MLP((2, 50, 1), bias="none")
    X = np.array([[0.5, 0.25], [0.25, 0.125], [0.0, 0.5]])
    with pytest.raises(ntklin.DegenerateKernelError, match=r"parallel features.*\(0, 1\)"):
        ntklin.linearize(net, net.init(rng=0), X).minimizer([1.0, 0.0, 1.0])
    net = ntklin.MLP((2, 50, 1))
    assert ntklin.linearize(net, net.init(rng=0), X).minimizer([1.0, 0.0, 1.0]).rank == 3


@pytest.fixture(scope="module")
def torch_page():
    return run("from_torch_func.md")


def test_the_page_for_torch_func_is_what_loops_give(torch_page):
    p = torch_page
    net = naive.Network((3, 16, 2), scaling="standard", bias="normal")
    J, J_new = (naive.jacobian(net, p["theta"], p[name]) for name in ("X", "X_new"))
    size = np.abs(J).max()
    bounds = {"n": J.shape[1], "kind": "gram"}
    assert_close(p["J"], J, scale=size, **bounds)
    assert_close(p["tangent"], J @ p["v"], scale=np.abs(J) @ np.abs(p["v"]), **bounds)
    r = p["r"].ravel()
    assert_close(p["pulled"], r @ J, scale=np.abs(r) @ np.abs(J), **bounds)
    K = J @ J.T
    assert_close(p["K_r"], K @ r, scale=np.abs(J) @ np.abs(J.T) @ np.abs(r), **bounds)
    scale = np.abs(J_new) @ np.abs(J.T)
    assert_close(p["K"], J_new @ J.T, scale=scale, **bounds)
    blocks = (J_new @ J.T).reshape(4, 2, 6, 2).swapaxes(1, 2)
    assert_close(p["blocks"], blocks, scale=scale.max(), **bounds)
    assert_close(p["trace"], np.einsum("NMaa->NM", blocks), scale=2 * scale.max(), **bounds)
    residual = (p["outputs"] - p["Y"]).ravel()
    assert_close(p["gradient"], residual @ J / 6, scale=np.abs(residual) @ np.abs(J), **bounds)
    assert set(p["state_1000"]) == set(p["state"])


def test_the_page_for_torch_func_is_what_torch_gives(torch_page):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from torch.func import functional_call, jacrev, jvp, vjp, vmap

    p = torch_page
    model = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    model = model.double()
    model.load_state_dict({name: torch.from_numpy(a) for name, a in p["state"].items()})
    params = {name: a.detach() for name, a in model.named_parameters()}
    X, X_new = torch.from_numpy(p["X"]), torch.from_numpy(p["X_new"])

    def f(params, x):
        return functional_call(model, params, (x,))

    def flat(tree):
        return torch.cat([tree[name].reshape(-1) for name in params]).numpy()

    def jacobians(inputs):
        return [j.flatten(2) for j in vmap(jacrev(f), (None, 0))(params, inputs).values()]

    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_array_equal(flat(params), p["theta"])
    np.testing.assert_allclose(f(params, X).numpy(), p["outputs"], **close)
    J = torch.cat(jacobians(X), dim=2)
    np.testing.assert_allclose(J.flatten(0, 1).numpy(), p["J"], **close)
    parts = zip(params.items(), torch.split(torch.from_numpy(p["v"]), [48, 16, 32, 2]), strict=True)
    v = {name: part.reshape(a.shape) for (name, a), part in parts}
    _, tangent = jvp(lambda q: f(q, X), (params,), (v,))
    np.testing.assert_allclose(tangent.reshape(-1).numpy(), p["tangent"], **close)
    _, pull = vjp(lambda q: f(q, X), params)
    (pulled,) = pull(torch.from_numpy(p["r"]))
    np.testing.assert_allclose(flat(pulled), p["pulled"], **close)
    pairs = zip(jacobians(X_new), jacobians(X), strict=True)
    blocks = sum(torch.einsum("Naf,Mbf->NMab", a, b) for a, b in pairs)
    np.testing.assert_allclose(blocks.numpy(), p["blocks"], **close)


def test_blocks_are_found():
    """A page whose fences the pattern does not see would pass unrun."""
    for name in ("guide.md", "faq.md", "from_torch_func.md"):
        text = (DOCS / name).read_text("utf-8")
        assert len(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)) == text.count(
            "```python"
        )
