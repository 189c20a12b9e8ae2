# ruff: noqa: E402
"""What the blend gains by the user's keywords, by the protocol of `divrec evaluate`.

    python benchmarks/keyword_signal.py [--data DIR] [--only ml-100k] [--limit 10000]

ml-100k with plots and ml-latest-small with titles and genres, the first events of each, with vectors of `ngrams-512`:
the blend by relevance alone where items have words, and where they have none, so that there are no keywords.
"""

import argparse
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

from msgspec.structs import replace
from ranking import DATA, ml_100k, ml_latest_small

from divrec.backfill import described
from divrec.config import Config, EncoderConfig
from divrec.evaluate.content import Content
from divrec.evaluate.models import REFERENCE, passes
from divrec.evaluate.prequential import evaluate
from divrec.evaluate.stream import read_stream
from divrec.events import Item, pack_vector
from divrec.text.content import item_text
from divrec.text.encoder import load_encoder
from streams.memory import quiet_collector

LOGS = {"ml-100k": ml_100k, "ml-latest-small": ml_latest_small}


def with_plots(items: dict[str, Item], data: Path) -> Iterator[tuple[str, Item]]:
    with gzip.open(data / "ml100k_movie_plots.jsonl.gz", "rt") as file:
        plots = {str(film["movie_id"]): film.get("plot") or "" for film in map(json.loads, file)}
    for item_id, item in items.items():
        yield item_id, replace(item, description=plots.get(item_id, ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", choices=LOGS)
    parser.add_argument("--limit", type=int, default=10_000)
    asked = parser.parse_args()
    encoder = load_encoder(EncoderConfig(model="ngrams-512"))
    for name in [asked.only] if asked.only else LOGS:
        log = LOGS[name]()
        items = {item.item_id: item for item in log.items()}
        if name == "ml-100k":
            items = dict(with_plots(items, asked.data))
        texts = {item_id: text for item_id, item in items.items() if (text := item_text(item))}
        made = zip(texts, encoder.encode(list(texts.values())), strict=True)
        vectors = {item_id: pack_vector(vector) for item_id, vector in made}
        stream = read_stream(log, Config().feedback, limit=asked.limit)
        quiet_collector()
        for told, known in (
            ("without words", {item_id: replace(item, categories=[], terms=[]) for item_id, item in items.items()}),
            ("with keywords", {item_id: described(item) for item_id, item in items.items()}),
        ):
            content = Content(known, Config().encoder.model, vectors)
            found = evaluate(stream, passes([REFERENCE], stream, Config(), content), reference=REFERENCE)
            result = found.models[REFERENCE]
            print(
                f"{name}, first {asked.limit:,} events, {told}: NDCG@10 {result.figures['ndcg@10']:.4f}, "
                f"last third {result.last_third['ndcg@10']:.4f}, µs {result.figures['cpu_us_recommend']:.0f}",
                flush=True,
            )
        log.close()


if __name__ == "__main__":
    main()
