"""``ntklin bench``: how fast ntklin is, beside the machine's limits and other libraries."""

from ntklin.validation.benchmarks.benchmark import main

__all__ = ["main"]
