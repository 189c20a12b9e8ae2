"""Words of a text that a person would recognise: Chinese by dictionary, other scripts by their spaces."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import rjieba
import stopwordsiso

from divrec.text.clean import clean
from divrec.text.language import LEAST_VOTES, stop_word_votes

MAX_CHARACTERS = 20_000
MAX_WORD = 64

_HAN = re.compile(r"([\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)")
_MARKS = (
    # combining marks, which belong to the word but are not \w: Latin, Hebrew, Arabic, the scripts of India, Thai, Lao,
    # Tibetan, Burmese, Khmer
    "\u0300-\u036f\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u0900-\u0963\u0966-\u0dff"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
)
_WORD = re.compile(rf"[\w{_MARKS}]+(?:['-][\w{_MARKS}]+)*")


def terms(text: str, limit: int = 24) -> list[str]:
    """At most ``limit`` distinct words of ``text``, the most frequent first, then the earlier; the same every time.

    Lower case, NFKC. Left out are stop words of English, Chinese and the language that the text is likely in, words
    without a letter, single Latin letters and words of more than 64 characters. A text of stop words alone keeps them:
    a title is better known by "up" than by nothing. Only the first 20,000 characters are read.

    >>> terms("The Lord of the Rings: <b>the Rings</b> return")
    ['rings', 'lord', 'return']
    >>> terms("我喜欢电影的音乐, I love the music")
    ['喜欢', '电影', '音乐', 'love', 'music']
    """
    counts = Counter(words(clean(text, MAX_CHARACTERS)))
    ignored = _stop_words(_foreign(counts))
    found = [word for word in counts if word not in ignored] or list(counts)
    found.sort(key=counts.__getitem__, reverse=True)  # stable: equal counts stay in the order of the text
    return found[:limit]


def words(text: str) -> Iterator[str]:
    """The words of clean ``text`` in their order and in lower case, with stop words, without what has no letter.

    >>> list(words("The king's film, 我喜欢电影"))
    ['the', 'king', 'film', '我', '喜欢', '电影']
    """
    for index, part in enumerate(_HAN.split(text.lower().replace("’", "'").replace("_", " "))):
        if index % 2:
            yield from (word for word in rjieba.cut(part) if len(word) <= MAX_WORD)
        elif part:
            for word in _WORD.findall(part):
                if "'" in word and word not in _stop_words(None):  # king's, l'amour, rock'n'roll
                    yield from filter(_recognisable, word.split("'"))
                elif _recognisable(word):
                    yield word


def _recognisable(word: str) -> bool:
    if len(word) == 1:
        return ord(word) >= 0x530 and word.isalpha()  # after Latin, Greek and Cyrillic letters alone say something
    return len(word) <= MAX_WORD and any(map(str.isalpha, word))


def _foreign(words: Iterable[str]) -> str | None:
    """The language besides English and Chinese with the most stop words in ``words``: two, and more than English."""
    votes = stop_word_votes(words)
    english = votes.pop("en", 0)
    language = max(votes, key=lambda name: (votes[name], name), default=None)
    return language if language is not None and votes[language] >= max(LEAST_VOTES, english + 1) else None


@functools.cache
def _stop_words(language: str | None) -> frozenset[str]:
    return frozenset(stopwordsiso.stopwords(["en", "zh", *([language] if language else [])]))
