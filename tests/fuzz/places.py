"""Folders with everything in them that can be in a file's place, and names that are none."""

import os
import sys
from pathlib import Path, PurePosixPath

from fuzz.oddities import ASKED, Place, Subpath

NAMES = (
    *("a-folder", "a-folder/x", "a-pipe", "a-loop", "a-loop/x", "a-link-to-nowhere", "empty"),
    *("a-text", "a-text/x", "a-text/", "an-archive.npz", "half.npz", "train-images-idx3-ubyte"),
    *("no/such/file", "x/", "./x", "a-folder/../x", "con", "x" * 300, "x/" * 200, "." * 40),
)
# Nothing can be written there, nor does anybody read numbers from it.
FAR = (
    *("/dev/null", "/dev/null/x", "/dev/full", "/dev/zero", "/proc/x", "/proc/self/mem"),
    *("~nobody-there", "~nobody-there/x"),
)
PLACES = (
    *("", ".", "..", "~", "/", "a\0b", "σ\udcff", "\ud800", *NAMES, *FAR),
    *(Path(), Path("no/such"), Path("a\0b"), Subpath("no/such"), PurePosixPath("no/such")),
    *(Place("no/such"), Place(b"no/such"), Place(b"\xff"), Place("\ud800"), Place(3), Place(None)),
    *(Place(ZeroDivisionError(ASKED)), b"x", b"", b"\xff", b"a\0b", bytearray(b"x"), 3, -1),
)


def prepare(folder):
    """Put all of it into an empty folder.

    Parameters
    ----------
    folder : path
    """
    folder = Path(folder)
    for name in ("a-folder", "a-folder/fashion-mnist", "mnist"):
        (folder / name).mkdir()
    (folder / "a-folder" / "mnist").write_text("words\n")
    (folder / "a-folder" / "mnist.npz").write_bytes(bytes(100))
    (folder / "empty").touch()
    (folder / "a-text").write_text("words\n")
    (folder / "an-archive.npz").write_bytes(b"PK\x05\x06" + bytes(18))  # without members
    (folder / "half.npz").write_bytes(b"PK\x03\x04" + bytes(40))
    for place in (folder, folder / "mnist"):
        (place / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12)
    if os.name == "posix":
        os.mkfifo(folder / "a-pipe")
        (folder / "a-loop").symlink_to("a-loop")
        (folder / "a-link-to-nowhere").symlink_to("nowhere/at/all")
    if sys.platform == "linux":
        (folder / os.fsdecode(b"a\xff")).write_text("a name that is no UTF-8\n")
