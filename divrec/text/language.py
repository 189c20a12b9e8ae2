"""Which language a text is likely in: by its script, and by its stop words where a script serves many."""

import functools
import re
from collections import Counter
from collections.abc import Iterable

import stopwordsiso

_SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff]"),  # before Chinese: Japanese has Han too
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "hy": re.compile("[\u0530-\u058f]"),
    "ka": re.compile("[\u10a0-\u10ff]"),
    "ta": re.compile("[\u0b80-\u0bff]"),
    "te": re.compile("[\u0c00-\u0c7f]"),
    "gu": re.compile("[\u0a80-\u0aff]"),
    "bn": re.compile("[\u0980-\u09ff]"),
}
"""Scripts of one language, or of one by far the most common."""
_KANA_SHARE = 0.1
_UKRAINIAN = re.compile("[єїґ]")
"""Letters that no other Cyrillic language has."""
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
MAX_CHARACTERS = 2_000
LEAST_VOTES = 2


def likely_language(text: str) -> str | None:
    """ISO 639-1 code of the language of the first 2,000 characters, None if they do not tell.

    A script of its own that most of the letters belong to decides; else the language with the most stop words among
    the words, at least two.

    >>> likely_language("Das Buch ist nicht gut"), likely_language("这本书不好"), likely_language("42 👍")
    ('de', 'zh', None)
    """
    text = text[:MAX_CHARACTERS].lower()
    letters = len(_LETTER.findall(text))
    for language, script in _SCRIPTS.items():
        count = len(script.findall(text))
        if count and (2 * count > letters or (language == "ja" and count > _KANA_SHARE * letters)):
            return language
    if _UKRAINIAN.search(text):
        return "uk"
    votes = stop_word_votes(_WORD.findall(text))
    language = max(votes, key=lambda name: (votes[name], name == "en", name), default="")
    return language if votes[language] >= LEAST_VOTES else None


def stop_word_votes(words: Iterable[str]) -> Counter[str]:
    """For each language but Chinese how many of ``words``, in lower case, are stop words of it."""
    languages = _languages_of_stop_words()
    return Counter(language for word in words for language in languages.get(word, ()))


@functools.cache
def _languages_of_stop_words() -> dict[str, tuple[str, ...]]:
    languages: dict[str, list[str]] = {}
    for language in sorted(stopwordsiso.langs() - {"zh"}):
        for word in stopwordsiso.stopwords(language):
            languages.setdefault(word, []).append(language)
    return {word: tuple(names) for word, names in languages.items()}
