"""How objects look in a terminal and a notebook: facts without contents, the same in both."""

import copy
import importlib
import io
import logging
import pickle
import pkgutil
import re
import subprocess
import sys
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from test_sending import EXAMPLES, NETWORK, THETA, X_NEW, X, Y, linearization, training

import ntklin
from ntklin.edge.checks import as_progress
from ntklin.edge.faces import bars
from ntklin.edge.faces.shown import Facts, Shown, facts, line, outline, table
from ntklin.runs import engine

# What a value of an array would look like: no repr has so many digits in a row of numbers.
LONGEST = 600
RESULTS = {
    "at": lambda: linearization().at(X_NEW),
    "balanced": lambda: linearization().in_units(np.float64),
    "by products": lambda: gd().by_products(3),
    "certified coefficients": lambda: EXAMPLES["certify"]().coefficients,
    "closed form": lambda: gd(),
    "closed form, decayed": lambda: gd(weight_decay=0.01, momentum=0.0),
    "concentration": lambda: EXAMPLES["LinearizedRun"]().concentration(),
    "drift": lambda: EXAMPLES["LinearizedRun"]().kernel_drift(),
    "epochs": lambda: EXAMPLES["SGDMoments"]().epochs(),
    "estimate": lambda: EXAMPLES["SGDMoments"]().epochs().predict(X_NEW, 3),
    "minimizer": lambda: linearization().minimizer(Y),
    "minimizer by weights": lambda: linearization().minimizer(Y, np.linspace(1, 2, len(THETA))),
    "product form": lambda: linearization().theorem3(Y, ntklin.AdaGrad(0.01), steps=2),
    "snapshot": lambda: EXAMPLES["LinearizedRun"]().snapshots[0],
    "source": lambda: linearization().source,
    "source, a function": lambda: EXAMPLES["linearize_kernel"]().source,
    "source, a matrix": lambda: ntklin.linearize_kernel(np.eye(4)),
    "spectrum": lambda: linearization().spectrum,
    "split": lambda: EXAMPLES["LinearizedRun"]().split,
    "state": lambda: ntklin.Adam(0.1).init(THETA),
    "steps by products": lambda: gd().steps_to_by_products(0.9 * gd().loss(0)),
}
# Examples that are NumPy's or Python's, or scikit-learn's, and not ntklin's to show.
OF_OTHERS = (np.ndarray, tuple, list, dict, str, float, type(None))


def gd(**options):
    return linearization().gradient_descent(Y, 0.1, **options)


def ours():
    """Every object of a class of ntklin's, by the name that it is made by."""
    found = {name: make() for name, make in (EXAMPLES | RESULTS).items()}
    return {name: thing for name, thing in found.items() if type(thing) not in OF_OTHERS}


@pytest.fixture(scope="module")
def things():
    return ours()


def contents_of(thing, seen=None):
    """The numbers of all arrays that an object holds, as ``repr`` would write them."""
    seen = set() if seen is None else seen
    if id(thing) in seen or len(seen) > 2000:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        for number in thing.reshape(-1)[:50].tolist():
            if isinstance(number, float) and len(text := f"{number:.8g}") > 6:
                yield text
    elif isinstance(thing, dict):
        for value in list(thing.values()):
            yield from contents_of(value, seen)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from contents_of(value, seen)
    elif type(thing).__module__.startswith("ntklin"):
        yield from contents_of(getattr(thing, "__dict__", {}), seen)


def test_reprs_are_short_and_hold_no_array(things):
    for name, thing in things.items():
        text = repr(thing)
        assert len(text) <= LONGEST, (name, text)
        assert "\n" not in text, name
        assert "array(" not in text, (name, text)
        assert " object at 0x" not in text, (name, text)
        shown = [number for number in contents_of(thing) if number in text]
        assert shown == [] or isinstance(thing, BaseException), (name, text, shown)


def test_reprs_compute_nothing(things):
    """Neither what is kept changes, nor does it take long."""
    for name, thing in things.items():
        kept = set(getattr(thing, "__dict__", ()))
        began = time.perf_counter()
        for _ in range(10):
            repr(thing)
        assert time.perf_counter() - began < 0.5, name
        new = set(getattr(thing, "__dict__", ())) - kept
        assert new <= {"digits"}, name  # of enclosures, counted once


