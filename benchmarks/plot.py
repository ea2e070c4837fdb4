"""The pictures: bars for shapes and crowds, curves for growth and latencies."""

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import figure as matplotlib_figure

from benchmarks.comparison import Outcome
from benchmarks.contenders import NODE, Contender
from benchmarks.report import figure, times
from benchmarks.surroundings import Surroundings

INK, FAINT, GROUND = "#1f2933", "#7b8794", "#ffffff"
COLOURS = {
    "floor": "#cbd2d9",
    "socketioxide": "#a3704c",
    "bun": "#c9b98f",
    "node": "#6b9a5b",
    "python-socketio": "#9aa5b1",
    "telex": "#d9480f",
    "telex-async": "#ec7a45",
    "telex-pure": "#f08c6c",
    "telex-asgi": "#f4b394",
    "telex-other": "#7048e8",
}
PARTS = ("#486581", "#f0b429", "#d9480f", "#7048e8", "#6b9a5b", "#ec7a45", "#9fb3c8", "#cbd2d9")
COLUMNS = 2

# matplotlib is annotated only in part: in strict eyes it is not.
untyped: Any = mpl
Figure: Any = matplotlib_figure.Figure


def colour(name: str) -> str:
    """The colour of a server in every picture."""
    return COLOURS.get(name, "#f08c00" if name.endswith("async") else "#fab005")


def _panel(axes: Any, outcome: Outcome, contenders: Sequence[Contender]) -> None:
    shown = [one for one in contenders if one.name in outcome.slices]
    names = [one.name for one in shown]
    costs = [outcome.cost(name).median for name in names]
    widest = max(costs)
    places = range(len(names))
    axes.barh(places, costs, height=0.68, color=[colour(name) for name in names])
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
    axes.set_yticks(places, [one.title for one in shown])
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


@contextmanager
def canvas(
    target: Path, title: str, note: str, *, rows: int, columns: int, width: float, height: float
) -> Generator[list[Any]]:
    """Panels to draw on; saved as SVG (or what the suffix of `target` says) at the end."""
    style = {
        # The same findings give the same file.
        "svg.hashsalt": "telex",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
    }
    with untyped.rc_context(style):
        picture = Figure(figsize=(width, height), facecolor=GROUND, layout="constrained")
        picture.get_layout_engine().set(w_pad=0.15, h_pad=0.14)
        picture.suptitle(title, fontsize=15, fontweight="bold", color=INK)
        yield list(picture.subplots(rows, columns, squeeze=False).flat)
        picture.supxlabel(note, x=0.99, ha="right", fontsize=8.5, color=FAINT)
        picture.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


def draw(
    contenders: Sequence[Contender],
    outcomes: Sequence[Outcome],
    surroundings: Surroundings,
    target: Path,
) -> None:
    """One panel per shape, one bar per server."""
    rows = -(-len(outcomes) // COLUMNS)
    names = {one.name for one in contenders}
    bars = max(len(names & one.slices.keys()) for one in outcomes)
    note = (
        f"shorter is better · less, more: than Node · {surroundings.processor}, {surroundings.date}"
    )
    size = {"width": 12, "height": rows * (0.34 * bars + 0.75) + 1.1}
    with canvas(
        target, "What a message costs the server", note, rows=rows, columns=COLUMNS, **size
    ) as panels:
        for place, axes in enumerate(panels):
            if place < len(outcomes):
                _panel(axes, outcomes[place], contenders)
            else:
                axes.set_axis_off()


def _plain(axes: Any, title: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(labelsize=8.5, labelcolor=INK, color=FAINT)
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold", pad=10)


def curves(
    axes: Any,
    lines: Mapping[str, tuple[str, Sequence[tuple[float, float]]]],
    *,
    title: str,
    axis: str,
) -> None:
    """Lines on logarithmic axes; by name of the server, its title and its points."""
    _plain(axes, title)
    for name, (label, points) in lines.items():
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            marker="o",
            markersize=3.5,
            linewidth=2.4 if name == "telex" else 1.4,
            color=colour(name),
            label=label,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_formatter("{x:,g}")
        scale.set_minor_formatter("")
    least = min(y for _, points in lines.values() for _, y in points)
    most = max(y for _, points in lines.values() for _, y in points)
    # At least two decades: a small change looks small.
    middle = math.log10(least * most) / 2
    half = max(1.0, math.log10(most / least) / 2 + 0.15)
    axes.set_ylim(10 ** (middle - half), 10 ** (middle + half))
    axes.grid(visible=True, which="major", color="#e4e7eb", linewidth=0.7)
    axes.set_xlabel(axis, fontsize=9, color=INK)
    axes.legend(fontsize=8, frameon=False)


def bars(axes: Any, figures: Mapping[str, tuple[str, float]], *, title: str) -> None:
    """One bar per server; by its name, its title and its figure."""
    _plain(axes, title)
    values = [value for _, value in figures.values()]
    places = range(len(values))
    axes.barh(places, values, height=0.68, color=[colour(name) for name in figures])
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            figure(value),
            (max(value, 0), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(places, [label for label, _ in figures.values()])
    axes.invert_yaxis()
    axes.set_xlim(0, max(*values, 0.001) * 1.2)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def shares(axes: Any, rows: Mapping[str, Mapping[str, float]], parts: Sequence[str]) -> None:
    """One bar of a hundred per cent per row, divided into parts."""
    _plain(axes, "per cent of the server's time")
    places = range(len(rows))
    left = [0.0] * len(rows)
    for index, part in enumerate(parts):
        widths = [row.get(part, 0.0) for row in rows.values()]
        axes.barh(
            places, widths, left=left, height=0.72, label=part, color=PARTS[index % len(PARTS)]
        )
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.legend(
        fontsize=8, frameon=False, ncols=len(parts), loc="upper center", bbox_to_anchor=(0.4, -0.06)
    )
