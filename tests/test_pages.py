"""The code of the pages of docs/, block after block, and what the pages say of it."""

import json
import logging
import re
import warnings
from pathlib import Path

import naive
import numpy as np
import pytest
from commands import SWEEP, invoke
from tolerances import assert_close

import ntklin
from ntklin.validation.theorems import lemma2
from ntklin.validation.theorems.check import Setting
from ntklin.validation.theorems.library import models, numbers
from ntklin.validation.theorems.library.agreement import agreement

DOCS = Path(__file__).resolve().parents[1] / "docs"
# Pages whose blocks the tests of their subject run.
ELSEWHERE = {
    "cluster.md": "test_cluster.py",
    "from_neural_tangents.md": "test_neural_tangents_outputs.py",
    "sklearn.md": "test_estimators.py",
}


def blocks(name):
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / name).read_text("utf-8"), re.M | re.S)


def run(name, smaller=(), **variables):
    """The variables that the page's blocks leave, run one after the other.

    ``smaller`` has pairs of a text that is in one of the blocks and what stands there instead;
    ``variables`` are what the page takes for granted.
    """
    sources = blocks(name)
    for original, other in smaller:
        assert any(original in source for source in sources), original
        sources = [source.replace(original, other) for source in sources]
    for source in sources:
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


def test_the_page_about_data(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 255, (2200, 28, 28)).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", images=images, labels=np.arange(2200) % 10)
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen, load = [], ntklin.load_data
    monkeypatch.setattr(
        ntklin, "load_data", lambda *a, **options: seen.append(load(*a, **options)) or seen[-1]
    )
    X, y = rng.standard_normal((180, 4)), np.repeat([3, 8, 5], 60)
    run("data.md", [("n_train=60_000, n_test=10_000", "n_train=60, n_test=10")], X=X, y=y, np=np)
    two, ten, made, own = seen
    assert two.name == "mnist01"
    assert two.X_train.shape == two.X_test.shape == (100, 784)
    assert (ten.Y_train.shape, ten.n_outputs) == ((1000, 10), 10)  # as its comment says
    assert made.name == "mnist_like"
    assert made.X_train.shape == (60, 784)
    assert own.X_train.shape == (50, 4)
    assert list(own.classes) == [3, 8]


def test_a_digest_is_checked_as_the_page_about_files_says(tmp_path, monkeypatch, capsys):
    assert invoke("minimizer", *SWEEP, "--out", tmp_path).exit_code == 0
    monkeypatch.chdir(tmp_path)
    for text, expected in (("", "True"), ('"seed": 0', "False")):
        if text:
            results = Path("results.json").read_text("utf-8")
            assert text in results
            Path("results.json").write_text(results.replace(text, '"seed": 1'), "utf-8")
        capsys.readouterr()
        run("files.md")
        assert capsys.readouterr().out.split() == [expected]


@pytest.mark.compiled("minutes as plain Python")
# Newer releases of pyparsing have other names than matplotlib 3.8 takes.
@pytest.mark.filterwarnings("error", "ignore:'.*deprecated(,| -) use ':DeprecationWarning")
def test_the_page_about_notebooks(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("ntklin"), "level", logging.NOTSET)
    found = run("notebooks.md", [("(784, 500, 1)", "(784, 200, 1)"), ("1e-5", "1e-2")])
    assert found["m"]._repr_html_().count("<table") == 1
    assert "solver" in repr(found["m"])
    assert len(found["figure"].axes) == 3  # the right one of run.plot() has an axis of its own
    assert Path("run.svg").read_text("utf-8").count("<svg")
    assert any(record.name == "ntklin.theory" for record in caplog.records)


