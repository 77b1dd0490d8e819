"""The figure of a study: the sweep above, the comparison of optimizers below."""

from matplotlib.figure import Figure

from ntklin.apps.plots.optimizer_panels import (
    draw_optimizer_distances,
    draw_optimizer_losses,
    row_height,
)
from ntklin.apps.plots.sweep_panels import draw_initialization_sizes, draw_test_losses
from ntklin.apps.study import StudyResult
from ntklin.edge.files.names import LONGEST_NAME, shown, without_math

WIDTH, SWEEP_HEIGHT = 10, 4.2


def study_figure(result: StudyResult) -> Figure:
    """Test loss (Fig. 2) and size of the initialization term against σ; below, Figs. 3, 4 and 9.

    The lower two panels, where each optimizer ends, are there if the study compares optimizers.
    Lines and marks are means over the seeds; with several seeds bands and bars show one standard
    deviation.

    Parameters
    ----------
    result : StudyResult
        With at least one result of the sweep.

    Returns
    -------
    matplotlib.figure.Figure
    """
    heights = [SWEEP_HEIGHT]
    if result.optimizer_rows:
        heights.append(row_height(result))
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    panels = figure.subplots(
        len(heights), 2, squeeze=False, width_ratios=(1.25, 1), height_ratios=heights
    )
    draw_test_losses(panels[0, 0], result)
    draw_initialization_sizes(panels[0, 1], result)
    if result.optimizer_rows:
        draw_optimizer_losses(panels[1, 0], result)
        draw_optimizer_distances(panels[1, 1], result)
    config = result.config
    widths = "–".join(str(m) for m in config.widths)
    seeds = f"{len(config.seeds)} initializations" if len(config.seeds) > 1 else "1 initialization"
    kind = "" if config.activation == "relu" else f"{without_math(config.activation)}, "
    name = without_math(shown(config.data.name, LONGEST_NAME))
    network = f"widths {widths}, {kind}bias {config.bias}"
    figure.suptitle(f"{name}, N = {len(config.data.X_train)}, {network}, {seeds}", fontsize=10)
    return figure
