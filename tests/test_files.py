"""Files: whole or not at all, known by their digest, safe to open, shown by any name."""

import errno
import io
import json
import math
import multiprocessing
import os
import resource
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.edge.files import archives, names, seal, unfinished, writing
from ntklin.edge.files.archives import read_array, read_arrays
from ntklin.edge.files.reading import DamagedFileError, open_regular
from ntklin.edge.files.seal import read_sealed, sealed, unsealed

LEFT = ".ntklin-0123456789abcdef.part"

# Writing


def test_a_file_is_replaced_at_the_end_and_nothing_is_left(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with writing.whole(path) as f:
        f.write(b"new")
        f.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def fail(f):
        f.write(b"new")
        raise error("amid")

    with pytest.raises(error, match="amid"):
        writing.write_together({path: fail})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_is_told_and_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
        with pytest.raises(OSError, match=rf"cannot write {path}: .*; what was there is unchanged"):
            writing.write_whole(path, bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_errors_keep_their_kind(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot write .*absent/x: No such file"):
        writing.write_together({tmp_path / "absent" / "x": b""})
    with pytest.raises(IsADirectoryError, match="it is a directory"):
        writing.write_whole(tmp_path, b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match=r"pipe: it is a pipe; what was there is unchanged"):
        writing.write_whole(tmp_path / "pipe", b"")
    with pytest.raises(OSError, match="/dev/null: it is a device"):
        writing.write_whole("/dev/null", b"")


def test_links_stay_or_are_replaced(tmp_path):
    place, link, loop = tmp_path / "place", tmp_path / "link", tmp_path / "loop"
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "x"
    link.symlink_to(target)
    loop.symlink_to(loop)
    writing.write_whole(link, b"one")  # to a target that is not there yet
    assert link.is_symlink()
    assert target.read_bytes() == b"one"
    writing.write_whole(link, b"two", follow=False)
    assert not link.is_symlink()
    assert (link.read_bytes(), target.read_bytes()) == (b"two", b"one")
    with pytest.raises(OSError, match="loop: Too many levels"):
        writing.write_whole(loop, b"")
    assert not place.exists()


def test_permissions_stay_and_new_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        writing.write_whole(tmp_path / "x", b"")
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
        (tmp_path / "x").chmod(0o600)
        writing.write_whole(tmp_path / "x", b"")
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() == 0, reason="an administrator may write anywhere")
def test_a_closed_folder_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=r"cannot write .*x: Permission denied"):
        writing.write_whole(tmp_path / "x", b"")


def test_the_longest_names_can_be_written(tmp_path):
    path = tmp_path / ("x" * 255)
    writing.write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_of_several_files_all_are_replaced_or_none(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"old")

    def fail(f):
        raise ZeroDivisionError("amid")

    with pytest.raises(ZeroDivisionError, match="amid"):
        writing.write_together({one: b"new", two: fail})
    assert (one.read_bytes(), os.listdir(tmp_path)) == (b"old", ["one"])
    writing.write_together({one: "σ\udcff", two: lambda f: f.write(b"2")})
    assert (one.read_bytes(), two.read_bytes()) == ("σ\\udcff".encode(), b"2")


# Leftovers


def test_what_killed_writers_leave_is_removed_and_nothing_else(tmp_path):
    others = ["x.part", ".ntklin-0123.part", ".ntklin-0123456789abcdeg.part", ".x.0123abcd"]
    for name in [LEFT, *others]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / LEFT.replace("0", "1")).mkdir()
    target = tmp_path / "users"
    target.write_bytes(b"")
    (tmp_path / LEFT.replace("0", "2")).symlink_to(target)
    writing.write_whole(tmp_path / "new", b"")
    assert not (tmp_path / LEFT).exists()
    assert {*others, "users", "new"} <= set(os.listdir(tmp_path))
    (tmp_path / LEFT).write_bytes(b"")
    writing.require_writable(tmp_path / "to" / "come")
    assert not (tmp_path / LEFT).exists()