def test_a_kernel_is_not_made_for_being_shown():
    asked = []

    def K(X1, X2):
        asked.append(len(X1))
        return X1 @ X2.T + 1.0

    lin = ntklin.linearize_kernel(K, X)
    assert "kernel test_a_kernel_is_not_made_for_being_shown.<locals>.K; samples 4" in repr(lin)
    lin = ntklin.linearize(NETWORK, THETA, X)
    assert "kept" not in repr(lin)
    assert (
        "spectrum" not in repr(lin.gradient_descent(Y, 0.1)) + lin.moments(Y, 0.1, 2)._repr_html_()
    )
    assert "kernel" not in vars(lin)
    _ = lin.spectrum
    assert "kept kernel and spectrum" in repr(lin)
    assert asked == []


def test_reprs_survive_copies(things):
    for name, thing in things.items():
        if not isinstance(thing, BaseException) and "0x" not in repr(thing):
            assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing), name
            assert repr(copy.copy(thing)) == repr(thing), name


def test_figures_that_one_asks_for_first_are_there(things):
    run = training()
    assert repr(run) == (
        "<TrainingRun: network MLP(3, 16, 8, 1); parameters (209,) float64; recorded steps 2; "
        f"optimizer {run.optimizer!r}; engine {run.method}; steps 3; "
        f"loss squared, {run.losses[0]:.4g} to {run.losses[-1]:.4g}; converged no; ended by steps>"
    )
    text = repr(things["minimizer"])
    m = things["minimizer"]
    assert text.startswith("<Minimizer: network MLP(3, 16, 8, 1); samples 4; outputs 1; parameters")
    assert f"solver {m.solver}; rank 4; condition {m.condition:.4g}; residual" in text
    assert "digits certain" in repr(things["certify"])
    bound = float(repr(things["certify"]).split("at least ")[1].split(";")[0])
    assert bound == things["certify"].smallest_eigenvalue  # rounded up it would prove nothing
    assert "samples 4" in repr(things["SGDMoments"])
    assert "batch size 2" in repr(things["SGDMoments"])
    assert "trials" in repr(things["Mitigation"])
    assert "solver packed; samples 20" in repr(things["Plan"])
    assert repr(ntklin.FirstRise() | ntklin.TimeLimit(1)) == "FirstRise() | TimeLimit(seconds=1.0)"


def test_networks_are_made_anew_from_their_reprs():
    names = {name: getattr(ntklin, name) for name in ("MLP", "AntisymmetricPair", "InfiniteMLP")}
    for net in (ntklin.AntisymmetricPair(NETWORK), ntklin.InfiniteMLP(NETWORK)):
        text = repr(net).replace("Activation('relu')", "'relu'")
        assert eval(text, names) == net


def cells(html):
    """The caption of a table, and its rows as (label, value)."""
    root = ElementTree.fromstring(html)
    assert root.tag == "table"
    caption, body = root
    rows = [tuple(row) for row in body]
    assert all((th.tag, th.get("scope"), td.tag) == ("th", "row", "td") for th, td in rows)
    return caption.text, [(th.text, td.text) for th, td in rows]


def test_tables_say_what_reprs_say(things):
    shown = {name: thing for name, thing in things.items() if isinstance(thing, Shown)}
    assert len(shown) > 25
    for name, thing in shown.items():
        html, text = thing._repr_html_(), repr(thing)
        title, rows = cells(html)
        assert title == type(thing).__name__, name
        assert rows, name
        for foreign in ("<script", "http", "color: #", "background", "onclick"):
            assert foreign not in html, name
        if text.startswith("<"):
            assert text == line(Facts(title, tuple(rows))), name
        else:  # by which it is made anew, and the table has P beside
            arguments = [value for label, value in rows if label not in ("parameters", "cluster")]
            assert all(value in text for value in arguments), name


