"""Text as people read it: without mark-up, addresses and invisible characters."""

import html
import re
import unicodedata

_TAG = re.compile(r"<[/!]?[A-Za-z][^<>]{0,1000}>|<!--[^<>]{0,1000}-->")
_ADDRESS = re.compile(r"(?:https?://|www\.)[!-~]+|(?<![!-~])[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,255}", re.IGNORECASE)
_BLANK = re.compile(r"[\s\x00-\x1f\x7f\u200b\u2060\ufeff]+")


def clean(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text`` in NFKC without tags, entities, web and mail addresses.

    Any run of white space becomes one space. The cost is bounded by ``limit``, not by the text.

    >>> clean("Tom &amp; Jerry<br/>see  https://example.org/a?b", 100)
    'Tom & Jerry see'
    """
    text = text[: 4 * limit]  # mark-up takes room too
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
        if "<" in text:  # logs hold mark-up that was escaped once more
            text = _TAG.sub(" ", text)
    if "//" in text or "@" in text or "www." in text.lower():
        text = _ADDRESS.sub(" ", text)
    text = unicodedata.normalize("NFKC", text[: 2 * limit])[: 4 * limit]  # one character can become 18
    return _BLANK.sub(" ", text).strip()[:limit].rstrip()
