"""Hostile input and faults, any number of cases: ``cd tests && python -m fuzz --help``.

`tables` has the values, `forms` what is done to arrays, `oddities` the objects and `places` the
files among them; `hostile` chooses. `calls` has every public function that gets them, of which
`calls_of_…` have the arguments, `words` every option of the command line, `surroundings` where
commands run, `damage` every kind of file, cut and with flipped bits, and `enclosures` what
``certify`` claims. `outcomes` tells a result or a named error from a finding. `workers` runs
batches of cases in processes with limits, so that a crash and a hang are findings too; what is done
is kept, and goes on after an interruption. `kills` ends commands in whatever they do. `record` has
what has been run so far.
"""
