"""The minimizer of many samples, by itself and for fewer of them, with checkpoints."""