def test_texts_of_users_are_escaped():
    evil = "<img src=x onerror='f()'>&\x07"
    html = table(facts(evil[:20], name=evil, numbers=np.zeros(3)))
    title, rows = cells(html)
    assert "<img" not in html
    assert title == evil[:20]
    assert rows == [("name", repr(evil)), ("numbers", "(3,) float64")]


def test_half_made_objects_have_a_repr():
    for kind in (ntklin.TrainingRun, ntklin.FeatureMap, type(linearization()), type(gd())):
        thing = object.__new__(kind)
        assert repr(thing) == f"<{kind.__name__}>"
        assert cells(thing._repr_html_()) == (kind.__name__, [])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (np.float32(0.5), "0.5"),
        (1234567, "1,234,567"),
        (1 / 3, "0.3333"),
        (np.zeros((2, 3), np.float32), "(2, 3) float32"),
        (np.array(3.0), "() float64"),
        ((1, 2.5), "(1, 2.5)"),
        (list(range(9)), "9 entries"),
        ([np.zeros(3)], "1 entry"),
        ("two\nlines", "'two\\nlines'"),
        (len, "len"),
        pytest.param(10**5000, "an integer of 16610 bits", id="a long integer"),
    ],
)
def test_values_in_outline(value, words):
    assert outline(value) == words


# Pictures


@pytest.fixture
def ax():
    """Axes of a figure that pyplot knows nothing of; whatever is drawn, none is left there."""
    before = pyplot.get_fignums()
    yield Figure().subplots()
    assert pyplot.get_fignums() == before


def data_of(line):
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_a_run_is_drawn(ax):
    run = training()
    assert run.plot(ax) is ax
    steps, losses = data_of(ax.lines[0])
    np.testing.assert_array_equal(steps, np.arange(4))
    np.testing.assert_array_equal(losses, run.losses)
    (right,) = (other for other in ax.figure.axes if other is not ax)
    steps, distances = data_of(right.lines[0])
    np.testing.assert_array_equal(steps, run.records.steps)
    np.testing.assert_array_equal(distances, run.records.distances)
    assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == (
        *("log", "step $t$"),
        "training loss $L$",
    )
    assert "distance" in right.get_ylabel()
    assert len(ax.get_legend().get_texts()) == 2
    ax.figure.canvas.draw()


def test_a_linearized_run_is_drawn(ax):
    run = EXAMPLES["LinearizedRun"]()
    assert run.plot(ax=ax) is ax
    np.testing.assert_array_equal(data_of(ax.lines[0])[1], run.losses)
    steps, distances = data_of(ax.figure.axes[1].lines[0])
    for snapshot, step, distance in zip(run.snapshots, steps, distances, strict=True):
        assert step == snapshot.step
        assert distance == pytest.approx(np.linalg.norm(snapshot.displacement), rel=1e-12)


def test_a_run_without_records_has_one_line(ax):
    run = ntklin.train(NETWORK, THETA, X, Y, ntklin.GradientDescent(0.1), steps=2)
    run.plot(ax)
    assert ax.figure.axes == [ax]


def test_gradient_descent_is_drawn(ax):
    descent = gd()
    assert descent.plot([5, 0, 300], ax) is ax
    steps, losses = data_of(ax.lines[0])
    assert steps.tolist() == [0, 5, 300]
    np.testing.assert_array_equal(losses, descent.loss([5, 0, 300])[[1, 0, 2]])
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] == 0
    other = Figure().subplots()
    descent.plot(ax=other)
    steps, losses = data_of(other.lines[0])
    assert (steps[0], steps[-1]) == (0, 10_000)
    assert losses[0] == pytest.approx(descent.loss(0), rel=1e-12)


@pytest.mark.parametrize(("count", "marked"), [(30, True), (31, False)])
def test_few_points_have_marks(ax, count, marked):
    gd().plot(np.arange(count), ax)
    assert (ax.lines[0].get_marker() != "None") == marked


def test_a_minimizer_is_drawn_against_itself(ax):
    m = linearization().minimizer(Y)
    assert m.plot(X_NEW, ax) is ax
    f, f_int = data_of(ax.lines[0])
    np.testing.assert_array_equal(f, m.predict(X_NEW))
    np.testing.assert_array_equal(f_int, m.interpolator(X_NEW))
    np.testing.assert_array_equal(data_of(ax.lines[1])[1], m.initialization(X_NEW))


