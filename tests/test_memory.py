import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntklin.edge import memory

GB = 10**9
UNLIMITED_V1 = 2**63 - 4096


class Machine:
    """A tree of files such as the kernel shows, with 16 GiB free and no limits."""

    def __init__(self, root):
        self.root = root
        self.write("proc/meminfo", "MemTotal: 33554432 kB\nMemAvailable:   16777216 kB\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))

    def mounted(self, *lines):
        """Each line is (top, mount point, type, options)."""
        self.write(
            "proc/self/mountinfo",
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
            + "".join(
                f"{30 + k} 23 0:{k} {top} {point} rw,nosuid shared:9 - {kind} none {options}\n"
                for k, (top, point, kind, options) in enumerate(lines)
            ),
        )

    def group(self, folder, limit, used, inactive=0, high="max"):
        """A group of v2."""
        self.write(f"{folder}/memory.max", limit)
        self.write(f"{folder}/memory.high", high)
        self.write(f"{folder}/memory.current", used)
        self.write(f"{folder}/memory.stat", f"anon 5\ninactive_file {inactive}\nactive_file 7\n")

    def group_v1(self, folder, limit, used, inactive=0):
        self.write(f"{folder}/memory.limit_in_bytes", limit)
        self.write(f"{folder}/memory.usage_in_bytes", used)
        self.write(
            f"{folder}/memory.stat", f"inactive_file 3\ntotal_inactive_file {inactive}\nrss 1\n"
        )

    @property
    def available(self):
        return memory.available_memory(self.root)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


V2 = ("/", "/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")


def test_the_machine_alone(machine):
    assert machine.available == 16777216 * 1024
    machine.write("proc/self/cgroup", "0::/user.slice\n")
    assert machine.available == 16777216 * 1024


def test_without_an_estimate_free_pages_count(machine, monkeypatch):
    machine.write("proc/meminfo", "MemTotal: 5 kB\n")
    monkeypatch.setattr(os, "sysconf", {"SC_AVPHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.get)
    assert machine.available == 40960


def test_strict_overcommitting_counts(machine):
    machine.write(
        "proc/meminfo", "MemAvailable: 9000 kB\nCommitLimit: 5000 kB\nCommitted_AS: 3000 kB\n"
    )
    for mode, expected in ((0, 9000), (1, 9000), (2, 2000)):
        machine.write("proc/sys/vm/overcommit_memory", f"{mode}\n")
        assert machine.available == 1024 * expected


def test_a_container_of_v2(machine):
    machine.mounted(V2)
    machine.write("proc/self/cgroup", "0::/\n")
    machine.group("sys/fs/cgroup", 8 * GB, 3 * GB, inactive=GB)
    assert machine.available == 6 * GB
    machine.group("sys/fs/cgroup", 8 * GB, 3 * GB, high=4 * GB)
    assert machine.available == GB
    machine.group("sys/fs/cgroup", GB, 3 * GB)
    assert machine.available == 0
    machine.group("sys/fs/cgroup", "max", 3 * GB)
    assert machine.available == 16777216 * 1024


def test_limits_of_the_groups_above_count(machine):
    machine.mounted(V2)
    machine.write("proc/self/cgroup", "0::/pod/inner/leaf\n")
    machine.group("sys/fs/cgroup/pod/inner/leaf", "max", GB)
    machine.group("sys/fs/cgroup/pod/inner", 9 * GB, GB)
    assert machine.available == 8 * GB
    machine.group("sys/fs/cgroup/pod", 7 * GB, 5 * GB)
    assert machine.available == 2 * GB


def test_a_container_of_v1_without_a_namespace(machine):
    # The host's path is told, but only its part from /docker/abc on is mounted.
    machine.mounted(
        ("/docker/abc", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
        ("/docker/abc", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
    )
    machine.write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc/job\n")
    machine.group_v1("sys/fs/cgroup/memory", 5 * GB, 4 * GB, inactive=GB)
    assert machine.available == 2 * GB
    machine.group_v1("sys/fs/cgroup/memory/job", 2 * GB, GB)
    assert machine.available == GB
    machine.group_v1("sys/fs/cgroup/memory", UNLIMITED_V1, 4 * GB)
    machine.group_v1("sys/fs/cgroup/memory/job", UNLIMITED_V1, 4 * GB)
    assert machine.available == 16777216 * 1024


@pytest.mark.parametrize("path", ["/elsewhere/deep", "/../sibling", "/docker/abcdef"])
def test_a_path_outside_the_mounted_part_is_its_top(machine, path):
    machine.mounted(("/docker/abc", "/sys/fs/cgroup", "cgroup2", "rw"))
    machine.write("proc/self/cgroup", f"0::{path}\n")
    machine.group("sys/fs/cgroup", 2 * GB, GB)
    assert machine.available == GB


@pytest.mark.parametrize(
    ("top", "path"), [("/", "/../sibling"), ("/docker/abc", "/docker/abc/../sibling")]
)
def test_a_group_above_the_mounted_part_is_not_looked_for_beside_the_mount_point(
    machine, top, path
):
    machine.mounted((top, "/sys/fs/cgroup", "cgroup2", "rw"))
    machine.write("proc/self/cgroup", f"0::{path}\n")
    machine.group("sys/fs/cgroup", 2 * GB, GB)
    machine.group("sys/fs/sibling", GB, GB)
    assert machine.available == GB


def test_a_hybrid_hierarchy(machine):
    machine.mounted(
        ("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
        ("/", "/sys/fs/cgroup/unified", "cgroup2", "rw"),
    )
    machine.write("proc/self/cgroup", "4:memory:/job\n1:name=systemd:/job\n0::/job\n")
    machine.group_v1("sys/fs/cgroup/memory/job", 3 * GB, GB)
    assert machine.available == 2 * GB


def test_mount_points_with_blanks(machine):
    machine.mounted(("/", r"/sys/fs\040x/cgroup", "cgroup2", "rw"))
    machine.write("proc/self/cgroup", "0::/a b:c\n")
    machine.group("sys/fs x/cgroup/a b:c", 2 * GB, GB)
    assert machine.available == GB


@pytest.mark.parametrize(
    ("kind", "place"), [("RLIMIT_AS", 0), ("RLIMIT_DATA", 5)], ids=["AS", "DATA"]
)
def test_limits_of_the_process(machine, monkeypatch, kind, place):
    resource = pytest.importorskip("resource")
    number = getattr(resource, kind)
    soft = 3 * GB
    monkeypatch.setattr(
        memory.resource, "getrlimit", lambda k: (soft if k == number else -1, -1), raising=True
    )
    fields = ["7"] * 7
    fields[place] = "1000"
    machine.write("proc/self/statm", " ".join(fields))
    assert machine.available == soft - 1000 * resource.getpagesize()


def test_without_the_module_for_limits_of_the_process_others_count(machine, monkeypatch):
    """As on Windows."""
    monkeypatch.setitem(sys.modules, "resource", None)
    spec = importlib.util.find_spec("ntklin.edge.memory")
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    machine.write("proc/self/statm", "7 7 7 7 7 7 7\n")
    assert there.available_memory(machine.root) == 16777216 * 1024


def test_systems_that_tell_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "resource", None)
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available_memory(tmp_path) is None


@pytest.mark.once
def test_refused_under_a_limit_on_addresses():
    pytest.importorskip("resource")
    if not Path("/proc/self/statm").exists():
        pytest.skip("RLIMIT_AS is not enforced here")
    code = (
        "import resource, numpy as np, ntklin\n"
        "net = ntklin.MLP((2, 3, 1)); theta = net.init(0); X = np.full((9000, 2), 0.1)\n"
        "net.features(theta, X[:4]).gram()\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 10**9,) * 2)\n"
        "import time; time.sleep(0.1)  # what is free is read anew after a moment\n"
        "try: net.features(theta, X).gram()\n"
        "except ntklin.MemoryLimitError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs 1.94 GB, but" in done.stdout, done.stderr
    free = done.stdout.partition("but ")[2].split()
    assert free[1] == "MB" or (free[1] == "GB" and float(free[0]) <= 1)
