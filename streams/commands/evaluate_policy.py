"""``divrec evaluate --policy``: what other policies would have earned, from slates and what users then did."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.commands.logs import tell_rejected

if TYPE_CHECKING:
    from rich.table import Table

    from divrec.config import Config, FeedbackConfig
    from divrec.data.log import Log
    from divrec.evaluate.logged import Told
    from divrec.evaluate.policy import Estimate, Turn
    from divrec.events import Click, Event, Recommendation, Review

Positive = float | frozenset[str] | None

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LEAST_LIKED = 4.0


def evaluate_policy(
    settings: "Config",
    slates: Path,
    logs: list[Path],
    columns: str | None,
    preset: str | None,
    positive: Positive,
    within: str,
    as_json: Path | None,
) -> None:
    import msgspec
    from rich.console import Console

    from divrec.evaluate.logged import tell

    within_ms = _milliseconds(within)
    rejected: Counter[str] = Counter()
    turns = list(_turns(settings, logs, columns, preset, positive, rejected))
    told = tell(_recommendations(slates), turns, within_ms)
    tell_rejected(rejected)
    rule = _rule(positive)
    console = Console(highlight=False)
    console.print(
        f"{told.slates:,} slates of {told.users:,} users, {told.shown:,} shown items, {told.explored:,} of them "
        f"explored; {told.rewarded:,} were turned to within {within}; {len(turns):,} turns in the log: {rule}"
    )
    console.print(table(told))
    for line in _cautions(told):
        console.print(line)
    if as_json is not None:
        figures = {**figures_of(told), "turns": len(turns), "positive": rule, "within_ms": within_ms}
        as_json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")


def _milliseconds(within: str) -> int:
    from divrec.errors import ConfigError

    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhd])", within)
    if found is None or not (ms := round(float(found[1]) * _UNITS[found[2]])):
        raise ConfigError(f"--within: expected a time such as 30m, 24h or 7d, got {within!r}")
    return ms


def _rule(positive: Positive) -> str:
    match positive:
        case None:
            return f"a rating from {_LEAST_LIKED:g} on, without one an action with feedback above 0"
        case frozenset():
            return ", ".join(sorted(positive))
        case _:
            return f"rating >= {positive:g}"


def _recommendations(path: Path) -> Iterator["Recommendation"]:
    """Of a dump of the topic, or one a line, as `divrec tail --json` prints them. Raises ConfigError for a bad line."""
    import msgspec

    from divrec.errors import ConfigError
    from streams.client.dump import is_dump, message_of, read_dump
    from streams.codec import decode_recommendation

    values = (message_of(line).value for line in read_dump(path)) if is_dump(path) else _lines(path)
    for number, value in enumerate(values, 1):
        try:
            yield decode_recommendation(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path}, line {number}: expected a recommendation, from `divrec dump recommendations` or "
                f"`divrec tail recommendations --json`: {error}"
            ) from None


def _lines(path: Path) -> Iterator[bytes]:
    from divrec.data.readers import opened

    with opened(path) as file:
        yield from filter(bytes.strip, file)


def _turns(
    settings: "Config",
    logs: list[Path],
    columns: str | None,
    preset: str | None,
    positive: Positive,
    rejected: Counter[str],
) -> Iterator["Turn"]:
    """What users turned to, from a log or from dumps of ``events``. Raises ConfigError if no event has a time."""
    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map
    from divrec.errors import ConfigError
    from divrec.evaluate.policy import Turn
    from divrec.evaluate.stream import WIDE
    from divrec.events import Click, Review
    from streams.client.dump import is_dump

    dumps = [] if columns or preset else [path for path in logs if path.is_file() and is_dump(path)]
    log: Log = open_log(
        [path for path in logs if path not in dumps],
        map=parse_map(columns) if columns else None,
        preset=preset,
        feedback=settings.feedback if preset else WIDE,
    )
    timed = False
    with log:
        for source in (_dumped(dumps, rejected), log.unordered()):
            for event in source:
                if not isinstance(event, Click | Review):
                    continue
                timed = timed or event.ts > 0
                if is_positive(event, positive, settings.feedback):
                    yield Turn(event.user_id, event.item_id, event.ts)
        rejected.update(log.rejected)
    if not timed:
        raise ConfigError("log: expected clicks or reviews with times, found none: name their column in --map, ts=…")


def is_positive(event: "Click | Review", positive: Positive, feedback: "FeedbackConfig") -> bool:
    from divrec.events import Review

    action = "review" if isinstance(event, Review) else event.action
    if isinstance(positive, frozenset):
        return action in positive
    if positive is not None or event.rating is not None:
        return event.rating is not None and event.rating >= (_LEAST_LIKED if positive is None else positive)
    return float(getattr(feedback, action)) > 0.0


def _dumped(dumps: list[Path], rejected: Counter[str]) -> Iterator["Event"]:
    """The events of dumps of ``events``, at the times at which the recommend worker took them."""
    import msgspec

    from streams.client.dump import message_of, read_dump
    from streams.codec import decode_event, event_time

    for path in dumps:
        for line in read_dump(path):
            message = message_of(line)
            try:
                event = decode_event(message.value or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                rejected["invalid"] += 1
                continue
            event.ts = event_time(event.ts, message)
            yield event


def table(told: "Told") -> "Table":
    """The estimates for the screen."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    found = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("policy", "IPS", "95 %", "SNIPS", "95 %", "covered", "rests on"):
        found.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    logged = next(iter(told.outcomes.values())).logged
    found.add_row("logged", *_shown(logged), *_shown(logged), "1.00", f"{told.shown:,}")
    for name, outcome in told.outcomes.items():
        found.add_row(
            name,
            *_shown(outcome.ips),
            *_shown(outcome.snips),
            f"{outcome.weight.value:.2f}",
            f"{outcome.effective:,.0f}",
            style=None if outcome.supported else "dim",
        )
    return found


def _shown(estimate: "Estimate") -> tuple[str, str]:
    return f"{estimate.value:.4f}", f"{estimate.low:.4f} {estimate.high:.4f}"


def _cautions(told: "Told") -> Iterator[str]:
    yield (
        "Turns for each shown item. unexplored: the same slates without exploration; relevance: nor diversified. "
        "rests on: how many shown items the estimate is worth."
    )
    if not told.explored:
        yield "No slate explored (slate.explore): they tell of nothing but what was shown."
    for name, outcome in told.outcomes.items():
        if not outcome.supported:
            yield (
                f"{name}: the slates could have shown only {outcome.weight.value:.0%} of what it would show: IPS is "
                "too low by what is missing, SNIPS speaks for that part alone."
            )


def figures_of(told: "Told") -> dict[str, Any]:
    """Everything, for a file: see docs/evaluation.md."""
    policies: dict[str, Any] = {}
    for name, outcome in told.outcomes.items():
        policies.setdefault("logged", outcome.logged._asdict())
        policies[name] = {
            "ips": outcome.ips._asdict(),
            "snips": outcome.snips._asdict(),
            "covered": outcome.weight._asdict(),
            "supported": outcome.supported,
            "effective": outcome.effective,
        }
    counts = ("slates", "shown", "explored", "users", "rewarded")
    return {**{name: getattr(told, name) for name in counts}, "policies": policies}
