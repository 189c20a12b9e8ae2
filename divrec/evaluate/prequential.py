"""Test, then learn: one pass over a stream with several models side by side.

For each positive event of a user who has an earlier positive one, every model ranks all items seen so far but those
that the user has had (with repeats: all items). An item that nobody has turned to before is a miss. Then all models
learn from the event, as they do from every other.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import process_time_ns

import numpy as np

from divrec.evaluate.categories import Categories
from divrec.evaluate.ranker import Interaction, Past, Ranker
from divrec.evaluate.stream import ACTIONS, Stream
from divrec.evaluate.tally import CHUNK, CURVES, Tally, Tests
from divrec.metrics.bootstrap import Interval, paired_bootstrap

K = 10
_TOLD_EVERY = 200


@dataclass(frozen=True)
class Result:
    """What one model did."""

    figures: dict[str, float]
    last_third: dict[str, float]
    """Accuracy over the last third of the tests."""
    against: dict[str, Interval]
    """This model minus the reference, with the ends of the 95 % interval; empty for the reference itself."""
    curves: dict[str, list[float]]
    """Means over equal parts of the stream, oldest first."""


@dataclass(frozen=True)
class Evaluation:
    events: int
    tested: int
    users: int
    items: int
    models: dict[str, Result]


def evaluate(
    stream: Stream,
    past: Past,
    rankers: Mapping[str, Ranker],
    *,
    reference: str,
    categories: Categories | None = None,
    k: int = K,
    told: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run all ``rankers``, which read ``past``; ``told`` hears how many events are behind.

    The first name in the result is ``reference`` if it is among them. CPU time is that of the process.
    """
    tests = int(np.count_nonzero(stream.tested))
    tallies = {name: Tally(k, tests, len(stream.users), len(stream.items)) for name in rankers}
    learners = list({id(ranker.learner): ranker.learner for ranker in rankers.values()}.values())
    learned = dict.fromkeys(map(id, learners), 0)
    chunk = Tests(0 if categories is None else len(categories))
    pairs = [(ranker, tallies[name]) for name, ranker in rankers.items()]
    for event, tested in _events(stream):
        if tested:
            row = chunk.held
            chunk.user[row], chunk.target[row], chunk.events[row] = event.user, event.item, past.events
            if categories is not None:
                chunk.profile[row] = categories.profile(event.user)
            for ranker, tally in pairs:
                begin = process_time_ns()
                slate = ranker.rank(event.user, event.ts, k)
                tally.cpu_rank_ns += process_time_ns() - begin
                tally.put(row, np.asarray(slate, np.int32), past.counts)
            chunk.held += 1
            if chunk.held == CHUNK:
                _add(chunk, tallies, categories)
        for learner in learners:
            begin = process_time_ns()
            learner.learn(event)
            learned[id(learner)] += process_time_ns() - begin
        past.add(event)
        if categories is not None:
            categories.learn(event)
        if event.at % _TOLD_EVERY == 0:
            told(event.at)
    _add(chunk, tallies, categories)
    told(len(stream))
    first = tallies.get(reference)
    models = {}
    for name, ranker in rankers.items():
        tally = tallies[name]
        against = {} if first is None or name == reference else _against(tally, first)
        cpu = {
            "cpu_us_learn": learned[id(ranker.learner)] / 1_000 / max(1, len(stream)),
            "cpu_us_recommend": tally.cpu_rank_ns / 1_000 / max(1, tests),
        }
        curves = {f"{measure}@{k}": tally.curve(measure).tolist() for measure in CURVES}
        models[name] = Result(tally.figures(past.seen) | cpu, tally.late_figures(), against, curves)
    return Evaluation(len(stream), tests, len(stream.users), len(stream.items), models)


def _events(stream: Stream) -> Iterator[tuple[Interaction, bool]]:
    """The events as Python objects, a part of the arrays at a time."""
    for start in range(0, len(stream), CHUNK):
        part = slice(start, start + CHUNK)
        columns = (stream.user, stream.item, stream.rating, stream.action, stream.ts, stream.positive, stream.tested)
        rows = zip(*(column[part].tolist() for column in columns), strict=True)
        for at, (user, item, rating, action, ts, positive, tested) in enumerate(rows, start):
            told = None if rating != rating else rating
            yield Interaction(at, user, item, told, ACTIONS[action], ts, positive), tested


def _add(chunk: Tests, tallies: Mapping[str, Tally], categories: Categories | None) -> None:
    if chunk.held:
        for tally in tallies.values():
            tally.add(chunk, categories)
    chunk.first += chunk.held
    chunk.held = 0


def _against(tally: Tally, reference: Tally) -> dict[str, Interval]:
    tests = reference.group_tests
    return {
        f"{measure}@{tally.k}": paired_bootstrap(tally.group_sums[measure] - reference.group_sums[measure], tests)
        for measure in CURVES
    }
