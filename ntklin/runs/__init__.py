"""What every run of steps is made of, on the real network or on the linearized one."""
