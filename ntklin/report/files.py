"""The report's files, written whole or not at all."""

import json
import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

from ntklin.plots import png, study_figure, without_tex
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
    with without_tex():
        image = png(study_figure(result))
    page = html_page(result, image, provenance)
    return write_files(folder, NAMES, (image, page, payload(result, provenance)))


def write_files(folder, names, contents):
    """Write bytes, text, or values as JSON under these names; creates the folder if need be.

    Parameters
    ----------
    folder : path
    names : sequence of str
    contents : sequence of bytes, str or dict
        All are made before the first is written.

    Returns
    -------
    list of pathlib.Path
    """
    folder = Path(folder)
    encoded = [_encoded(content) for content in contents]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for path, content in zip(paths, encoded, strict=True):
        write_atomically(path, content)
    return paths


def _encoded(content):
    if isinstance(content, dict):
        content = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return content if isinstance(content, bytes) else content.encode()


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
