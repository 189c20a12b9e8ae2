"""Text as people read it: without mark-up, addresses and invisible characters."""

import html
import re
import unicodedata

_HIDDEN = re.compile("[\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Soft hyphens and marks of the direction of writing: they stand within words."""
_TAG = re.compile(r"<[/!]?[A-Za-z][^<>]{0,1000}>|<!--[^<>]{0,1000}-->")
_ADDRESS = re.compile(r"(?:https?://|www\.)[!-~]+|(?<![!-~])[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,255}", re.IGNORECASE)
_BLANK = re.compile("[\\s\x00-\x1f\x7f-\x9f\u200b\u2060\ud800-\udfff\ufeff\ufff9-\ufffb]+")
_REPEATED = re.compile(r"([^\d\s])\1{3,}")
_SUSPECT = re.compile(r"[<&@\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|//|www\.", re.IGNORECASE)
"""Without one of these a second pass has nothing to do."""
_DEFUSED = str.maketrans(dict.fromkeys("<&@/.", " "))
PASSES = 3


def clean(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text`` in NFKC without tags, entities, web and mail addresses.

    Any run of white space and control characters becomes one space, more than three of the same character (but a
    digit) three; what hides within words goes. Emoji stay. Clean text stays as it is: mark-up that was escaped, or
    appears when other mark-up goes, goes too. The cost is bounded by ``limit``, not by the text.

    >>> clean("Tom &amp; Jerry<br/>sooooo good!  https://example.org/a?b ＯＫ👍", 100)
    'Tom & Jerry sooo good! OK👍'
    """
    text = text[: 4 * limit]  # mark-up takes room too
    for _ in range(PASSES):
        before, text = text, _once(text, limit)
        if text == before or not _SUSPECT.search(text):
            return text
    if _once(text, limit) == text:
        return text
    return _once(text.translate(_DEFUSED), limit)  # someone nests on purpose


def _once(text: str, limit: int) -> str:
    text = _normal(text, limit)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = _normal(html.unescape(text), limit)
        if "<" in text:  # logs hold mark-up that was escaped once more
            text = _TAG.sub(" ", text)
    if "//" in text or "@" in text or "www." in text.lower():
        text = _ADDRESS.sub(" ", text)
    return _REPEATED.sub(r"\1\1\1", _BLANK.sub(" ", text)).strip()[:limit].rstrip()


def _normal(text: str, limit: int) -> str:
    if text.isascii():
        return text
    # one character can become 18
    return _HIDDEN.sub("", unicodedata.normalize("NFKC", _HIDDEN.sub("", text)))[: 4 * limit]