@pytest.mark.compiled("minutes as plain Python")
def test_the_page_about_many_samples():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((40, 3)) / 4, rng.standard_normal(40)
    net = ntklin.MLP((3, 300, 1), bias="normal")
    K = ntklin.ntk(net, net.init(rng=0), X)
    B = np.stack([Y, Y + 1], axis=1)
    found = run(
        "scale.md",
        [("60_000", "600")],
        **{"ntklin": ntklin, "net": net, "theta": net.init(rng=0), "X": X, "Y": Y},
        **{"n": 40, "tile": lambda rows, columns: K[rows, columns], "j": 0, "done": 0},
        **{"B": B, "earlier": 0 * B},
        **{"product": lambda V: K @ V, "solve": lambda V: np.linalg.solve(K, V)},
        **{"progress": lambda done, total: None, "keep": lambda *iterate: None},
    )
    m = found["m"]
    assert m.solver == "mixed"
    assert m.residual <= m.residual_bound() <= 1e-9
    bounds = {"kind": "solve", "n": 40, "kappa": np.linalg.cond(K)}
    assert_close(found["A"].solve(B.copy()), np.linalg.solve(K, B), **bounds)


@pytest.mark.compiled("minutes as plain Python")
def test_the_page_about_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("figures.md")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(list(Path("my-figures/runs").glob("*.json")))
    assert all(float(number) > 0 for line in lines for number in line)
    assert {"figure02-quick.png", "figure02-quick.csv"} <= {
        path.name for path in Path("my-figures").iterdir()
    }


@pytest.mark.compiled("minutes as plain Python")
def test_the_page_about_gpus(device):
    smaller = [("n_train=100, n_test=100", "n_train=8, n_test=5"), ("4000", "30"), ("1e-5", "1e-2")]
    smaller += [("60_000", "600"), ("range(10)", "range(2)"), ("Batches(0.1", "Batches(0.5")]
    found = run("gpu.md", smaller)
    assert isinstance(found["lin"].kernel, device.xp.ndarray)
    assert found["m"].solver == "packed"
    assert [run.losses[-1] <= 1e-2 for run in found["runs"]] == [True, True]


def holds_and_fails(check):
    """That a check holds, and its control does not."""
    for formula, expected in ((check.formula, True), (check.wrong, False)):
        measured = check.measure(formula, np.random.default_rng(0), Setting(quick=True))
        assert measured.holds == expected


def test_what_the_page_about_verification_adds():
    statement, library = blocks("verification.md")
    found = {name: getattr(lemma2, name) for name in ("least_norm", "another_interpolant")}
    exec(compile(statement, "verification.md", "exec"), found)
    (check,) = found["STATEMENT"].checks
    holds_and_fails(check)
    found = {"norm": numbers.norm, "solve": numbers.solve}
    exec(compile(library, "verification.md", "exec"), found)
    twice = {"wrong": lambda model: {name: 2 * v for name, v in found["true"](model).items()}}
    problem = {"draws": [models.drawn((3, 8, 1))], "call": found["asked"], "truth": found["true"]}
    holds_and_fails(agreement("norm", "that of a step", **problem, **twice, control="twice it"))


def agree(shown, values):
    """That the cells of a table are these numbers, to the last digit that they show."""
    for cell, value in zip(shown, values, strict=True):
        number = cell.replace(",", "")
        assert abs(float(number) - value) <= 0.51 * 10.0 ** -len(number.partition(".")[2]), cell


