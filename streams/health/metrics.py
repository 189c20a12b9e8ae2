"""What a worker measures, for Prometheus: every metric of divrec is defined here, with a registry per process.

A label has few values, fixed by the configuration or by this module, and never names a user, an item or an event.
Counters move once per batch; what has a size is looked at when somebody asks.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.codec import REASON, STAGE, Message, Record, now_ms

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, of no use here

PREFIX = "divrec_"
OTHER = "other"
REASONS = frozenset(
    {
        *("empty", "too-large", "not-json", "invalid", "no-key", "missing-field", "bad-time", "bad-rating"),
        *("bad-action", "bad-vector", "wrong-partition", "poisoned", "no-slate", "encoder"),
    }
)
"""Reasons of dead letters that are counted by name; any other one counts as ``other``."""
STAGES = frozenset({"ingest", "encode", "recommend"})

BATCH_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELAY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0)


class Definition(NamedTuple):
    """``name`` without the prefix; a counter's gets the suffix ``_total``."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()


EVENTS = Definition("events_taken", "counter", "Messages taken from an input topic or from events.", ("topic",))
RECOMMENDATIONS = Definition("recommendations", "counter", "Recommendations published and acknowledged.")
DEAD_LETTERS = Definition("dead_letters", "counter", "Dead letters published.", ("stage", "reason"))
BATCH = Definition(
    "batch_seconds",
    "histogram",
    "Time of one step of a batch: compute, write (recommend), send (ingest, encode), model (texts through BERT).",
    ("step",),
)
DELAY = Definition(
    "delay_seconds",
    "histogram",
    "From Kafka's timestamp of what was read to the acknowledgement of what came of it, by stage; whole: from the "
    "input topic to the recommendation, of one event per ingest batch.",
    ("stage",),
)
PROFILES = Definition("profile_lookups", "counter", "Profiles needed by a batch: hit in memory, or miss.", ("result",))
RULE_APPLIED = Definition(
    "rule_applied", "counter", "Items of published slates that a rule put there or moved, by its name.", ("rule",)
)
RULE_REMOVED = Definition(
    "rule_removed", "counter", "Candidates of published slates that a rule took out, by its name.", ("rule",)
)
STORE_WAITS = Definition("store_waits", "counter", "Attempts that found the profile store away.")
STORE_CONFLICTS = Definition(
    "store_conflicts", "counter", "Batches done again because another worker had written, or the store had gone back."
)

CONSUMER_LAG = Definition(
    "consumer_lag", "gauge", "Messages of an assigned partition that are not done.", ("topic", "partition")
)
EVENTS_OPEN = Definition("events_open", "gauge", "Messages taken and not yet acknowledged.")
REPLICA_LAG = Definition("replica_lag", "gauge", "Records of a followed topic that are not applied.", ("topic",))
MODEL_OFFSET = Definition("model_log_offset", "gauge", "Model-log offset that the model stands at.")
SNAPSHOT_OFFSET = Definition("snapshot_offset", "gauge", "Model-log offset of the latest snapshot, 0 without one.")
STATE_SIZE = Definition("state_size", "gauge", "What is held: items, entries or bytes.", ("state",))
STATE_BOUND = Definition("state_bound", "gauge", "What may be held at most.", ("state",))
DISK_FREE = Definition("disk_free_bytes", "gauge", "Free space where state or cached vectors lie.", ("directory",))
ENCODER_PENDING = Definition("encoder_pending", "gauge", "Texts of a topic that wait for the model.", ("topic",))
VECTOR_CACHE = Definition(
    "vector_lookups", "counter", "Texts whose vector was cached (hit), or encoded (miss).", ("result",)
)
SKIPPED = Definition("skipped_records", "counter", "Records of followed topics that could not be read.")
REFUSED = Definition("refused_items", "counter", "Items and vectors not taken because the catalogue was full.")
OTHER_VECTORS = Definition("other_model_vectors", "counter", "Vectors of other text models that were not kept.")
INTERACTIONS = Definition("interactions", "counter", "Interactions that the model has learned, over all workers.")
QUALITY = Definition(
    "quality",
    "gauge",
    "Mean hit rate (hr) and NDCG of this worker's published slates, and of the most popular items in their place, over "
    "the latest tests: a test is a user's first positive act on an item after a slate.",
    ("of", "measure"),
)
LIST_QUALITY = Definition(
    "list_quality",
    "gauge",
    "What this worker's latest slates are like, and the most popular items as a list: category_coverage, ild, "
    "ild_categories, novelty, popularity, freshness; of the slates also inter_list, catalog_coverage, gini.",
    ("of", "measure"),
)
QUALITY_LISTS = Definition("quality_lists", "gauge", "Slates that the list quality is a mean of.")
QUALITY_TESTS = Definition("quality_tests", "gauge", "Tests that the quality is a mean of.")
INFO = Definition("info", "gauge", "Always 1: which worker this is.", ("worker", "generation", "version"))

