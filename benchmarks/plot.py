"""The picture of a comparison: one panel per shape, one bar per server."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import figure as matplotlib_figure

from benchmarks.comparison import Outcome
from benchmarks.contenders import NODE
from benchmarks.report import Findings, figure, times

INK, FAINT, GROUND = "#1f2933", "#7b8794", "#ffffff"
COLOURS = {
    "floor": "#cbd2d9",
    "node": "#6b9a5b",
    "python-socketio": "#9aa5b1",
    "telex": "#d9480f",
    "telex-async": "#ec7a45",
    "telex-asgi": "#f4b394",
    "telex-other": "#7048e8",
}
COLUMNS = 2

# matplotlib is annotated only in part: in strict eyes it is not.
untyped: Any = mpl
Figure: Any = matplotlib_figure.Figure


def _panel(axes: Any, outcome: Outcome, findings: Findings) -> None:
    names = [one.name for one in findings.contenders]
    costs = [outcome.cost(name).median for name in names]
    widest = max(costs)
    places = range(len(names))
    axes.barh(places, costs, height=0.68, color=[COLOURS[name] for name in names])
    for place, name, cost in zip(places, names, costs, strict=True):
        ratio = outcome.ratio(name, NODE.name)
        label = figure(cost)
        if ratio and name != NODE.name and not (name == "floor" and outcome.shape.memory):
            more = ratio.median < 1
            share = 1 / ratio.median if more else ratio.median
            label += f"   {times(share)} {'more' if more else 'less'}"
        axes.annotate(
            label,
            (cost, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
            fontweight="bold" if name == "telex" else "normal",
        )
    axes.set_yticks(places, [one.title for one in findings.contenders])
    axes.invert_yaxis()
    # Room for the label of the longest bar.
    axes.set_xlim(0, widest * 1.34)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        if name == "telex":
            label.set_fontweight("bold")
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(FAINT)
    axes.set_title(
        outcome.shape.title, loc="left", fontsize=11, color=INK, fontweight="bold", pad=16
    )
    axes.annotate(
        outcome.shape.unit if outcome.shape.memory else f"server CPU, {outcome.shape.unit}",
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8.5,
        color=FAINT,
    )


def draw(findings: Findings, target: Path) -> None:
    """Draw the findings as SVG (or what the suffix of `target` says)."""
    rows = -(-len(findings.outcomes) // COLUMNS)
    bars = len(findings.contenders)
    height = rows * (0.34 * bars + 0.75) + 1.1
    style = {
        # The same findings give the same file.
        "svg.hashsalt": "telex",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
    }
    with untyped.rc_context(style):
        picture = Figure(figsize=(12, height), facecolor=GROUND, layout="constrained")
        picture.get_layout_engine().set(w_pad=0.15, h_pad=0.14)
        picture.suptitle(
            "What a message costs the server", fontsize=15, fontweight="bold", color=INK
        )
        grid = picture.subplots(rows, COLUMNS, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place < len(findings.outcomes):
                _panel(axes, findings.outcomes[place], findings)
            else:
                axes.set_axis_off()
        picture.supxlabel(
            f"shorter is better · less, more: than Node · {findings.surroundings.processor}, "
            f"{findings.surroundings.date}",
            x=0.99,
            ha="right",
            fontsize=8.5,
            color=FAINT,
        )
        picture.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
