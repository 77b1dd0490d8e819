"""``ntklin bench``: how fast ntklin is, beside the machine's limits and other libraries."""

from ntklin.validation.benchmarks.run import main

__all__ = ["main"]
