"""The report of a mitigation: table for the terminal, and a folder with PNG, HTML and JSON."""

from ntklin.apps.report.mitigation.figure import mitigation_figure
from ntklin.apps.report.mitigation.files import NAMES, write_mitigation
from ntklin.apps.report.mitigation.page import mitigation_page
from ntklin.apps.report.mitigation.payload import mitigation_payload
from ntklin.apps.report.mitigation.terminal import print_mitigation

__all__ = [
    "NAMES",
    "mitigation_figure",
    "mitigation_page",
    "mitigation_payload",
    "print_mitigation",
    "write_mitigation",
]
