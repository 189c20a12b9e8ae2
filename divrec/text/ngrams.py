"""Words and pairs of words as numbers: what a linear model learns from, in any language and without a vocabulary."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled

Hashes = npt.NDArray[np.uint32]

MAX_WORDS = 512
"""Of a longer text the first and the last half of so many words count: verdicts stand at the ends."""

_ALONE = (  # scripts without spaces, where a character is a word: kana, Han, Thai, Lao, Burmese, Khmer
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_JOINED = "(?:\u200d[^\\w\\s]|[\ufe0f\U0001f3fb-\U0001f3ff])*"
"""What makes one emoji of several characters."""
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+(?:['’][^\W_{_ALONE}]+)*|[^\w\s]{_JOINED}")


def words_of(text: str) -> list[str]:
    """The words of ``text`` in lower case and order, at most 512; signs and emoji are words, as is a Chinese character.

    >>> words_of("Don't buy 这本书! 🙁")
    ["don't", 'buy', '这', '本', '书', '!', '🙁']
    """
    words = _WORD.findall(text.lower())
    half = MAX_WORDS // 2
    return words if len(words) <= MAX_WORDS else words[:half] + words[-half:]


def hashed_ngrams(text: str) -> Hashes:
    """Distinct 32-bit hashes of the words of ``text`` and of each two neighbours, ascending: uint32[n], n <= 1,023.

    Clean the text first. The hashes are the same in every process, whatever the processor.

    >>> len(hashed_ngrams("not good, not bad"))
    8
    """
    return np.unique(_with_pairs(_hashes(words_of(text))))


def _hashes(words: Sequence[str]) -> Hashes:
    return np.fromiter((zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words), np.uint32, len(words))


@compiled
def mixed(value: np.uint64) -> np.uint32:
    """The upper half of splitmix64: every bit of ``value`` reaches every bit of it."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32((value ^ (value >> np.uint64(31))) >> np.uint64(32))


@compiled
def _with_pairs(words: Hashes) -> Hashes:
    count = len(words)
    out = np.empty(max(0, 2 * count - 1), np.uint32)
    for n in range(count):
        out[n] = mixed(np.uint64(words[n]) + np.uint64(0x9E3779B97F4A7C15))
        if n > 0:
            out[count + n - 1] = mixed((np.uint64(words[n - 1]) << np.uint64(32)) ^ np.uint64(words[n]))
    return out