@pytest.mark.slow
def test_the_numbers_of_the_page_about_theory_that_take_seconds():
    page = (DOCS / "theory.md").read_text("utf-8")
    data = ntklin.load_data("mnist01", n_train=100, n_test=100)
    X, Y, X_test = data.X_train, data.Y_train, data.X_test

    def loss(f):
        return np.mean((f - data.Y_test) ** 2) / 2

    for L in (2, 3, 4):
        net = ntklin.MLP((784, *[1000] * (L - 1), 1))
        lin = ntklin.linearize(net, net.init(rng=0), X)
        gd = lin.gradient_descent(Y, weight_decay=1e-5 * lin.eigenvalues[0] / 100)
        m, t = lin.minimizer(Y), gd.interpolation_step()
        ends = m.interpolator(X_test), m.predict(X_test), gd.predict(X_test, t), gd.predict(X_test)
        (row,) = re.findall(rf"^\| {L} \| (0\.\d+ .*\d,\d\d\d,.*) \|$", page, re.M)
        agree(row.split(" | "), [lin.eigenvalues[0], *map(loss, ends), t])
    lin = ntklin.InfiniteMLP(ntklin.MLP((784, 1000, 1))).linearize(X)
    (limit,) = re.findall(r"100 test inputs, σ = 1: (0\.\d+)\.", page)
    agree([limit], [lin.minimizer(Y).expected_initialization_loss(X_test)])

    net = ntklin.MLP((784, 4000, 1))
    lin = ntklin.linearize(net, net.init(rng=0), X)
    shown = re.search(
        r"with η\(b\) = ([\d.]+) and ([\d.]+) where 2N/λ_max = (\d\.\d+)", page
    ).groups()
    bounds = [lin.moments(Y, 0.1, batch_size=b).max_learning_rate for b in (10, 1)]
    agree(shown, [*bounds, lin.max_learning_rate])
    for b, bound in zip((10, 1), bounds, strict=True):
        moments = lin.moments(Y, bound / 2, batch_size=b)
        variance = np.trace(moments.covariance(X_test, 200))
        loss_of_gd = lin.gradient_descent(Y, bound / 2).loss(200)
        (row,) = re.findall(rf"^\| b = {b} \| (.*) \|$", page, re.M)
        _, of_recursion, of_gd, _, spread = row.split(" | ")
        agree([of_recursion, of_gd, spread], [moments.loss(200), loss_of_gd, variance])


def test_the_blocks_of_every_page_run():
    """In this file or in the one that is named; a fence that the pattern does not see would not."""
    here = Path(__file__).read_text("utf-8")
    for page in DOCS.glob("*.md"):
        if count := page.read_text("utf-8").count("```python"):
            assert len(blocks(page.name)) == count, page
            tests = Path(__file__).with_name(ELSEWHERE.get(page.name, Path(__file__).name))
            assert f'"{page.name}"' in tests.read_text("utf-8"), page
            runs = re.search(rf'(run|blocks)\(\s*"{page.name}"', here)
            assert runs or page.name in ELSEWHERE, page


def test_iterations_in_the_page_are_those_of_the_files():
    page = (DOCS / "scale.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\d,]+) \| ([^\n]+) \|$", page.split("### Iterations of")[1], re.M)
    names = ["ntk-1000", "ntk-4000", "nystrom-1000", "nystrom-4000", "none-1000"]
    files = [json.loads((DOCS / "scale" / f"pcg-{name}.json").read_text()) for name in names]
    for n, cells in rows[:3]:
        said = [cell.strip() for cell in cells.split("|")]
        found = [
            [str(s["iterations"]) for s in file["sizes"] if s["n"] == int(n.replace(",", ""))]
            for file in files
        ]
        assert said == [one[0] if one else "" for one in found]
        assert all(s["residual"] < 1e-10 for file in files for s in file["sizes"])


def test_ten_outputs_in_the_page_are_those_of_the_files():
    text = (DOCS / "scale.md").read_text("utf-8").split("### Ten outputs")[1]
    for name in ("ntk", "mean_output"):
        file = json.loads((DOCS / "scale" / f"ten-outputs-600-{name}.json").read_text())
        assert f"{file['sizes'][0]['iterations']:,}" in text
    residuals = json.loads((DOCS / "scale" / "ten-outputs-60000.json").read_text())["residuals"]
    head, row = (
        re.search(rf"^\| {word} \| ([\d.| ]+) \|$", text, re.M)[1].split(" | ")
        for word in ("iteration", "residual")
    )
    assert row == [f"{residuals[int(k) - 1]:.2f}" for k in head]
    assert f"the {len(residuals)} that were done" in text