def test_what_is_being_written_stays(tmp_path):
    with writing.whole(tmp_path / "slow") as f:
        f.write(b"slow")
        writing.write_whole(tmp_path / "fast", b"fast")
        assert len(os.listdir(tmp_path)) == 2
    assert (tmp_path / "slow").read_bytes() == b"slow"


def test_what_a_killed_process_leaves_is_removed(tmp_path):
    child = """
import os, signal, sys
from ntklin.edge.files.writing import whole
with whole(sys.argv[1]) as f:
    f.write(bytes(1000))
    f.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", child, tmp_path / "x"], timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert writing.LEFTOVER.fullmatch(left)
    writing.write_whole(tmp_path / "x", b"")
    assert os.listdir(tmp_path) == ["x"]


def test_what_has_taken_the_place_of_a_leftover_stays(tmp_path, monkeypatch):
    """Its writer had moved it away before the lock was asked for."""
    (tmp_path / LEFT).write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    flock = writing.fcntl.flock

    def late(fd, how):
        os.replace(tmp_path / "new", tmp_path / LEFT)
        flock(fd, how)

    monkeypatch.setattr(writing.fcntl, "flock", late)
    writing.remove_leftovers(tmp_path)
    assert (tmp_path / LEFT).read_bytes() == b"new"


def _write_often(folder, k, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        writing.write_whole(folder / "same", bytes([k]) * 1000)
        writing.write_whole(folder / str(k), bytes([k]) * 1000)


def test_writers_of_one_folder_leave_each_other_alone(tmp_path):
    """Threads and processes, each cleaning all the time; an error in one would be its exit code."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_often, args=(tmp_path, k, 1)) for k in range(2)]
    for process in processes:
        process.start()
    failed = []

    def in_thread(k):
        try:
            _write_often(tmp_path, k, 1)
        except OSError as e:
            failed.append(e)

    threads = [threading.Thread(target=in_thread, args=(k,)) for k in (2, 3)]
    for thread in threads:
        thread.start()
    for worker in (*threads, *processes):
        worker.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert not failed
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2", "3", "same"]
    assert len(set((tmp_path / "same").read_bytes())) == 1


def test_where_there_are_no_locks_no_open_file_is_moved_or_removed(tmp_path, monkeypatch):
    """As on Windows, which refuses both."""
    files = []

    def opened(*arguments):
        files.append(open(*arguments))  # noqa: SIM115
        return files[-1]

    def refusing(act):
        def acting(path, *arguments, **words):
            if any(f.name == str(path) and not f.closed for f in files):
                raise PermissionError(errno.EACCES, "it is used by another process")
            return act(path, *arguments, **words)

        return acting

    def fail(f):
        raise ZeroDivisionError("amid")

    monkeypatch.setattr(writing, "fcntl", None)
    monkeypatch.setattr(writing, "open", opened, raising=False)
    monkeypatch.setattr(os, "replace", refusing(os.replace))
    monkeypatch.setattr(writing.Path, "unlink", refusing(writing.Path.unlink))
    writing.require_writable(tmp_path)
    writing.write_together({tmp_path / "x": b"1", tmp_path / "y": b"2"})
    with pytest.raises(ZeroDivisionError, match="amid"):
        writing.write_together({tmp_path / "x": fail})
    assert len(files) == 4
    assert sorted(os.listdir(tmp_path)) == ["x", "y"]
    assert (tmp_path / "x").read_bytes() == b"1"


