"""The report's files, written whole or not at all."""

import json
from pathlib import Path

from ntklin.files.seal import sealed
from ntklin.files.unfinished import COMPLETE, place
from ntklin.files.writing import require_writable, write_together
from ntklin.plots import png, study_figure, without_tex
from ntklin.report.page import html_page
from ntklin.report.payload import payload

__all__ = ["NAMES", "require_writable", "write_files", "write_report"]

NAMES = ("minimizer.png", "report.html", "results.json")


def write_report(result, folder, provenance):
    """Write plot, page and JSON into ``folder``; replaces its own files and touches no others.

    Parameters
    ----------
    result : StudyResult
        With at least one record.
    folder : path
        Created if need be.
    provenance : dict
        How the run came about; see ``html_page``.

    Returns
    -------
    list of pathlib.Path
    """
    with without_tex():
        image = png(study_figure(result))
    page = html_page(result, image, provenance)
    return write_files(folder, NAMES, (image, page, payload(result, provenance)))


def write_files(folder, names, contents):
    """Write files under these names; creates the folder if need be.

    None is replaced before all are written; but where some cannot be, the others are kept.

    Where one of them says of itself that it is unfinished, and the folder has a finished one, they
    go to a folder within it.

    Parameters
    ----------
    folder : path
    names : sequence of str
    contents : sequence of bytes, str, dict or callable
        Values are written as JSON with a digest; a callable is given the file to write into.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    OSError
        Naming the files that could not be written, and those that were.
    """
    for name, content in zip(names, contents, strict=True):
        if isinstance(content, dict):
            folder = place(folder, name, content.get(COMPLETE, True))
    folder = Path(folder)
    files = dict(zip((folder / name for name in names), contents, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    # On a full disk the numbers, which are small, are kept.
    first = sorted(files, key=lambda path: not isinstance(files[path], dict))
    write_together({path: _as_text(files[path]) for path in first})
    return list(files)


def _as_text(content):
    if isinstance(content, dict):
        return json.dumps(sealed(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return content
