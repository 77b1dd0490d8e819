"""The command line; nothing below it is loaded before a command runs."""

import os
import shutil
import sys
from typing import NoReturn

from ntklin.apps.cli import ahead, blas, inherited, signals, streams

UNWRITTEN = 2


def main() -> NoReturn:
    """Run the command line; the entry point of ``ntklin``."""
    blas.prepare()
    columns = shutil.get_terminal_size().columns
    with (
        streams.enduring() as raws,
        inherited.harmless(os.environ, columns),
        inherited.shown_warnings(sys.warnoptions),
        signals.as_ctrl_c() as handler,
        ahead.helper.ended(),
    ):
        try:
            from ntklin.apps.cli.app import app

            app(prog_name="ntklin")
            code = 0
        except KeyboardInterrupt:
            code = signals.INTERRUPTED
        except SystemExit as e:
            code = e.code
        sys.stdout.flush()
        out = raws["stdout"]
        if out is not None and out.lost is not None and not out.reader_left:
            reason = out.lost.strerror or out.lost
            print(f"error: cannot write to standard output: {reason}", file=sys.stderr)
            code = code or UNWRITTEN
    sys.exit(handler.status(code))
