# ruff: noqa: E402
"""Topics of a catalogue in one pass, beside k-means over all of it: how tight, how telling, how fast.

    python benchmarks/topics.py

Films of MovieLens ml-latest-small (titles and genres) through multilingual-e5-small, cached like an encode worker's (at
first a minute), centred, in random order. ``cosine``: mean cosine of a film to the mean of its topic. ``genres``: what
the topic tells about the genre, in parts of the genre's entropy; 0.01 by chance. ``smallest``, ``largest``: share of
the films. scikit-learn's k-means sees all films as often as it likes; River's learns 300 films only, for its time.
"""

import os
import platform
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from river import cluster
from sklearn.cluster import KMeans

from divrec.config import EncoderConfig
from divrec.data.log import demo_log
from divrec.interest.topics import Numbers, Topics, Vectors
from divrec.text.cache import CachedEncoder
from divrec.text.content import item_text
from divrec.text.encoder import load_encoder

RIVER = 300


def films() -> tuple[Vectors, npt.NDArray[np.float64]]:
    config = EncoderConfig()
    directory = config.cache_dir.expanduser()
    model = load_encoder(config)
    encoder = CachedEncoder(model, directory / f"vectors-{model.dimensions}.sqlite", config.cache_bytes)
    with demo_log() as log:
        items = [item for item in log.items() if item.categories]
    texts = [item_text(item) for item in items]
    vectors = np.concatenate([encoder.encode(texts[at : at + 256]) for at in range(0, len(texts), 256)])
    encoder.close()
    genres = sorted({genre for item in items for genre in item.categories})
    flags = np.array([[genre in item.categories for genre in genres] for item in items], np.float64)
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    order = np.random.default_rng(0).permutation(len(items))
    return centred[order].astype(np.float32), (flags / flags.sum(axis=1, keepdims=True))[order]


def quality(topics: Numbers, count: int, vectors: Vectors, genres: npt.NDArray[np.float64]) -> list[str]:
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, topics, vectors)
    joint = np.zeros((count, genres.shape[1]))
    np.add.at(joint, topics, genres / len(genres))
    of_topic, of_genre = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    there = joint > 0
    told = (joint[there] * np.log2(joint[there] / (of_topic @ of_genre)[there])).sum()
    entropy = -(of_genre[of_genre > 0] * np.log2(of_genre[of_genre > 0])).sum()
    sizes = np.bincount(topics, minlength=count) / len(topics)
    cosine = np.linalg.norm(sums, axis=1).sum() / len(topics)
    return [f"{cosine:.3f}", f"{told / entropy:.3f}", f"{sizes.min():.4f}", f"{sizes.max():.3f}"]


def main() -> None:
    vectors, genres = films()
    table = Table("topics", "method", "cosine", "genres", "smallest", "largest", "µs a film", box=SIMPLE_HEAD)
    for count in (16, 64):
        Topics(count, vectors.shape[1]).learn(vectors[:1])  # compiles
        topics = Topics(count, vectors.shape[1])
        start = time.process_time()
        topics.learn(vectors)
        took = (time.process_time() - start) / len(vectors) * 1e6
        table.add_row(str(count), "divrec", *quality(topics.of(vectors), count, vectors, genres), f"{took:.1f}")
        start = time.process_time()
        offline = KMeans(count, n_init=1, random_state=0).fit(vectors).labels_
        took = (time.process_time() - start) / len(vectors) * 1e6
        table.add_row("", "scikit-learn k-means", *quality(offline, count, vectors, genres), f"{took:.1f}")
        river = cluster.KMeans(n_clusters=count, seed=0)
        start = time.process_time()
        for vector in vectors[:RIVER]:
            river.learn_one(dict(enumerate(vector.tolist())))
        table.add_row("", "River KMeans", "", "", "", "", f"{(time.process_time() - start) / RIVER * 1e6:.0f}")
    console = Console()
    console.print(table)
    console.print(f"{len(vectors):,} films; {platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
