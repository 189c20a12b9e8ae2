# ruff: noqa: E402
"""What users would have seen over years, with and without diversification: one table, one picture.

    python benchmarks/long_replay.py                                        ml-latest-small: 22 years
    python benchmarks/long_replay.py --data FILE --map user=u,item=i,ts=t --items FILE --items-map item=i,categories=c

The events of a log go through the engine, once for each of three settings; an item enters the catalogue with its first
event. After every `--every`-th event of a user (5) the user gets a list of 10, and its items are observed as
impressions of that user, as an application would tell: all that is shown is seen. What users do next is what the log
says they did, whatever they were shown: no list makes them do anything else. Vectors are left out, so distance is that
of categories.

- shown again: the share of a list's items that were in the same user's list before;
- never shown: the share of the catalogue, as it is then, that has not been in anybody's list so far;
- categories: different categories in all lists of a user within a week.

The picture, docs/pictures/long_replay.svg, has 24 equal spans of time; the table has the means over all lists, and of
what was never shown the end.
"""

import argparse
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
import numpy.typing as npt
from ranking import DATA, ml_latest_small, named_log
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from divrec.config import Config, WorkerConfig
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.evaluate.categories import Categories
from divrec.evaluate.engine_rankers import evaluated
from divrec.evaluate.stream import Ids, Stream, read_stream
from divrec.events import Click, Item
from divrec.metrics.category_coverage import count_distinct
from divrec.metrics.hits import hits
from divrec.model import DAY_MS
from divrec.profile import Profile
from streams.memory import quiet_collector

K, EVERY, SPANS = 10, 5, 24
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "long_replay.svg"
Values = npt.NDArray[np.float64]


class Setting(NamedTuple):
    name: str
    diversity: float
    impressions: bool
    colour: str


DEFAULT = Config().slate.diversity
SETTINGS = (
    Setting("relevance alone", 0.0, True, "#9a9a9a"),
    Setting(f"diversity {DEFAULT:g}, impressions not told", DEFAULT, False, "#e08a00"),
    Setting(f"diversity {DEFAULT:g}", DEFAULT, True, "#0066b3"),
)


class Lists(NamedTuple):
    """What was shown, in its order."""

    items: Ids
    """int32[lists, K], -1 behind the last."""
    user: Ids
    ts: npt.NDArray[np.int64]
    seen: Ids
    """Items in the catalogue by then: 0 … seen - 1."""


class Figures(NamedTuple):
    """Of each span of time, NaN where there is nothing; and of all of it."""

    again: Values
    never: Values
    categories: Values
    overall: tuple[float, float, float]


def configured(stream: Stream) -> Config:
    """The log's scale of ratings; what a user had is not shown again, what they only saw may be."""
    config = evaluated(Config(worker=WorkerConfig(threads=1)), stream)
    consumed = tuple(action for action in config.slate.consumed_actions if action != "impression")
    return config.model_copy(update={"slate": config.slate.model_copy(update={"consumed_actions": consumed})})


def replay(stream: Stream, described: Mapping[str, Item], setting: Setting, every: int, progress: Progress) -> Lists:
    engine = Engine(configured(stream))
    numbers = {item_id: number for number, item_id in enumerate(stream.items)}
    profiles: dict[int, Profile] = {}
    events = [0] * len(stream.users)
    found: list[tuple[list[int], int, int, int]] = []
    seen = 0
    columns = (column.tolist() for column in (stream.user, stream.item, stream.rating, stream.ts))
    rows = list(zip(*columns, strict=True))
    for at, (user, item, rating, ts) in enumerate(progress.track(rows, description=setting.name)):
        user_id, item_id = stream.users[user], stream.items[item]
        if item == seen:
            seen += 1
            engine.put_item(described.get(item_id) or Item(item_id=item_id, ts=ts))
        click = Click(user_id=user_id, item_id=item_id, rating=None if rating != rating else rating, ts=ts)
        observed = engine.observe(profiles.get(user) or Profile(user_id, 0), click, f"e{at}", at)
        profile = observed.profile
        if observed.delta is not None:
            engine.apply(ModelLogRecord(0, [observed.delta]), at)
        events[user] += 1
        if events[user] % every == 0:
            made = engine.make(engine.pack([Ask(profile, ts, K, setting.diversity)]))
            shown = [engine.items.id(row) for row in made.rows[0, : made.sizes[0]].tolist()]
            for place, shown_id in enumerate(shown if setting.impressions else ()):
                seen_it = Click(user_id=user_id, item_id=shown_id, action="impression", ts=ts)
                profile = engine.observe(profile, seen_it, f"i{at}.{place}", at).profile
            found.append(([numbers[one] for one in shown] + [-1] * (K - len(shown)), user, ts, seen))
        profiles[user] = profile
    if not found:
        sys.exit(f"expected users with {every} events, found none")
    items, users, times, sizes = (np.array(column) for column in zip(*found, strict=True))
    return Lists(items.astype(np.int32), users.astype(np.int32), times, sizes.astype(np.int32))


