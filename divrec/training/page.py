"""A training as tables and as one HTML page, which needs nothing from elsewhere."""

from html import escape
from typing import Any

import plotly.graph_objects as go

from divrec.evaluate.page import STYLE, html_table

Cells = tuple[list[str], list[list[str]]]


def epochs_table(results: dict[str, Any]) -> Cells:
    """Header and a row for each epoch; the best one has a mark."""
    names = [name for name, value in results["epochs"][0].items() if not isinstance(value, dict)]
    rows = [
        [_cell(epoch[name]) + " *" * (name == "epoch" and epoch["epoch"] == results["best"]) for name in names]
        for epoch in results["epochs"]
    ]
    return [name.replace("_", " ") for name in names], rows


def classes_table(results: dict[str, Any]) -> Cells | None:
    """Of the best epoch, a row for each class; None where there are none."""
    classes = results["epochs"][results["best"]].get("per_class")
    if classes is None:
        return None
    names = ["precision", "recall", "f1", "rows"]
    return ["class", *names], [[name, *(_cell(row[key]) for key in names)] for name, row in classes.items()]


def page(results: dict[str, Any]) -> str:
    """The page as text (about 5 MB: the library that draws is in it)."""
    plan, data = results["plan"], {k: v for k, v in results["data"].items() if not isinstance(v, dict)}
    about = {"from": results.get("from"), "layers": results["layers"], "frozen": results["frozen"], **plan, **data}
    told = [f"{name.replace('_', ' ')} {_cell(value)}" for name, value in about.items()]
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>divrec train</title>',
        f"<style>{STYLE}</style><h1>Training: {escape(results['task'])}</h1>",
        f"<p>{escape(', '.join(told))}.</p>",
        html_table(*epochs_table(results)),
        "<p>*: the epoch whose weights were kept. Epoch 0 is from before.</p>",
    ]
    if (classes := classes_table(results)) is not None:
        parts.append(html_table(*classes))
    names = [name for name in results["epochs"][0] if name not in ("epoch", "tests", "per_class")]
    losses = [name for name in names if "loss" in name]
    for number, group in enumerate((losses, [name for name in names if name not in losses and name != "perplexity"])):
        figure = _curves(results["epochs"], group)
        parts.append(figure.to_html(full_html=False, include_plotlyjs=number == 0, default_height="24rem"))
    return "\n".join([*parts, "</html>\n"])


def _curves(epochs: list[dict[str, Any]], names: list[str]) -> go.Figure:
    figure = go.Figure()
    for name in names:
        figure.add_scatter(x=[one["epoch"] for one in epochs], y=[one[name] for one in epochs], name=name)
    figure.update_layout(xaxis_title="epoch", template="plotly_white", hovermode="x unified", showlegend=True)
    return figure


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
