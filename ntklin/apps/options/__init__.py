"""The options of the commands, each declared once; loading them loads no NumPy.

A command's options are a frozen dataclass. Its fields are annotated with an ``Option``, which has
all that is to be said of one: flag, help, panel, how its text is read and written, its check. The
command line's parameters, the command that repeats a run, the configuration's checks and what a
report says of it follow from that (``declared.py``).
"""
