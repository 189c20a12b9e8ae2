"""Messages as a hostile or broken producer sends them: valid events mutated, and noise. The same for a seed."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from streams.codec import DEAD_LETTER_HEADERS, EVENT_ID, REPLAY, Header, Record, now_ms

Pairs = list[tuple[str, str]]
"""The fields of an object as JSON texts: names may come twice, values need not be JSON."""

USERS = [f"u{n}" for n in range(300)] + ["ü☃", "a b\nc", '"', "{u}", "\x00", "😀" * 128, "x" * 256, "*", "%s"]
ITEMS = [f"i{n}" for n in range(400)] + ["m|i", "|", "é" * 256, "\u202e", "\x7f", "i\x00", "-1"]
TEXT = "the battery lasts two days 电池 可以 用 <b>fast</b> &amp; https://x.example/ ﷺ a\u0301\u0301 \x00 😀"
WORDS = TEXT.split(" ")
ACTIONS = ["impression", "view", "click", "cart", "purchase", "like", "dislike", "skip"]
KINDS = ["click", "review", "request", "item", "forget", "merge", "recommendation", "", "\x00"]

ODD = [
    *(
        "null",
        "true",
        "false",
        '""',
        "[]",
        "{}",
        '"x"',
        "0",
        "-0",
        "-1",
        "1",
        "0.5",
        "-0.0",
        "5e-324",
        "1e308",
        "1e309",
    ),
    *("NaN", "Infinity", "-Infinity", "1" + "0" * 400, "1e-400", "9007199254740993", "18446744073709551616", "007"),
    *("253402300799999", "253402300800000", "-62135596800000", "4.5", '"4.5"', '"2024-05-01"', "[null]", "[[]]"),
    *('["", ""]', '{"a": null}', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\x"', '"' + "x" * 257 + '"'),
    *(json.dumps(["w"] * 65), json.dumps(["w" * 129]), json.dumps({f"k{n}": "v" for n in range(33)}), "'x'", "", " "),
    *('"' + "長" * 2_000 + '"', json.dumps("\U0010ffff" * 300), "undefined", "0x10", "+1", ".5", "1.", "\xa0"),
]


class Mutations:
    """Endless messages for the four input topics."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now = now_ms()

    def records(self, kind: str, topic: str, partitions: int, count: int) -> Iterator[Record]:
        for _ in range(count):
            yield Record(
                topic,
                self._random.randrange(partitions),
                self._key(),
                self._value(kind),
                self._headers(),
                self._time() if self._random.random() < 0.03 else None,
            )

    def _value(self, kind: str) -> bytes | None:
        random = self._random
        chance = random.random()
        if chance < 0.02:
            return random.choice([None, b"", b" ", b"null", b"[]", b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\x00" * 9])
        if chance < 0.08:
            return random.randbytes(random.choice([1, 8, 64, 1_000]))
        fields = [(name, json.dumps(value)) for name, value in self._event(kind).items()]
        if chance < 0.45:
            return _joined(fields)
        for _ in range(random.choice([1, 1, 1, 2, 5])):
            random.choice(_MUTATIONS)(random, fields)
        data = _joined(fields)
        if chance < 0.7:
            return data
        return random.choice(_DAMAGES)(random, data)

    def _event(self, kind: str) -> dict[str, Any]:
        random = self._random
        event: dict[str, Any] = {} if random.random() < 0.2 else {"kind": kind}
        if kind != "item":
            event["user_id"] = random.choice(USERS)
        if kind != "request":
            event["item_id"] = random.choice(ITEMS)
        if random.random() < 0.7:
            event["ts"] = self._now - random.randrange(10**9)
        if random.random() < 0.5:
            event["event_id"] = f"{kind}-{random.randrange(random.choice([50, 10**9]))}"
        match kind:
            case "click":
                event["action"] = random.choice(ACTIONS)
            case "review":
                event["text"] = self._text()
                event["title"] = self._text()[:40]
            case "item":
                event |= {"title": self._text()[:60], "categories": random.sample(WORDS, 2), "price": 9.5}
                event["available"] = random.random() < 0.8
            case "request":
                event |= {"k": random.randint(1, 30), "diversity": random.random(), "exclude": ITEMS[:3]}
                event["context"] = {"page": "home"}
        if kind in ("click", "review") and random.random() < 0.3:
            event["rating"] = random.choice([1, 2.5, 5])
        return event

    def _text(self) -> str:
        return " ".join(self._random.choices(WORDS, k=self._random.choice([1, 3, 12])))

    def _key(self) -> bytes | None:
        random = self._random
        return random.choice([None, b"", b"k", random.randbytes(8), random.choice(ITEMS).encode(), b"\xff" * 300])

    def _headers(self) -> list[Header]:
        random = self._random
        if random.random() < 0.7:
            return []
        names = [EVENT_ID, REPLAY, "", "é", "divrec-", "x" * 300, "divrec-arrived", *sorted(DEAD_LETTER_HEADERS)]
        values: list[Any] = [None, b"", b"1", b"\xff", b"e" * 257, random.randbytes(20), b"h%d" % random.randrange(500)]
        return [(random.choice(names), random.choice(values)) for _ in range(random.randint(1, 4))]

    def _time(self) -> int:
        return self._random.choice([0, 1, self._now - 10**12, self._now + 10**12, 253402300800000, 2**53])


def _joined(fields: Pairs) -> bytes:
    return ("{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields) + "}").encode(
        errors="surrogatepass"
    )


def _odd(random: random.Random, fields: Pairs) -> None:
    if fields:
        at = random.randrange(len(fields))
        fields[at] = (fields[at][0], random.choice(ODD))


def _drop(random: random.Random, fields: Pairs) -> None:
    if fields:
        fields.pop(random.randrange(len(fields)))


def _swap(random: random.Random, fields: Pairs) -> None:
    if len(fields) > 1:
        one, other = random.sample(range(len(fields)), 2)
        (a, x), (b, y) = fields[one], fields[other]
        fields[one], fields[other] = (a, y), (b, x)


def _double(random: random.Random, fields: Pairs) -> None:
    if fields:
        name, value = random.choice(fields)
        fields.insert(random.randint(0, len(fields)), (name, random.choice([value, *ODD])))


def _add(random: random.Random, fields: Pairs) -> None:
    name = random.choice(["extra", "terms", "vector", "model", "__class__", "", "rating", "k", "exclude", "\x00"])
    value = random.choice([*ODD, '"AAAA"', '["forged"]', '"' + "A" * 1_024 + '"'])
    fields.append((name, value))


def _kind(random: random.Random, fields: Pairs) -> None:
    fields[:] = [("kind", json.dumps(random.choice(KINDS))), *(field for field in fields if field[0] != "kind")]


def _nest(random: random.Random, fields: Pairs) -> None:
    depth = random.choice([3, 60, 1_200, 20_000])
    opening, closing = random.choice([("[", "]"), ('{"a":', "}")])
    fields.append(("deep" if random.random() < 0.5 else "context", opening * depth + "1" + closing * depth))


def _lengthen(random: random.Random, fields: Pairs) -> None:
    name = random.choice(["text", "title", "description", "user_id", "item_id", "event_id", "extra"])
    length = random.choice([256, 257, 3_000, 65_536, 65_537]) if random.random() < 0.2 else 300
    fields.append((name, '"' + random.choice("x\u00e4長") * length + '"'))


_MUTATIONS: list[Callable[[random.Random, Pairs], None]] = [_odd, _odd, _drop, _swap, _double, _add, _kind, _nest]
_MUTATIONS += [_odd, _swap, _add, _lengthen]


def _flip(random: random.Random, data: bytes) -> bytes:
    flipped = bytearray(data)
    for _ in range(random.choice([1, 1, 3, 20])):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _truncate(random: random.Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def _insert(random: random.Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    piece = random.choice(
        [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b'"', b"{", b",", b"//", random.randbytes(5)]
    )
    return data[:at] + piece + data[at:]


def _repeat(random: random.Random, data: bytes) -> bytes:
    return random.choice(
        [data + data, data + b"\n", b"\xef\xbb\xbf" + data, b"[" + data + b"]", data.decode().encode("utf-16")]
    )


def _enlarge(random: random.Random, data: bytes) -> bytes:
    if random.random() < 0.03:
        return data[:-1] + b',"pad":"' + b"x" * random.choice([250_000, 262_144, 400_000]) + b'"}'
    return data + b" " * random.randrange(100)


_DAMAGES: list[Callable[[random.Random, bytes], bytes]] = [_flip, _flip, _truncate, _insert, _repeat, _enlarge]