@pytest.mark.skipif(writing.fcntl is None, reason="no locks on this system")
def test_a_cleaner_that_is_late_removes_nothing_that_is_new(tmp_path, monkeypatch):
    """It holds the lock of a new file and removes its name only when the writer has gone on."""
    names = []

    def held_by_a_cleaner(f, how):
        names.append(f.name)
        if len(names) == 1:
            raise BlockingIOError
        return flock(f, how)

    flock = writing.fcntl.flock
    monkeypatch.setattr(writing.fcntl, "flock", held_by_a_cleaner)
    with writing.whole(tmp_path / "x") as f:
        os.unlink(names[0])
        f.write(b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"


# Digests


VALUES = {"schema": "x/1", "list": [1, 2.5, -0.0, None, True, "σ\udcff"], "deep": {"a": {"b": 1}}}


def test_sealed_values_come_back(tmp_path):
    path = tmp_path / "x.json"
    values = VALUES | {"tuple": (1, 2), "nan": math.nan, "float": np.float64(0.1), "huge": 10**30}
    for options in ({}, {"indent": 1, "ensure_ascii": False}):
        writing.write_whole(path, json.dumps(sealed(values), **options))
        found = read_sealed(path)
        assert math.isnan(found.pop("nan"))
        assert found == VALUES | {"tuple": [1, 2], "float": 0.1, "huge": 10**30}


@pytest.mark.once
def test_every_changed_bit_of_json_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "x.json"
    content = json.dumps(sealed(VALUES), indent=1).encode()
    noticed = 0
    for k in range(8 * len(content)):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        path.write_bytes(changed)
        try:
            assert read_sealed(path) == VALUES
        except DamagedFileError:
            noticed += 1
    assert noticed > 6 * len(content)  # spaces and line ends say nothing


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "1", "null", '"digest"', "{}", '{"digest": null}', '{"digest": "0"}'),
        *("[" * 100_000, '{"digest": "0", "x": ' + "[" * 900 + "]" * 900 + "}", "1" * 5000),
        *('{"x": NaN}', '{"x": 1, "x": 2, "digest": "0"}', "\ufeff{}"),
    ],
)
def test_other_json_is_refused(tmp_path, text):
    (tmp_path / "x").write_text(text, "utf-8")
    with pytest.raises(DamagedFileError, match=r"carries no digest|another digest|holds no JSON"):
        read_sealed(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedFileError, match="holds no JSON that could be read: Unicode"):
        read_sealed(tmp_path / "x")


def test_a_huge_file_is_not_read(tmp_path):
    with open(tmp_path / "x", "wb") as f:
        f.truncate(seal.LARGEST + 1)
    with pytest.raises(DamagedFileError, match="is far too large"):
        read_sealed(tmp_path / "x")


ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3),
    "empty": np.empty((0, 3)),
    "scalar": np.array(3),
    "text": np.array(["x", "yz"]),
}


def test_arrays_are_known_by_all_that_is_read():
    whole = sealed(VALUES, ARRAYS)
    unsealed(whole, {**ARRAYS, "a": np.asfortranarray(ARRAYS["a"])})
    a = ARRAYS["a"]
    for other in (a.T, a.ravel(), a.view(np.int64), np.nextafter(a, 9), -a, a.astype(">f8")):
        with pytest.raises(DamagedFileError, match="another digest"):
            unsealed(whole, {**ARRAYS, "a": other})
    for other in ({**ARRAYS, "b": a}, {"a": a}, {"b": a, **ARRAYS}, {}):
        with pytest.raises(DamagedFileError, match="another digest"):
            unsealed(whole, other)


# Opening


