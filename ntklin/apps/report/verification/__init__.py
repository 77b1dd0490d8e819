"""The report of a verification: table for the terminal, and a folder with HTML and JSON."""

from ntklin.apps.report.verification.files import NAMES, write_verification
from ntklin.apps.report.verification.terminal import print_verification

__all__ = ["NAMES", "print_verification", "write_verification"]
