"""Rules for how all figures of reports look, and what they say."""

import struct
from io import BytesIO

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from test_report import COMPARED, make_record, make_result
from test_report_mitigation import CONFIG, STEP_LIMIT, baselines, decayed, mitigation

from ntklin.apps import plots
from ntklin.apps.plots.mitigation import mitigation_figure
from ntklin.apps.plots.scaling import scaling_figure
from ntklin.apps.plots.sizes import sizes_figure
from ntklin.apps.scale.clock import Phase
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.faces.pictures import label_few_decades
from ntklin.validation.theorems import Curve

OKABE_ITO = [
    *("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
]
INKS = ["#6b6b6b", "#1d2126", "#7a3e9d"]  # guides, rings, the initialization term
SIZES = {"data": "gauss", "widths": [4, 3, 1], "sigma": 0.5}


def size(n, **changes):
    values = {
        "n": n,
        "solver": "packed",
        "residual": 1e-9,
        "iterations": 3,
        "residuals": (1e-1, 1e-4, 1e-9),
        "error_bound": 1e-8,
        "test_loss": 2 / n,
        "test_accuracy": 1 - 1 / n,
        "interpolator_test_loss": 1 / n,
        "interpolator_accuracy": 0.9,
        "initialization_size": 0.1,
        "phases": (Phase("kernel", 1e-3 * n), Phase("factor", 1e-2 * n), Phase("solve", 0.0)),
    }
    return SizeResult(**values | changes)


def sizes(**changes):
    return sizes_figure([size(n, **changes) for n in (100, 200, 400)], SIZES)


def study():
    return plots.study_figure(make_result(seeds=(0, 1), optimizers=COMPARED))


def given_up():
    last = {"outcome": STEP_LIMIT}
    found = mitigation(last=last, baselines=baselines(), decayed=decayed())
    return mitigation_figure(found, CONFIG)


def law():
    x = (1.0, 10.0, 100.0)
    bars = {"y_error": (0.1, 0.1, 0.01), "fit": -0.9, "predicted": -1.0}
    y = tuple(3 / k for k in x)
    return scaling_figure(Curve(x=x, y=y, x_label="width", y_label="error", **bars))


FIGURES = {"study": study, "mitigation": given_up, "sizes": sizes, "law": law}


@pytest.fixture(params=FIGURES, scope="module")
def figure(request):
    found = FIGURES[request.param]()
    found.draw_without_rendering()
    return found


def series(axes):
    """The labels of a legend and the lines that they are of."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, (h if isinstance(h, Line2D) else h[0] for h in handles), strict=True))


def test_series_are_told_apart_without_color(figure):
    for axes in figure.axes:
        looks = [(line.get_marker(), line.get_linestyle()) for line in series(axes).values()]
        assert len(set(looks)) == len(looks), looks


def test_colors_are_those_that_everybody_can_tell_apart(figure):
    for axes in figure.axes:
        lines = [*series(axes).values(), *axes.get_lines()]
        assert {to_hex(line.get_color()) for line in lines} <= {*OKABE_ITO, *INKS}
        for band in axes.collections:
            assert {to_hex(color) for color in band.get_edgecolor()} <= {*OKABE_ITO, *INKS}
            assert {to_hex(color) for color in band.get_facecolor()} <= {*OKABE_ITO, *INKS}


def test_what_lies_above_what_is_decided(figure):
    for axes in figure.axes:
        orders = [line.get_zorder() for line in series(axes).values()]
        orders = [order for order in orders if order != Line2D.zorder]
        assert len(set(orders)) == len(orders)
        for bars in axes.collections:
            if isinstance(bars, LineCollection):  # as high as the marks that they belong to
                assert int(bars.get_zorder()) in map(int, orders)


def test_marks_that_may_lie_on_each_other_hide_none(figure):
    """What is hollow is larger than what is filled."""
    for axes in figure.axes:
        marks = [line for line in axes.get_lines() if line.get_marker() in Line2D.filled_markers]
        hollow = [line.get_markersize() for line in marks if line.get_fillstyle() == "none"]
        filled = [line.get_markersize() for line in marks if line.get_fillstyle() != "none"]
        assert not hollow or max(filled) < min(hollow)


def test_lines_are_thin_and_the_grid_is_thinner(figure):
    for axes in figure.axes:
        assert all(1 < line.get_linewidth() < 2 for line in series(axes).values())
        for axis in (axes.xaxis, axes.yaxis):
            assert all(line.get_visible() for line in axis.get_gridlines())
            assert {line.get_linewidth() for line in axis.get_gridlines()} == {0.7}
            assert {to_hex(line.get_color()) for line in axis.get_gridlines()} == {"#d9d9d9"}
            assert not any(tick.gridline.get_visible() for tick in axis.get_minor_ticks())


def test_frames_are_open_and_legends_have_none(figure):
    for axes in figure.axes:
        seen = {name for name, spine in axes.spines.items() if spine.get_visible()}
        assert seen == {"left", "bottom"}
        legend = axes.get_legend()
        assert not legend.get_frame_on()
        assert [text.get_text() for text in legend.get_texts()] == list(series(axes))
        assert {text.get_fontsize() for text in legend.get_texts()} == {9}


def test_axes_are_named(figure):
    for axes in figure.axes:
        assert axes.get_xlabel()
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert axes.get_ylabel() or names == ["GD", "SGD", "AdaGrad", "Adam-SGD"]


def test_axes_of_a_mitigation_are_a_loss_and_steps():
    losses, steps = given_up().axes
    assert losses.get_ylabel() == "loss"
    assert "steps" in steps.get_ylabel()


def test_panels_fit_on_a_page(figure):
    width, height = figure.get_size_inches()
    rows = len({round(axes.get_position().y0, 1) for axes in figure.axes})
    assert 4 < width / (len(figure.axes) / rows) <= 5
    assert 3 < height / rows <= 4.2
    assert figure.get_layout_engine().__class__.__name__ == "ConstrainedLayoutEngine"


def title(figure):
    (text,) = figure.texts
    return text


def test_titles_say_of_what():
    titles = {name: title(make()).get_text() for name, make in FIGURES.items() if name != "law"}
    assert titles["study"] == "gauss, N = 4, widths 4–3–1, bias zero, 2 initializations"
    assert titles["mitigation"] == "gauss, N = 3, widths 3–4–1, bias zero"
    assert titles["sizes"] == "gauss, widths 4–3–1, σ = 0.5"
    one = plots.study_figure(make_result(activation="erf"))
    assert title(one).get_text() == "gauss, N = 4, widths 4–3–1, erf, bias zero, 1 initialization"
    for name in ("study", "mitigation", "sizes"):
        assert title(FIGURES[name]()).get_fontsize() == 10


def test_the_left_panels_are_wider():
    for make in (study, given_up):
        found = make()
        found.draw_without_rendering()
        left, right = (axes.get_position().width for axes in found.axes[:2])
        assert left > 1.1 * right


def test_sizes_have_a_panel_for_what_there_is():
    losses, errors, residuals, times = sizes().axes
    assert [axes.get_ylabel() for axes in (losses, errors, residuals, times)] == [
        *("test loss", "share of test points in error", "residual", "seconds"),
    ]
    np.testing.assert_allclose(series(errors)[r"$f_\infty$"].get_ydata(), [0.01, 0.005, 0.0025])
    np.testing.assert_allclose(series(losses)[r"$f_\infty$"].get_ydata(), [0.02, 0.01, 0.005])
    ours = series(losses)[r"$f_{\mathrm{int}}$"]
    np.testing.assert_allclose(ours.get_ydata(), [0.01, 0.005, 0.0025])
    assert list(series(residuals)) == ["N = 100", "N = 200", "N = 400"]
    for line in series(residuals).values():
        assert line.get_xydata().tolist() == [[1, 1e-1], [2, 1e-4], [3, 1e-9]]
    assert list(series(times)) == ["all", "kernel", "Cholesky factor"]  # what took no time is not
    np.testing.assert_allclose(series(times)["kernel"].get_ydata(), [0.1, 0.2, 0.4])
    of_all = series(times)["all"]
    np.testing.assert_allclose(of_all.get_ydata(), [1.1, 2.2, 4.4])
    drawn = of_all.get_linewidth(), of_all.get_markersize()
    assert drawn == (ours.get_linewidth(), ours.get_markersize())
    for axes in (losses, errors, times):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert axes.get_xlabel() == "training points N"
        assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "200", "400"]
    assert (residuals.get_xscale(), residuals.get_yscale()) == ("linear", "log")

    assert len(sizes(residuals=()).axes) == 3
    assert len(sizes(test_accuracy=None).axes) == 3
    assert len(sizes(residuals=(), test_accuracy=None).axes) == 2
    perfect = sizes(test_accuracy=1.0).axes[1]
    assert not perfect.get_lines()
    assert perfect.get_legend() is None
    nothing = sizes(interpolator_test_loss=0.0).axes[0]
    assert list(series(nothing)) == [r"$f_\infty$"]


def test_a_run_that_took_no_time_has_a_place_on_a_logarithmic_axis():
    times = sizes(phases=()).axes[-1]
    assert series(times)["all"].get_ydata().tolist() == [1e-3] * 3


def test_a_law_goes_through_the_middle_of_its_points():
    (axes,) = law().axes
    lines = series(axes)
    assert list(lines) == ["fitted power: -0.90", "the paper's: -1.00", "measured"]
    np.testing.assert_allclose(lines["the paper's: -1.00"].get_ydata(), [3, 0.3, 0.03])
    np.testing.assert_allclose(lines["fitted power: -0.90"].get_ydata()[1], 0.3)
    (bars,) = axes.collections
    ends = [segment[:, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose([high - low for low, high in ends], [0.2, 0.2, 0.02])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "error")
    (bare,) = scaling_figure(Curve(x=(1.0, 2.0), y=(1.0, 2.0), x_label="x", y_label="y")).axes
    assert list(series(bare)) == ["measured"]


@pytest.mark.parametrize(("n", "named"), [(8, True), (9, False)])
def test_few_scales_are_ticks(n, named):
    sigmas = tuple(np.geomspace(0.01, 1, n).round(3).tolist())
    axes = plots.study_figure(make_result(sigmas=sigmas)).axes[0]
    ticks = [f"{sigma:.3g}" for sigma in sigmas]
    assert ([text.get_text() for text in axes.get_xticklabels()] == ticks) == named
    assert axes.get_xlabel() == r"initialization scale $\sigma$"
    results = [size(k) for k in range(100, 100 + n)]
    axes = sizes_figure(results, SIZES).axes[0]
    ticks = [f"{one.n:,}" for one in results]
    assert ([text.get_text() for text in axes.get_xticklabels()] == ticks) == named


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [(0.9, 60, "1 2 5 10 20 50"), (0.9e-6, 3e-6, "1e-06 2e-06"), (0.9, 200, None)],
)
def test_less_than_two_decades_are_labeled_at_1_2_and_5(low, high, labels):
    axes = Figure().add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(high, low)  # upside down, as optimizers are
    label_few_decades(axes.yaxis)
    texts = [text.get_text() for text in axes.get_yticklabels()]
    if labels is None:
        assert not {"2", "5"} & set(texts)
        return
    assert [text for text in texts if low <= float(text) <= high] == labels.split()
    assert len(axes.yaxis.get_minorticklocs()) == 0


def test_the_guide_ends_at_the_interpolator_s_loss():
    """It is ∝ σ^{2L}, ends 1.6 times above the loss at the largest σ, and is no lower than f_int's.

    Here the loss is 0.01 + 0.03 σ^4, that of f_int 0.01.
    """
    losses = plots.study_figure(make_result()).axes[0]
    (line,) = [line for label, line in series(losses).items() if "propto" in label]
    (x, y), top = line.get_data(), 1.6 * (0.01 + 0.03 * 16)
    np.testing.assert_allclose(y[1] / top, 1)
    np.testing.assert_allclose(x, [max(0.5, 2 * (0.01 / top) ** 0.25), 2])
    np.testing.assert_allclose(y[0], y[1] * (x[0] / 2) ** 4)
    for records in (
        [make_record(2.0)],
        [make_record(s, test_loss_linearized=0.01) for s in (0.5, 1.0)],
        [make_record(s, test_loss_interpolator=0.0) for s in (0.5, 1.0)],
    ):
        losses = plots.study_figure(make_result(records=records)).axes[0]
        assert not [label for label in series(losses) if "propto" in label]


def test_a_picture_is_white_a_png_and_fine_enough_whatever_the_settings():
    other = {"savefig.facecolor": "black", "savefig.format": "pdf", "savefig.dpi": 20}
    with matplotlib.rc_context(other):
        image = plots.png(Figure(figsize=(2, 1)))
    assert struct.unpack(">II", image[16:24]) == (300, 150)
    assert np.all(imread(BytesIO(image)) == 1)


def test_formulas_need_no_tex():
    with matplotlib.rc_context({"text.usetex": True}):
        with plots.without_tex():
            assert not matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["text.usetex"]
