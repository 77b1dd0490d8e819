"""What a stream's encoding has no sign for, in the signs that every encoding has."""

import codecs

# Of ``codecs.register_error``; a stream that has it writes every text.
ERRORS = "ntklin.spelled"

NAMES = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "η": "eta",
    "θ": "theta",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "φ": "phi",
    "ψ": "psi",
    "ω": "omega",
    "Δ": "Delta",
    "Γ": "Gamma",
    "Θ": "Theta",
    "Λ": "Lambda",
    "Π": "Pi",
    "Σ": "Sigma",
    "Φ": "Phi",
    "Ω": "Omega",
    "×": "x",
    "·": "*",
    "±": "+-",
    "−": "-",
    "√": "sqrt",
    "∂": "d",
    "∇": "grad ",
    "∝": "~",
    "∞": "inf",
    "≈": "~",
    "≠": "!=",
    "≯": "not >",
    "≤": "<=",
    "≥": ">=",
    "‖": "||",
    "⌊": "floor(",
    "⌋": ")",
    "⌈": "ceil(",
    "⌉": ")",
    "⟨": "<",
    "⟩": ">",
    "←": "<-",
    "→": "->",
    "↦": "|->",
    "∈": " in ",
    "∘": "o",
    "∑": "sum",
    "∏": "prod",
    "∫": "int",
    "≪": "<<",
    "≫": ">>",
    "⊙": "(.)",
    "⊗": "(x)",
    "⊤": "T",
    "ℓ": "l",
    "½": "1/2",
    "°": " degrees",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NON-BREAKING HYPHEN}": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "Ŷ": "Y^",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "⁻": "^-",
}
RAISED, LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉"
LINES = {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|", "╸": "-", "╺": "-"}
# Half of a surrogate pair by which Python marks a byte of a file's name that is no text.
FIRST_BYTE, LAST_BYTE = 0xDC80, 0xDCFF


def spell(text: str) -> str:
    """``text`` in ASCII: names for the signs of formulas, and escapes for what is left."""
    return "".join(map(_spelled, text))


def _spelled(sign: str) -> str:
    code = ord(sign)
    if code < 0x80:
        return sign
    if sign in NAMES:
        return NAMES[sign]
    for digits, mark in ((RAISED, "^"), (LOWERED, "_")):
        if sign in digits:
            return f"{mark}{digits.index(sign)}"
    if 0x2500 <= code <= 0x257F:
        return LINES.get(sign, "+")
    if 0x2800 <= code <= 0x28FF:  # the dots of which Rich's spinners are made
        return "*"
    if FIRST_BYTE <= code <= LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return sign.encode("ascii", "backslashreplace").decode()


def _spelled_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return spell(error.object[error.start : error.end]), error.end


codecs.register_error(ERRORS, _spelled_in)


def as_shown(text: str, stream: object) -> str:
    """``text`` as it will look once a stream has written it, by its encoding and its errors."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    errors = getattr(stream, "errors", None) or "strict"
    try:
        return text.encode(encoding, errors).decode(encoding)
    except UnicodeError:  # it will be known when it is written
        return text
