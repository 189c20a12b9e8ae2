"""Small logs for the evaluator."""

from pathlib import Path

from divrec.config import FeedbackConfig
from divrec.data.log import open_log
from divrec.evaluate.stream import WIDE, Stream, read_stream

MAP = {"user": "u", "item": "i", "rating": "r", "ts": "t", "action": "a"}


def stream_of(directory: Path, header: str, rows: list[str], **asked: object) -> Stream:
    """The stream of a CSV file with columns among u, i, r, t, a."""
    path = directory / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    columns = {ours: theirs for ours, theirs in MAP.items() if theirs in header.split(",")}
    with open_log([path], map=columns, feedback=WIDE) as log:
        return read_stream(log, FeedbackConfig(), **asked)  # type: ignore[arg-type]


def told(stream: Stream) -> list[tuple[str, str]]:
    """Users and items, in the order of the stream."""
    pairs = zip(stream.user.tolist(), stream.item.tolist(), strict=True)
    return [(stream.users[user], stream.items[item]) for user, item in pairs]
