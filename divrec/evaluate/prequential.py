"""Test, then learn: one pass over a stream for each model.

For each positive event of a user who has an earlier positive one, every model ranks all items seen so far but those
that the user has had (with repeats: all items). An item that nobody has turned to before is a miss. Then all models
learn from the event, as they do from every other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import process_time_ns

import numpy as np

from divrec.errors import ConfigError
from divrec.evaluate.categories import Categories
from divrec.evaluate.content import Content, Space, space_of
from divrec.evaluate.ranker import Interaction, Past, Ranker, Rater
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


Make = Callable[[Past], Mapping[str, Ranker]]
"""Makes models that read what has happened so far."""


def evaluate(
    stream: Stream,
    passes: Sequence[Make],
    *,
    reference: str,
    content: Content | None = None,
    k: int = K,
    told: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run the models of each of ``passes`` over the stream; ``told`` hears how many events of all passes are behind.

    What is measured does not depend on which models share a pass, but CPU time (of the process) does: models that
    take turns push each other's data out of the caches. ``content`` says what the items are. Raises ConfigError if the
    stream holds no test.
    """
    if not stream.tested.any():
        raise ConfigError(
            f"nothing to test: expected a user with two positive events, found none among {len(stream.users):,}; "
            f"positive: {stream.rule}"
        )
    content = content or Content()
    space = space_of(content, stream)
    done: dict[str, Tally] = {}
    for number, make in enumerate(passes):
        done |= _pass(stream, make, content, space, k, told, number * len(stream))
    first = done.get(reference)
    models = {}
    for name, tally in done.items():
        against = {} if first is None or name == reference else _against(tally, first)
        curves = {f"{measure}@{k}": tally.curve(measure).tolist() for measure in CURVES}
        models[name] = Result(tally.figures(stream), tally.late_figures(), against, curves)
    tests = int(np.count_nonzero(stream.tested))
    return Evaluation(len(stream), tests, len(stream.users), len(stream.items), models)


def _pass(
    stream: Stream,
    make: Make,
    content: Content,
    space: Space,
    k: int,
    told: Callable[[int], None],
    before: int,
) -> dict[str, Tally]:
    past, categories = Past(stream), Categories(stream, content.items)
    rankers = make(past)
    tallies = {name: Tally(stream, k) for name in rankers}
    learners = list({id(ranker.learner): ranker.learner for ranker in rankers.values()}.values())
    learned = dict.fromkeys(map(id, learners), 0)
    chunk = Tests(stream, len(categories))
    pairs = [(ranker, tallies[name]) for name, ranker in rankers.items()]
    raters = [(ranker, tallies[name]) for name, ranker in rankers.items() if isinstance(ranker, Rater)]
    for _, tally in raters:
        tally.rated = np.full(len(stream), np.nan, np.float32)
    for event, tested in _events(stream):
        if tested:
            row = chunk.held
            chunk.put(event, past, categories.profile(event.user))
            for ranker, tally in pairs:
                begin = process_time_ns()
                slate = ranker.rank(event.user, event.ts, k)
                tally.rank_ns += process_time_ns() - begin
                tally.put(row, np.asarray(slate, np.int32), past.counts)
            if chunk.held == CHUNK:
                _add(chunk, tallies, past, categories, space)
        if event.rating is not None:
            for rater, tally in raters:
                begin = process_time_ns()
                tally.rated[event.at] = rater.rate(event.user, event.item)
                rater.learn_rating(event)
                tally.rate_ns += process_time_ns() - begin
        for learner in learners:
            begin = process_time_ns()
            learner.learn(event)
            learned[id(learner)] += process_time_ns() - begin
        past.add(event)
        categories.learn(event)
        if event.at % _TOLD_EVERY == 0:
            told(before + event.at)
    _add(chunk, tallies, past, categories, space)
    told(before + len(stream))
    for name, ranker in rankers.items():
        tallies[name].learn_ns = learned[id(ranker.learner)]
    return tallies


def _events(stream: Stream) -> Iterator[tuple[Interaction, bool]]:
    """The events as Python objects, a part of the arrays at a time."""
    for start in range(0, len(stream), CHUNK):
        part = slice(start, start + CHUNK)
        columns = (stream.user, stream.item, stream.rating, stream.action, stream.ts, stream.positive, stream.tested)
        rows = zip(*(column[part].tolist() for column in columns), strict=True)
        for at, (user, item, rating, action, ts, positive, tested) in enumerate(rows, start):
            told = None if rating != rating else rating
            yield Interaction(at, user, item, told, ACTIONS[action], ts, positive), tested


def _add(chunk: Tests, tallies: Mapping[str, Tally], past: Past, categories: Categories, space: Space) -> None:
    if chunk.held:
        chunk.look_back(past, space.vectors)
        for tally in tallies.values():
            tally.add(chunk, categories, space)
    chunk.first += chunk.held
    chunk.held = 0


def _against(tally: Tally, reference: Tally) -> dict[str, Interval]:
    tests = reference.group_tests
    return {
        f"{measure}@{tally.k}": paired_bootstrap(tally.group_sums[measure] - reference.group_sums[measure], tests)
        for measure in CURVES
    }
