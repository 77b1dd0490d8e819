"""The report's files, written whole or not at all."""

import json
import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

from ntklin.plots import png, study_figure
from ntklin.report.page import html_page
from ntklin.report.payload import payload

NAMES = ("minimizer.png", "report.html", "results.json")


def require_writable(folder):
    """Refuse a folder that files cannot be written into, before long work; creates nothing.

    Parameters
    ----------
    folder : path
        Need not exist: then its nearest existing parent is tried.

    Raises
    ------
    OSError
        Naming the folder.
    """
    if not str(folder):
        raise ValueError("the output folder's name is empty; for the current folder write .")
    place = Path(folder).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with TemporaryDirectory(dir=place, prefix=".ntklin-"):
            pass
    except OSError as e:
        raise OSError(f"cannot write into the output folder {folder}: {e.strerror}") from e


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
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = png(study_figure(result))
    page = html_page(result, image, provenance)
    text = json.dumps(payload(result, provenance), indent=1, ensure_ascii=False, allow_nan=False)
    paths = [folder / name for name in NAMES]
    for path, content in zip(paths, (image, page.encode(), f"{text}\n".encode()), strict=True):
        write_atomically(path, content)
    return paths


def write_atomically(path, content):
    """Write bytes to a neighbor of ``path`` first, so that a reader sees the old or the new."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as f:
            f.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
