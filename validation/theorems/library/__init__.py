"""The public functions against exact arithmetic, for each statement that they are about.

Checks of statements are proofs of formulas in arithmetic of their own; those here hold the library
to them. ``agreement`` says what a result may be off by, ``models`` is a network in exact numbers,
``rules`` are the optimizers; the other files have the checks, by what they ask of the library.
"""
