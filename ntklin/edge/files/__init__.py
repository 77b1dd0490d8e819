"""How files are written, read again, and named; every room above writes and reads through here.

`writing` makes files that appear whole or not at all, `reading` opens only what is a file, `seal`
gives JSON and arrays a digest and refuses what does not match it, `archives` reads ``.npz`` files
that may be damaged in any way, `unfinished` keeps finished results from unfinished ones, and
`names` shows names that no display was made for.
"""