def figures(lists: Lists, categories: Categories) -> Figures:
    span = spans_of(lists.ts)
    order = np.argsort(lists.user, kind="stable")
    later = order[1:][lists.user[order[1:]] == lists.user[order[:-1]]]
    before = order[:-1][lists.user[order[1:]] == lists.user[order[:-1]]]
    again = hits(lists.items[later], lists.items[before]).sum(axis=1) / np.maximum(
        (lists.items[later] >= 0).sum(axis=1), 1
    )

    held, first = np.unique(lists.items, return_index=True)
    first_shown = np.full(int(lists.seen.max()), len(lists.items))
    first_shown[held[held >= 0]] = first[held >= 0] // K
    shown = np.cumsum(np.bincount(first_shown, minlength=len(lists.items) + 1))[: len(lists.items)]
    never = 1.0 - shown / lists.seen

    weeks, of = np.unique(np.stack([lists.user, lists.ts // (7 * DAY_MS)]), axis=1, return_inverse=True)
    flags = np.zeros((weeks.shape[1], len(categories)), np.bool_)
    for place in range(K):
        np.logical_or.at(flags, of.ravel(), categories.of(lists.items[:, [place]])[:, 0] > 0)
    different = count_distinct(np.where(flags, np.arange(len(categories)), -1)).astype(np.float64)
    week_span = np.zeros(weeks.shape[1], np.int64)
    week_span[of.ravel()] = span

    ends = np.full(SPANS, np.nan)
    ends[span] = never  # the last of each span is what stays
    return Figures(
        means(again, span[later]),
        ends,
        means(different, week_span),
        (float(again.mean()), float(never[-1]), float(different.mean())),
    )


def spans_of(ts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which of equal spans of time each is in."""
    begin, length = int(ts.min()), int(ts.max() - ts.min()) + 1
    spans: npt.NDArray[np.int64] = (ts - begin) * SPANS // length
    return spans


def means(values: Values, span: npt.NDArray[np.int64]) -> Values:
    count = np.bincount(span, minlength=SPANS).astype(np.float64)
    count[count == 0] = np.nan
    return np.asarray(np.bincount(span, values, minlength=SPANS) / count, np.float64)


WIDTH, HEIGHT, GAP, TOP = 270, 190, 50, 60


def picture(title: str, ts: npt.NDArray[np.int64], found: Mapping[Setting, Figures]) -> str:
    """As SVG: the same bytes for the same figures."""
    panels = (
        ("shown again, share of a list", [one.again for one in found.values()]),
        ("never shown, share of the catalogue", [one.never for one in found.values()]),
        ("categories per user and week", [one.categories for one in found.values()]),
    )
    whole = GAP + 3 * (WIDTH + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{TOP + HEIGHT + 50}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{GAP}" y="20" font-weight="bold">{title}</text>',
    ]
    left = whole - GAP
    for setting in reversed(found):
        left -= 7 * len(setting.name) + 34
        parts.append(f'<path d="M{left} 16h18" stroke="{setting.colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{left + 23}" y="20">{setting.name}</text>')
    days = np.linspace(int(ts.min()), int(ts.max()), 4)[1:3] / 1_000
    for number, (name, curves) in enumerate(panels):
        x, top = GAP + number * (WIDTH + GAP), max(np.nanmax(curve) for curve in curves)
        top = float(np.ceil(top * 5) / 5 if top <= 1.0 else np.ceil(top))  # the nearest line above
        parts.append(f'<g transform="translate({x} {TOP})"><text y="-10">{name}</text>')
        for share in (0.0, 0.5, 1.0):
            y = HEIGHT * (1 - share)
            parts.append(f'<path d="M0 {y:.1f}H{WIDTH}" stroke="#ddd"/>')
            parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{share * top:g}</text>')
        for at, day in enumerate(days.tolist(), 1):
            when = datetime.fromtimestamp(day, UTC).strftime("%Y-%m")
            parts.append(f'<text x="{WIDTH * at / 3:.1f}" y="{HEIGHT + 18}" text-anchor="middle">{when}</text>')
        for setting, curve in zip(found, curves, strict=True):
            points = [
                f"{WIDTH * (span + 0.5) / SPANS:.1f} {HEIGHT * (1 - value / top):.1f}"
                for span, value in enumerate(curve.tolist())
                if value == value
            ]
            parts.append(f'<path d="M{"L".join(points)}" fill="none" stroke="{setting.colour}" stroke-width="2"/>')
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="another log")
    parser.add_argument("--map", help="its columns")
    parser.add_argument("--items", type=Path, nargs="+", help="the items of the log, with their categories")
    parser.add_argument("--items-map", help="their columns")
    parser.add_argument("--limit", type=int, help="only the first events")
    parser.add_argument("--every", type=int, default=EVERY, help="events of a user between two lists")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where to")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    console = Console(stderr=True)
    if asked.data:
        log = named_log(asked)
    elif DATA.is_dir():
        log = ml_latest_small()
    else:
        sys.exit(f"expected MovieLens logs in {DATA}, found no such directory: name a log with --data")
    described = {item.item_id: item for item in log.items()}
    stream = read_stream(log, Config().feedback, limit=asked.limit)
    log.close()
    if stream.ts[0] == stream.ts[-1]:
        sys.exit("expected events with times, found none")
    categories = Categories(stream, described)
    quiet_collector()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found: dict[Setting, Figures] = {}
    with Progress(*columns, console=console) as progress:
        for setting in SETTINGS:
            lists = replay(stream, described, setting, asked.every, progress)
            found[setting] = figures(lists, categories)
    name = asked.data[0].name if asked.data else "ml-latest-small"
    title = f"{name}: {len(lists.items):,} lists"
    table = Table(box=SIMPLE_HEAD, title=f"{title} for {len(np.unique(lists.user)):,} users", title_justify="left")
    table.add_column("", no_wrap=True)
    for column in ("shown again", "never shown", "categories per user and week"):
        table.add_column(column, justify="right")
    for setting, figure in found.items():
        again, never, different = figure.overall
        table.add_row(setting.name, f"{again:.3f}", f"{never:.3f}", f"{different:.2f}")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    Console(width=120).print(table)
    asked.picture.parent.mkdir(parents=True, exist_ok=True)
    asked.picture.write_text(picture(title, lists.ts, found))
    console.print(f"wrote {asked.picture}")


if __name__ == "__main__":
    main()
