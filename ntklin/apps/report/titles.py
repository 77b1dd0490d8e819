"""The titles of a study's tables."""

from ntklin.apps.study import METHODS


def titles(result):
    """Texts by the names of the tables: "dynamics", "test", "training" and "ends".

    Parameters
    ----------
    result : StudyResult

    Returns
    -------
    dict of str to str
    """
    config = result.config
    sigma, until, n_test = config.optimizer_sigma, config.until, len(config.data.X_test)
    batches = ""
    if any(METHODS[row.optimizer].stochastic for row in result.optimizer_rows):
        batches = f"; SGD on |B|/N = {config.split:g}"
    return {
        "dynamics": f"Gradient descent to loss {until:g}",
        "test": f"Test loss ‖f − Y‖²/(2N) on {n_test} test points",
        "training": f"Optimizers at σ = {sigma:g} to loss {until:g}{batches}",
        "ends": f"Where they end, root mean squares over {n_test} test points",
    }
