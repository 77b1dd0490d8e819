"""A study's report: tables for the terminal, and a folder with PNG, HTML and JSON."""

from ntklin.report.files import NAMES, require_writable, write_report
from ntklin.report.page import html_page
from ntklin.report.payload import payload
from ntklin.report.terminal import print_result

__all__ = ["NAMES", "html_page", "payload", "print_result", "require_writable", "write_report"]
