"""Seconds in words."""


def duration(seconds: float) -> str:
    """0.42 s, 12.3 s, 7 min 5 s, 3 h 20 min."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
