"""A study's report: tables for the terminal, and a folder with PNG, HTML and JSON."""

from ntklin.apps.report.files import NAMES, require_writable, write_report
from ntklin.apps.report.page import html_page
from ntklin.apps.report.payload import payload
from ntklin.apps.report.terminal import print_result

__all__ = ["NAMES", "html_page", "payload", "print_result", "require_writable", "write_report"]
