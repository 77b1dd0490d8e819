"""Bytes and seconds in words."""

import pytest

from ntklin.edge.amounts import duration, format_bytes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.00012, "0.00012 s"),
        (0.42, "0.42 s"),
        (1.04, "1.0 s"),
        (12.34, "12.3 s"),
        (99.94, "99.9 s"),
        (425, "7 min 5 s"),
        (3599.7, "1 h 0 min"),
        (9000, "2 h 30 min"),
        (172_740, "47 h 59 min"),
        (864_000, "10 d 0 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (2500, "2.5 kB"),
        (1.23e8, "123 MB"),
        (5e15, "5,000.0 TB"),
    ],
)
def test_bytes(n, text):
    assert format_bytes(n) == text
