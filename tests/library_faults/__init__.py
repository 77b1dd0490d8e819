"""Faults of the library, made by hand: for each a name, how it is made, and what has to see it."""

from library_faults import of_descents, of_files, of_minimizers, of_networks, of_runs
from library_faults.making import FAULTS

__all__ = ["FAULTS", "of_descents", "of_files", "of_minimizers", "of_networks", "of_runs"]