def test_a_minimizer_of_numbers_is_drawn_along_them(ax):
    x = np.array([[-0.5], [0.1], [0.8]])
    net = ntklin.MLP((1, 8, 2), bias="normal")
    targets = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, -1.0]])
    m = ntklin.linearize(net, net.init(), x).minimizer(targets)
    there = np.array([[0.3], [-0.2]])
    m.plot(there, ax)
    along, first = data_of(ax.lines[0])
    assert along.tolist() == [-0.2, 0.3]
    np.testing.assert_array_equal(first, m.predict(there)[::-1, 0])
    points, second = data_of(ax.lines[-1])
    np.testing.assert_array_equal(points, x[:, 0])
    np.testing.assert_array_equal(second, targets[:, 1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(labels) == 4


def test_moments_are_drawn(ax):
    moments = linearization().moments(Y, 0.1, 2)
    assert moments.plot(X_NEW, [8, 0, 3], ax) is ax
    mean, spread = moments.predict(X_NEW, [0, 3, 8]), moments.covariance(X_NEW, [0, 3, 8])
    for n, (drawn, area) in enumerate(zip(ax.lines, ax.collections, strict=True)):
        np.testing.assert_array_equal(data_of(drawn)[0], [0, 3, 8])
        np.testing.assert_array_equal(data_of(drawn)[1], mean[:, n])
        top = area.get_paths()[0].vertices[:, 1].max()
        assert top == pytest.approx((mean[:, n] + np.sqrt(spread[:, n, n])).max())
    other = Figure().subplots()
    moments.plot(None, [0, 3], other)
    assert len(other.lines) == len(X)
    with pytest.raises(ValueError, match="X_new must be given"):
        ntklin.linearize_kernel(np.eye(4)).moments(Y, 0.1, 2).plot(None, [1], other)


def test_without_axes_pyplot_makes_them():
    before = set(pyplot.get_fignums())
    found = training().plot()
    (new,) = set(pyplot.get_fignums()) - before
    assert found.figure.number == new
    pyplot.close(new)


@pytest.mark.parametrize("bad", [3, "ax", Figure()])
def test_what_is_no_axes_is_refused(bad):
    with pytest.raises(TypeError, match="ax must be matplotlib's Axes or None, got"):
        training().plot(bad)


# Progress


def test_progress_is_a_callable_or_a_flag():
    assert as_progress(None) is None
    assert as_progress(False) is None
    assert as_progress(np.True_) is True
    assert as_progress(print) is print
    with pytest.raises(TypeError, match="progress must be callable, got 1; True shows a bar"):
        as_progress(1)


def asked(make):
    """Runs of all that takes ``progress``, small."""
    data = (X, Y)
    return {
        "train": lambda: ntklin.train(NETWORK, THETA, *data, steps=3, progress=make),
        "ensemble": lambda: ntklin.train_ensemble(NETWORK, [THETA], *data, steps=3, progress=make),
        "lin.train": lambda: linearization().train(Y, steps=3, progress=make),
        "minimizer": lambda: linearization().minimizer(Y, solver="pcg", progress=make),
        "products": lambda: gd().by_products(5, progress=make),
        "steps": lambda: gd().steps_to_by_products(0.9 * gd().loss(0), progress=make),
        "moments": lambda: linearization().moments(Y, 0.1, 2).loss(5, progress=make),
        "covariance": lambda: linearization().moments(Y, 0.1, 2).covariance(X, 5, progress=make),
        "search": lambda: ntklin.largest_learning_rate(
            *(NETWORK, THETA, X, Y, ntklin.AdaGrad(0.1)), steps=3, precision=1, progress=make
        ),
        "mitigation": lambda: ntklin.mitigate_initialization(
            *(ntklin.MLP((3, 6, 1)), X, Y, X_NEW, Y[:2]), until=0.1, min_sigma=0.8, progress=make
        ),
        "decay": lambda: ntklin.decay_initialization(
            *(NETWORK, THETA, X, Y), weight_decay=0.1, depth=3, progress=make
        ),
        "load_data": lambda: ntklin.load_data(n_train=4, n_test=2, progress=make),
    }


@pytest.mark.parametrize("name", asked(None))
def test_bars_are_silent_where_nobody_sees_them(name, capfd):
    asked(True)[name]()
    assert capfd.readouterr() == ("", "")


class Terminal:
    """A terminal in the place of stderr."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass


@pytest.fixture
def plug_in(monkeypatch):
    """Puts a terminal in the place of stderr, to be called by a test: pytest has its own before."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(bars, "OFTEN", 0.0)

    def plug():
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        return terminal

    return plug


HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
# Before a bar and behind it.
SHOWN = {
    "train": r"training step 3, loss 0\.\d+",
    "ensemble": r"training 1 networks step 3, loss 0\.\d+",
    "lin.train": r"training, linearized step 3, loss 0\.\d+",
    "minimizer": r"iterations \d+, residual \S+",
    **dict.fromkeys(("products", "steps"), r"products iteration \d+, error \S+"),
    **dict.fromkeys(("moments", "covariance"), "steps"),
    "search": r"searching trial 4: \w+ at rate \S+, loss \S+",
    "mitigation": r"MLP, sigma 1 step \d+, loss \S+",
    "decay": r"training step \d+, loss \S+",
    "load_data": "samples 6 of 6",
}
TIMES = r"( (\d\d:\d\d|--:--))? left, \d:\d\d:\d\d"


def line_of(text):
    """The last line on a terminal, but for the bar and what is for the terminal alone."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[━╸╺]", "", text).replace("\r", "\n")
    return " ".join(next(line for line in reversed(plain.split("\n")) if line.strip()).split())


@pytest.mark.parametrize("name", asked(None))
def test_bars_are_seen_on_a_terminal_and_leave_it_as_it_was(name, plug_in, capsys):
    terminal = plug_in()
    asked(True)[name]()
    assert re.fullmatch(SHOWN[name] + TIMES, line_of(terminal.text))
    assert (terminal.text.count(HIDE), terminal.text.count(SHOW)) == (1, 1)
    assert terminal.text.endswith("\n" + SHOW) or terminal.text.rstrip().endswith(SHOW)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_bars_are_cleared_when_the_work_ends_early(error, plug_in):
    terminal = plug_in()

    def fail():
        with bars.followed(True, lambda: bars.LossMeter("training", 10, None)) as told:
            told(3, 0.5)
            raise error

    with pytest.raises(error):
        fail()
    assert "step 3, loss 0.5" in terminal.text
    assert terminal.text.count(SHOW) == 1


def test_a_terminal_that_breaks_ends_no_work(plug_in, monkeypatch):
    terminal = plug_in()

    def broken(text):
        raise BrokenPipeError

    with bars.followed(True, lambda: bars.LossMeter("training", 10, 1e-3)) as told:
        monkeypatch.setattr(terminal, "write", broken)
        told(3, 0.5)
    told(4, 0.5)  # as a solver may, that keeps what it was told to call


def test_without_a_terminal_there_is_no_bar(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stderr in (None, io.StringIO(), closed):
        monkeypatch.setattr(sys, "stderr", stderr)
        with bars.followed(True, lambda: pytest.fail("a bar was made")) as told:
            assert told is None


def test_dumb_terminals_have_no_bar(plug_in, monkeypatch):
    plug_in()
    monkeypatch.setenv("TERM", "dumb")
    with bars.followed(True, lambda: pytest.fail("a bar was made")) as told:
        assert told is None


def test_a_notebook_without_widgets_has_a_line(monkeypatch, capsys):
    monkeypatch.setattr(bars, "is_notebook", lambda: True)
    monkeypatch.setattr(bars, "find_spec", lambda name: None)
    monkeypatch.setattr(bars, "OFTEN", 0.0)
    with bars.followed(True, lambda: bars.LossMeter("training", 10, None)) as told:
        told(5, 0.25)
    assert capsys.readouterr().err.endswith("\rtraining  50% step 5, loss 0.25\n")


def test_each_part_has_a_bar_and_the_first_takes_the_one_that_is_there(plug_in):
    terminal = plug_in()
    with bars.followed(True, lambda: bars.SolverMeter(1e-8)) as told:
        told(ntklin.SolverProgress("factor", 1, 2))
        told(ntklin.SolverProgress("iterations", 5, None, 1e-4))
    last = terminal.text.split(HIDE)[1]
    assert "1 of 2" in last
    assert "5, residual 0.0001" in last
    assert "solving" not in last.rpartition("factor")[2]


def test_the_share_is_the_further_of_steps_and_decades(monkeypatch, plug_in):
    plug_in()
    shown = []
    monkeypatch.setattr(
        bars.Meter, "show", lambda self, state, done=None, **name: shown.append(done)
    )
    with bars.followed(True, lambda: bars.LossMeter("training", 100, 1e-4)) as told:
        for step, loss in ((0, 1.0), (10, 1e-1), (90, 1e-2), (95, 1e-9)):
            told(step, loss)
    assert shown == pytest.approx([0.0, 0.25, 0.9, 1.0])


# Logging


def test_nothing_is_printed_by_default():
    code = (
        "import logging, ntklin; h = logging.getLogger('ntklin').handlers; "
        "assert [type(one) for one in h] == [logging.NullHandler]; "
        "logging.getLogger('ntklin.runs').warning('heard')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def said_by(caplog, room, level=logging.INFO):
    return [
        r.getMessage() for r in caplog.records if (r.name, r.levelno) == (f"ntklin.{room}", level)
    ]


def test_decisions_are_logged(caplog, tmp_path):
    caplog.set_level(logging.DEBUG, "ntklin")
    run = ntklin.train(NETWORK, THETA, X, Y, steps=2)
    run.save(tmp_path / "run.npz")
    ntklin.train(NETWORK, THETA, X, Y, steps=3, resume=tmp_path / "run.npz")
    said = "\n".join(said_by(caplog, "runs"))
    rate = run.optimizer.learning_rate
    assert f"the default learning rate of GradientDescent is {rate:.6g}" in said
    assert f"method='auto' takes {run.method!r}: " in said
    assert "ended by 'steps' after 2 steps at loss" in said
    assert f"saved a training run of 2 steps in {tmp_path / 'run.npz'}" in said
    assert "resumed at step 2, loss" in said
    caplog.clear()
    m = ntklin.linearize(NETWORK, THETA, X).minimizer(Y)
    said = "\n".join(said_by(caplog, "theory"))
    assert "solver='auto' keeps the kernel of 4 rows: there are no more than 8192 rows" in said
    assert f"minimizer by {m.solver!r}: residual" in said
    assert any("computing the kernel" in s for s in said_by(caplog, "theory", logging.DEBUG))


@pytest.mark.parametrize("room", ["data", "recipes", "runs", "theory", "training"])
def test_loggers_have_the_names_of_their_rooms(room):
    package, found = importlib.import_module(f"ntklin.{room}"), set()
    for info in pkgutil.walk_packages(package.__path__, f"ntklin.{room}."):
        logger = getattr(importlib.import_module(info.name), "_log", None)
        if isinstance(logger, logging.Logger):
            found.add(logger.name)
    assert found == {f"ntklin.{room}"}


def test_engines_that_are_passed_over_are_told_with_the_reason(caplog):
    caplog.set_level(logging.INFO, "ntklin")
    ntklin.train(NETWORK, THETA, X, Y, ntklin.Preconditioned(0.1, lambda t, g: 1.0), steps=1)
    (said,) = (text for text in said_by(caplog, "runs") if text.startswith("method"))
    assert said.startswith("method='auto' takes 'direct': 'reduced' needs ")
    assert "; 'fused' needs " in said


def test_without_a_reader_no_reasons_are_looked_for(monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "ntklin")
    monkeypatch.setattr(engine, "_reasons", lambda *given: pytest.fail("nobody listens"))
    ntklin.train(NETWORK, THETA, X, Y, ntklin.GradientDescent(0.1), steps=1)
