"""The files of a mitigation."""

from ntklin.apps.plots import png, without_tex
from ntklin.apps.report.files import write_files
from ntklin.apps.report.mitigation.figure import mitigation_figure
from ntklin.apps.report.mitigation.page import mitigation_page
from ntklin.apps.report.mitigation.payload import mitigation_payload

NAMES = ("mitigate.png", "report.html", "results.json", "network.npz")


def write_mitigation(found, config, folder, provenance):
    """Write plot, page, JSON and the network that is kept into ``folder``; touches no other files.

    Parameters
    ----------
    found : Mitigation
    config : dict
        See ``mitigation_payload``.
    folder : path
        Created if need be.
    provenance : dict
        See ``ntklin.apps.report.html_page``.

    Returns
    -------
    list of pathlib.Path
    """
    with without_tex():
        image = png(mitigation_figure(found, config))
    page = mitigation_page(found, config, image, provenance)
    values = mitigation_payload(found, config, provenance)
    return write_files(folder, NAMES, (image, page, values, found.run.write))
