"""How many there are, in words."""


def many(count: int, noun: str) -> str:
    """ "1 check", "2 checks"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
