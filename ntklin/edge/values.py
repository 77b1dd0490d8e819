"""What users passed, as errors show it: in few words, whatever it is."""

import re
import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxlong = _SHORT.maxstring = _SHORT.maxother = 400
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = 20


def said(value: object) -> str:
    """``repr(value)``, shortened where it is long; in other words where Python has none for it.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    try:
        return re.sub(r"\s*\n\s*", " ", _SHORT.repr(value))  # arrays have several lines
    except Exception:  # integers of more than 4300 digits, and whatever another's __repr__ raises
        if isinstance(value, int):
            return f"an integer of {value.bit_length()} bits"
        return f"an object of type {type(value).__name__}"
