"""Text of strangers made fit for a terminal: no control character of it is obeyed."""

from rich.markup import escape


def printable(text: str) -> str:
    """``text`` with an escape in place of whatever is neither a visible character nor a blank.

    Control characters (C0, C1, DEL), line ends, changes of the writing direction, what has no width and lone
    surrogates become ``\\x1b``, ``\\u202e`` and so on; everything visible stays as it is.

    >>> printable("ok \\x1b[2J \\u202e")
    'ok \\\\x1b[2J \\\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text
    )


def marked(text: str) -> str:
    """The same for text within rich's markup."""
    return escape(printable(text))


def hex_lines(data: bytes, limit: int) -> list[str]:
    """The first ``limit`` bytes, 16 a line: where they stand, in hexadecimal, and as ASCII."""
    lines = []
    for at in range(0, min(len(data), limit), 16):
        row = data[at : min(at + 16, limit)]
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {seen}")
    return lines
