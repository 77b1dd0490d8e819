"""Matrices only: spectra, solvers, constant D, certified balls."""
