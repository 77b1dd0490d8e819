"""Data sets: two embedded ones, MNIST and Fashion-MNIST in full, and files of the user's own."""

from ntklin.data.dataset import Dataset
from ntklin.data.load import load_data

__all__ = ["Dataset", "load_data"]
