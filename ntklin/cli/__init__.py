"""The command line; nothing below it is loaded before a command runs."""

import sys

from ntklin.cli import blas


def main():
    """Run the command line; the entry point of ``ntklin``."""
    blas.prepare()
    try:
        from ntklin.cli.app import app

        app(prog_name="ntklin")
    except KeyboardInterrupt:
        sys.exit(130)
