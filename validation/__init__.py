"""Checks of ntklin from outside: it is used here through its public names only."""
