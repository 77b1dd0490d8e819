"""The real network: what the theory predicts, and never calls."""
