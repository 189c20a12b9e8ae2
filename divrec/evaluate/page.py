"""An evaluation as one HTML page: tables, and curves over the stream. It needs nothing from elsewhere."""

from html import escape

import numpy as np
import plotly.graph_objects as go

from divrec.evaluate.prequential import Evaluation, K
from divrec.evaluate.report import INTERVAL, cells
from divrec.evaluate.stream import Stream

_SMOOTH = 10
"""Points that a curve is averaged over: a tenth of the stream."""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
"""


def page(evaluation: Evaluation, stream: Stream) -> str:
    """The page as text (about 5 MB: the library that draws is in it)."""
    counts = f"{evaluation.events:,} events of {evaluation.users:,} users with {evaluation.items:,} items"
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>divrec evaluate</title>',
        f"<style>{STYLE}</style><h1>Prequential evaluation</h1>",
        f"<p>{counts}; {evaluation.tested:,} tests; positive: {escape(stream.rule)}.</p>",
        *(html_table(header, rows) for header, rows in cells(evaluation)),
        f"<p>{INTERVAL}</p>",
    ]
    for number, measure in enumerate((f"ndcg@{K}", f"hr@{K}")):
        figure = _curves(evaluation, measure)
        parts.append(figure.to_html(full_html=False, include_plotlyjs=number == 0, default_height="28rem"))
    return "\n".join([*parts, "</html>\n"])


def html_table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _curves(evaluation: Evaluation, measure: str) -> go.Figure:
    figure = go.Figure()
    for name, result in evaluation.models.items():
        values = np.array(result.curves[measure])
        tests = evaluation.tested * np.arange(1, len(values) + 1) / len(values)
        figure.add_scatter(x=tests, y=_smoothed(values), name=name, mode="lines", connectgaps=True)
    figure.update_layout(
        title=f"{measure.upper()}, mean over the last tenth of the stream",
        xaxis_title="tests",
        yaxis={"rangemode": "tozero"},
        template="plotly_white",
        hovermode="x unified",
    )
    return figure


def _smoothed(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> list[float | None]:
    """The mean of each value and those before it within the last tenth; None where there is none."""
    known = ~np.isnan(values)
    total, count = np.cumsum(np.where(known, values, 0.0)), np.cumsum(known)
    total[_SMOOTH:], count[_SMOOTH:] = total[_SMOOTH:] - total[:-_SMOOTH], count[_SMOOTH:] - count[:-_SMOOTH]
    return [float(sum_ / n) if n else None for sum_, n in zip(total, count, strict=True)]
