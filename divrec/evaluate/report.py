"""An evaluation as JSON, and as tables for screen and page."""

import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from divrec.evaluate.models import REFERENCE
from divrec.evaluate.prequential import Evaluation, K, Result
from divrec.evaluate.stream import Stream

_ACCURACY = {
    f"{name}@{K}": f"{shown}@{K}"
    for name, shown in {"ndcg": "NDCG", "hr": "HR", "mrr": "MRR", "precision": "P", "f1": "F1"}.items()
}
"""Recall is the hit rate, as long as one item is relevant."""
_LISTS = {
    "ild": "ILD",
    "ild_categories": "ILD by categ.",
    "category_coverage": "categ.",
    "calibration": "KL to profile",
    "serendipity": "serendipity",
    "serendipity_categories": "ser. by categ.",
    "inter_list": "to list before",
}
"""What a user sees."""
_EXPOSURE = {
    "catalog_coverage": "items shown",
    "user_coverage": "users served",
    "novelty": "novelty",
    "popularity_lift": "popularity lift",
    "freshness": "fresh",
    "gini": "Gini",
    "entropy": "entropy",
}
"""What becomes of the catalogue."""
_RATINGS = {"accuracy": "like acc.", "likes_f1": "like F1", "rmse": "RMSE", "cpu_us_rate": "µs"}
_MAIN = f"ndcg@{K}"
INTERVAL = f"- {REFERENCE}: 95 % interval of the difference in {_MAIN.upper()}. learn, rank: CPU time in µs."

Cells = tuple[list[str], list[list[str]]]
"""A header and rows."""


def as_json(evaluation: Evaluation, stream: Stream) -> dict[str, Any]:
    """All figures, for a file: see docs/evaluation.md."""
    return {
        "events": evaluation.events,
        "tested": evaluation.tested,
        "users": evaluation.users,
        "items": evaluation.items,
        "positive": stream.rule,
        "repeats": stream.repeats,
        "seed": stream.seed,
        "models": {name: _model(result) for name, result in evaluation.models.items()},
    }


def _model(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = {**result.figures, "last_third": result.last_third, "curves": result.curves}
    if result.against:
        told[f"against_{REFERENCE}"] = {name: interval._asdict() for name, interval in result.against.items()}
    return told


def cells(evaluation: Evaluation) -> list[Cells]:
    """Accuracy; the same over the last third with CPU time; what lists are like; ratings, if any were predicted."""
    models = evaluation.models.items()
    against = [f"- {REFERENCE}"] if any(result.against for _, result in models) else []
    accuracy = [
        [
            name,
            *(f"{result.figures.get(key, math.nan):.4f}" for key in _ACCURACY),
            *([_against(result)] if against else []),
        ]
        for name, result in models
    ]
    late = [
        [
            name,
            *(f"{result.last_third[key]:.4f}" for key in _ACCURACY),
            *(f"{result.figures[f'cpu_us_{step}']:.0f}" for step in ("learn", "recommend")),
        ]
        for name, result in models
    ]
    shown = [
        (["model", *_ACCURACY.values(), *against], accuracy),
        (["last third", *_ACCURACY.values(), "learn", "rank"], late),
    ]
    optional = [
        _optional(title, columns, evaluation)
        for title, columns in (("lists", _LISTS), ("exposure", _EXPOSURE), ("ratings", _RATINGS))
    ]
    return shown + [(header, rows) for header, rows in optional if rows]


def _optional(title: str, columns: dict[str, str], evaluation: Evaluation) -> Cells:
    """A table of those ``columns`` and models for which there are figures."""
    models = {name: result.figures for name, result in evaluation.models.items()}
    held = [key for key in columns if any(key in figures for figures in models.values())]
    rows = [
        [name, *(_figure(key, figures[key]) if key in figures else "" for key in held)]
        for name, figures in models.items()
        if any(key in figures for key in held)
    ]
    return [title, *(columns[key] for key in held)], rows


def _figure(key: str, value: float) -> str:
    return f"{value:.0f}" if key.startswith("cpu_us") else f"{value:.3f}"


def _against(result: Result) -> str:
    interval = result.against.get(_MAIN)
    return f"{interval.low:+.4f} {interval.high:+.4f}" if interval else ""


def tables(evaluation: Evaluation) -> list[Table]:
    """For the screen."""
    shown = []
    for header, rows in cells(evaluation):
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        table.add_column(header[0], no_wrap=True)
        for name in header[1:]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*row)
        shown.append(table)
    return shown
