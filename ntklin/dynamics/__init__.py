"""Exact solutions of training on the linearized network."""
