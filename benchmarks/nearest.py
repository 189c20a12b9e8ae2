"""Nearest items to interest vectors: recall against an exact search, and microseconds a query.

    python benchmarks/nearest.py [--sizes 5000,16000,100000] [--queries 300]

- films: titles and genres of MovieLens ml-latest-small through multilingual-e5-small (cached like an encode worker's;
  at first a minute), 5,000 of them and all.
- mixed: there are no real vectors of every size, so each is the sum of one film's and half the difference of two
  others', unit length again: it has the mean and the covariances of real ones.

An interest is the sum of the vectors of some liked items, newer ones weighing more. ``recall`` is the share of the 10,
or 64, nearest items by exact cosine that are among the 10, or 64, found; a recommendation asks for 64. Times are
medians over queries of their own, so that the vectors of the found items come from memory, on one thread.
"""

import argparse
import time

import numpy as np
from hardware import machine
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from divrec.catalog import Catalog
from divrec.config import EncoderConfig
from divrec.data.log import demo_log
from divrec.events import Item
from divrec.items import ItemIndex
from divrec.retrieve.candidates import NEAREST
from divrec.text.cache import CachedEncoder
from divrec.text.content import item_text
from divrec.text.encoder import load_encoder

LIKES = (1, 3, 20)
Vectors = NDArray[np.float32]


def film_vectors(progress: Progress) -> Vectors:
    config = EncoderConfig()
    directory = config.cache_dir.expanduser()
    model = load_encoder(config)
    encoder = CachedEncoder(model, directory / f"vectors-{model.dimensions}.sqlite", config.cache_bytes)
    with demo_log() as log:
        texts = [item_text(film) for film in log.items()]
    blocks = range(0, len(texts), 256)
    encoded = [encoder.encode(texts[at : at + 256]) for at in progress.track(blocks, description="encoding films")]
    encoder.close()
    return np.random.default_rng(0).permutation(np.concatenate(encoded))


def mixed(films: Vectors, count: int) -> Vectors:
    random = np.random.default_rng(count)
    one, two, three = (films[random.integers(0, len(films), count)] for _ in range(3))
    vectors = one + np.float32(0.5) * (two - three)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def filled(vectors: Vectors) -> Catalog:
    catalog = Catalog(ItemIndex(), len(vectors))
    for n in range(len(vectors)):
        catalog.put(Item(item_id=str(n)))
        catalog.put_vector(str(n), vectors[n])
    return catalog


def interests(catalog: Catalog, likes: int, queries: int) -> Vectors:
    random = np.random.default_rng(likes)
    weights = 0.9 ** np.arange(likes, dtype=np.float32)
    liked = random.integers(0, len(catalog), (queries, likes))
    sums = np.einsum("l,qld->qd", weights, catalog.vectors[liked])
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)


def measure(catalog: Catalog, likes: int, queries: int) -> tuple[float, float, float]:
    """Recall of the 10 and of the 64 nearest, and µs."""
    wanted = interests(catalog, likes, queries)
    found, took = [], []
    for query in wanted:
        begin = time.perf_counter()
        found.append(catalog.nearest(query, NEAREST)[0].tolist())
        took.append(time.perf_counter() - begin)
    hits = np.zeros(2)
    for query, rows in zip(wanted, found, strict=True):
        exact = np.argsort(-(catalog.vectors[: len(catalog)] @ query), kind="stable")[:NEAREST].tolist()
        for at, top in enumerate((10, NEAREST)):
            hits[at] += len(set(exact[:top]) & set(rows[:top])) / top
    at_ten, at_all = (hits / queries).tolist()
    return at_ten, at_all, 1e6 * float(np.median(took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="5000,16000,100000", help="of mixed catalogues")
    parser.add_argument("--queries", type=int, default=300)
    arguments = parser.parse_args()
    console = Console()
    table = Table("catalogue", "liked items", "recall of 10", "recall of 64", "µs", title=machine())
    with Progress(console=console, transient=True) as progress:
        films = film_vectors(progress)
        catalogues = {f"{size:,} films": films[:size] for size in (5_000, len(films))}
        sizes = [int(size) for size in arguments.sizes.split(",")]
        task = progress.add_task("searching", total=(len(catalogues) + len(sizes)) * len(LIKES))
        names = [*catalogues, *(f"{size:,} mixed" for size in sizes)]
        for name, size in zip(names, [0] * len(catalogues) + sizes, strict=True):
            catalog = filled(mixed(films, size) if size else catalogues[name])
            catalog.nearest(catalog.vectors[0], NEAREST)
            for likes in LIKES:
                ten, most, micros = measure(catalog, likes, arguments.queries)
                table.add_row(name, str(likes), f"{ten:.3f}", f"{most:.3f}", f"{micros:.0f}")
                progress.advance(task)
    console.print(table)


if __name__ == "__main__":
    main()