DEFINITIONS = tuple(value for value in globals().values() if isinstance(value, Definition))

Sample = tuple[Definition, Sequence[str], float]


class Metrics:
    """The metrics of one worker. ``watch`` adds functions that say how large things are."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._samples: list[Callable[[], Iterable[Sample]]] = []
        self._events = _counter(EVENTS, self.registry)
        self._recommendations = _counter(RECOMMENDATIONS, self.registry)
        self._dead_letters = _counter(DEAD_LETTERS, self.registry)
        self._profiles = _counter(PROFILES, self.registry)
        self._rule_applied = _counter(RULE_APPLIED, self.registry)
        self._rule_removed = _counter(RULE_REMOVED, self.registry)
        self.store_waits = _counter(STORE_WAITS, self.registry)
        self.store_conflicts = _counter(STORE_CONFLICTS, self.registry)
        self._batch = Histogram(
            PREFIX + BATCH.name, BATCH.text, BATCH.labels, buckets=BATCH_BUCKETS, registry=self.registry
        )
        self._delays = Delays()
        self.registry.register(self._delays)
        self.registry.register(_Watched(self._samples))

    def watch(self, sample: Callable[[], Iterable[Sample]]) -> None:
        """Call ``sample`` whenever the metrics are asked for: in the event loop, so it must be quick."""
        self._samples.append(sample)

    def taken(self, messages: Sequence[Message]) -> None:
        for topic, count in Tally(message.topic for message in messages).items():
            self._events.labels(topic).inc(count)

    def sent(self, records: Iterable[Record], *, dead_letters: str, recommendations: str = "") -> None:
        """Count acknowledged ``records`` by what they are; the names are those of the topics."""
        slates = 0
        for record in records:
            if record.topic == recommendations:
                slates += 1
            elif record.topic == dead_letters:
                about = dict(record.headers)
                self._dead_letters.labels(*_bounded(about)).inc()
        if slates:
            self._recommendations.inc(slates)

    def arrived(self, stage: str, timestamps: Sequence[int]) -> None:
        """What was read at these Kafka timestamps (epoch milliseconds) has now had its effect."""
        if timestamps:
            self._delays.observe(stage, (now_ms() - np.array(timestamps)) / 1_000)

    def profiles(self, needed: int, missing: int) -> None:
        self._profiles.labels("hit").inc(needed - missing)
        self._profiles.labels("miss").inc(missing)

    def rules(self, applied: Mapping[str, int], removed: Mapping[str, int]) -> None:
        """What rules did, by their names: those of the configuration and a few fixed ones."""
        for counter, counts in ((self._rule_applied, applied), (self._rule_removed, removed)):
            for rule, count in counts.items():
                counter.labels(rule).inc(count)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._batch.labels(step).observe(time.perf_counter() - start)


def _counter(definition: Definition, registry: CollectorRegistry) -> Counter:
    return Counter(PREFIX + definition.name, definition.text, definition.labels, registry=registry)


def _bounded(about: Mapping[str, bytes]) -> tuple[str, str]:
    stage, reason = (about.get(name, b"").decode(errors="replace") for name in (STAGE, REASON))
    return stage if stage in STAGES else OTHER, reason if reason in REASONS else OTHER


class Delays(Collector):
    """The histogram of delays: a batch is counted at once, where a Histogram takes one observation at a time."""

    def __init__(self) -> None:
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, stage: str, seconds: npt.NDArray[np.float64]) -> None:
        places = np.searchsorted(DELAY_BUCKETS, seconds)
        counts = np.bincount(places, minlength=len(DELAY_BUCKETS) + 1)
        self._counts[stage] = self._counts.get(stage, np.zeros_like(counts)) + counts
        self._sums[stage] = self._sums.get(stage, 0.0) + float(seconds.sum())

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(PREFIX + DELAY.name, DELAY.text, labels=DELAY.labels)
        bounds = [*map(str, DELAY_BUCKETS), "+Inf"]
        for stage, counts in self._counts.items():
            family.add_metric([stage], list(zip(bounds, np.cumsum(counts).tolist(), strict=True)), self._sums[stage])
        yield family


class _Watched(Collector):
    def __init__(self, samples: Sequence[Callable[[], Iterable[Sample]]]) -> None:
        self._samples = samples

    def describe(self) -> Iterable[Metric]:
        return ()  # otherwise registering would collect, before there is anything to collect from

    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for sample in self._samples:
            for definition, labels, value in sample():
                family = families.get(definition.name)
                if family is None:
                    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
                    family = kind(PREFIX + definition.name, definition.text, labels=definition.labels)
                    families[definition.name] = family
                family.add_metric(labels, value)
        return families.values()