def _replaced_by(kind, path):
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.relpath(path))
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket", "device"])
def test_what_is_no_file_is_not_opened(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x"
    _replaced_by(kind, path)
    for read in (open_regular, read_arrays, read_array, read_sealed):
        with pytest.raises(DamagedFileError, match=f"is a {kind}, not a file; move it away"):
            read(path)
    with pytest.raises(ntklin.CheckpointError, match=f"x is .*: it is a {kind}, not a file"):
        ntklin.load_run(path)
    if kind != "directory":  # which may hold IDX files
        with pytest.raises(ntklin.DataUnavailableError, match=f"x is a {kind}, not a file"):
            ntklin.load_data(path)


def test_what_is_not_there_is_told_by_the_system(tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for read in (open_regular, read_arrays, read_array, read_sealed):
        for name in ("nothing", "dangling"):
            with pytest.raises(FileNotFoundError, match=name):
                read(tmp_path / name)


# Archives


def archive(compression=zipfile.ZIP_DEFLATED, arrays=ARRAYS):
    """The bytes of an ``.npz`` archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as z:
        for name, a in arrays.items():
            npy = io.BytesIO()
            np.save(npy, a)
            z.writestr(f"{name}.npy", npy.getvalue())
    return buffer.getvalue()


def same(found, expected=ARRAYS):
    assert found.keys() == expected.keys()
    for name, a in expected.items():
        assert (found[name].dtype, found[name].shape) == (a.dtype, a.shape)
        np.testing.assert_array_equal(found[name], a)


COMPRESSIONS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.once
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_changed_bit_of_an_archive_is_one_error_or_harmless(tmp_path, compression):
    """With a digest, as runs have it: an archive has no checksum of the names in it."""
    content, path = archive(compression), tmp_path / "x.npz"
    path.write_bytes(content)
    same(read_arrays(path))
    whole, noticed = sealed(VALUES, ARRAYS), 0
    rng = np.random.default_rng(0)
    for k in rng.choice(8 * len(content), 700, replace=False):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        path.write_bytes(changed)
        try:
            found = read_arrays(path)
            unsealed(whole, found)
            same(found)
        except (DamagedFileError, ntklin.MemoryLimitError):
            noticed += 1
    assert noticed > 200


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_cut_archive_is_refused(tmp_path, compression):
    content, path = archive(compression), tmp_path / "x.npz"
    for n in range(0, len(content), 7):
        path.write_bytes(content[:n])
        with pytest.raises(DamagedFileError, match=r"cannot be read|is not an .npz archive"):
            read_arrays(path)


def npy(header, data=b""):
    """The bytes of an ``.npy`` file with any header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def members(**contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, content in contents.items():
            z.writestr(f"{name}.npy", content)
    return bytearray(buffer.getvalue())


def altered(content, mark, offset, value):
    """With another byte at ``offset`` in each record of an archive that begins with ``mark``."""
    start = 0
    while (start := content.find(mark, start)) >= 0:
        content[start + offset] = value
        start += 4
    return content


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
GOOD = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}\n", bytes(8))
DAMAGES = {
    "another method": altered(members(a=GOOD), CENTRAL, 10, 99),
    "encrypted": altered(altered(members(a=GOOD), CENTRAL, 8, 1), LOCAL, 6, 1),
    "sizes": altered(members(a=GOOD), CENTRAL, 27, 0x7F),
    "no array": members(a=b"garbage"),
    "nothing": members(a=b""),
    "pickle": members(a=npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", b"x")),
    "absurd": members(a=npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 50},)}}")),
    "overflow": members(a=npy(f"{{'descr': '<f8','fortran_order':False,'shape': ({1 << 70},)}}")),
    "negative": members(a=npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}")),
    "short": members(a=GOOD[:-1]),
    "long": members(a=GOOD + b"x"),
    "no header": members(a=npy("")),
    "deep": members(a=npy("(" * 5000)),
    "binary header": members(a=npy("\x00\x01")),
    "unknown type": members(a=npy("{'descr': 'zz', 'fortran_order': False, 'shape': (1,)}", b"x")),
    "later version": members(a=GOOD.replace(b"\x01\x00", b"\x09\x00", 1)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_one_named_error(tmp_path, damage):
    path = tmp_path / "x.npz"
    path.write_bytes(DAMAGES[damage])
    with pytest.raises(DamagedFileError, match=r"cannot be read: \S"):
        read_arrays(path)
    with pytest.raises(ntklin.CheckpointError, match=r"x.npz is damaged, or no saved training run"):
        ntklin.load_run(path)
    path.write_bytes(DAMAGES[damage].replace(b"a.npy", b"images.npy"[-5:]))
    with pytest.raises(ntklin.DataUnavailableError, match=r"x.npz (cannot be read|must hold)"):
        ntklin.load_data(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as z:
        z.writestr("a.npy", GOOD)
        z.writestr("a.npy", GOOD)
    with pytest.raises(DamagedFileError, match="it holds 'a' twice"):
        read_arrays(tmp_path / "x")


def test_an_archive_beyond_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    path.write_bytes(archive(zipfile.ZIP_LZMA, {"images": np.zeros(1 << 16)}))
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 1 << 18)
    monkeypatch.setattr(archives, "_array", lambda *arguments: pytest.fail("it was read"))
    with pytest.raises(ntklin.MemoryLimitError, match=r"reading .*x.npz needs 524 kB"):
        read_arrays(path)
    assert read_arrays(path, ["labels"]) == {}


@pytest.mark.parametrize("content", [b"", b"garbage", GOOD[:-1], npy("(" * 5000)])
def test_single_arrays_are_as_safe(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"cannot be read: \S"):
        read_array(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(GOOD)
    np.testing.assert_array_equal(read_array(tmp_path / "x.npy"), [0.0])


# Finished and unfinished


def write_result(path, **values):
    writing.write_whole(path, json.dumps(sealed(values)))


def test_an_unfinished_result_goes_beside_a_finished_one(tmp_path):
    path, beside = tmp_path / "r.json", tmp_path / "unfinished"
    assert unfinished.place(tmp_path, "r.json", False) == tmp_path
    write_result(path, complete=False, rows=[1, 2])
    assert unfinished.amount(path, "rows") == 2
    assert unfinished.place(tmp_path, "r.json", False) == tmp_path
    write_result(path, complete=True)
    assert unfinished.amount(path, "rows") == 0
    assert unfinished.place(tmp_path, "r.json", False) == beside
    assert unfinished.place(tmp_path, "r.json", True) == tmp_path
    path.write_text('{"complete": false}')  # without a digest it may be anything
    assert unfinished.place(tmp_path, "r.json", False) == beside
    write_result(beside / "r.json", complete=False)
    unfinished.forget(tmp_path, "r.json")
    assert not beside.exists()


# Names


SHOWN = {
    "plain σ 日本.npz": "plain σ 日本.npz",
    "\udcff.npz": r"\xff.npz",
    "a\nb\tc\x1b[31m": r"a\nb\tc\x1b[31m",
    "\u202egnp.x\u200b": r"\u202egnp.x\u200b",
    "\ud800": r"\ud800",
    "$x$=[red]": "$x$=[red]",
}


@pytest.mark.parametrize("name", SHOWN)
def test_names_are_shown(name):
    assert names.shown(name) == SHOWN[name]
    assert names.printable(f"one\n{name.replace(chr(10), '')}").startswith("one\n")


@given(st.text(st.characters(exclude_categories=())), st.integers(5, 40))
def test_any_name_can_be_shown(name, longest):
    text = names.shown(name)
    assert text.isprintable()
    text.encode()
    short = names.shown(name, longest)
    assert len(short) <= longest
    assert short == text or (short.partition("…")[0] and text.endswith(short.rpartition("…")[2]))


@given(st.binary(min_size=1, max_size=20).filter(lambda b: b"\0" not in b))
def test_a_command_line_gives_its_words_back(name):
    line = names.command_line(["printf", "%s", os.fsdecode(name)])
    assert line.isprintable()
    line.encode()
    if os.fsdecode(name).isprintable():
        assert shlex.split(line)[-1] == os.fsdecode(name)


@pytest.mark.parametrize(
    "name", [b"\xff'\\a.npz", b"a\nb $x `y` \x1b[", b"=ls", b"~x", "σ'".encode()]
)
def test_bash_understands_the_command_line(name):
    line = names.command_line(["printf", "%s", os.fsdecode(name)])
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=20)
    assert done.stdout == name


def test_no_name_is_a_formula():
    assert names.without_math("$a$ b") == r"\$a\$ b"
    assert [names.as_cell(c) for c in ("=1+1", "+1", "-1", "@x", "a=1")] == [
        *("'=1+1", "'+1", "'-1", "'@x", "a=1")
    ]


def test_a_file_of_that_name_goes_before_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/the/home")
    assert names.at_home("~/x") == "/the/home/x"
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "x").touch()
    assert names.at_home("~/x") == "~/x"
    assert names.at_home("~no-such-user/x") == "~no-such-user/x"
