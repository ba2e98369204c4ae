"""The table of scores: on the terminal, on a page, and as a picture."""

import io
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captioning.metrics import BLEU_NAMES

# The columns: figures with intervals, and how varied the captions are (key, two lines of heading,
# form).
FIGURES = (*BLEU_NAMES, "ROUGE-L", "CIDEr-D")
VARIETY = (
    ("mean_length", ("words a", "caption"), "{:.1f}"),
    ("distinct_captions", ("distinct", "captions"), "{:,d}"),
    ("vocabulary_used", ("vocabulary", "used"), "{:.1f}%"),
    ("found_in_training", ("found in", "training"), "{:.1f}%"),
)

# Characters of a line of text.
LINE_WIDTH = 100

# Percent of the photos whose scores fit into the picture.
SHOWN_SHARE = 98


def print_table(summaries):
    """Prints the figures, half of their intervals below them, and how varied the captions are.

    Args:
        summaries: dict of str -> dict, from `evaluate.summarise`.
    """
    heads = [("", name) for name in FIGURES] + [head for _, head, _ in VARIETY]
    widths = [max(map(len, head)) + 2 for head in heads]

    def show(title, cells):
        padded = (f"{cell:>{width}s}" for cell, width in zip(cells, widths, strict=False))
        print(f"{title:20s}{''.join(padded)}".rstrip())

    show("", [head[0] for head in heads])
    show("", [head[1] for head in heads])
    for title, summary in summaries.items():
        show(title, [*_figure_cells(summary), *_variety_cells(summary)])
        show("", _half_intervals(summary))


def _figure_cells(summary):
    return [f"{summary[name]:.1f}" if name in summary else "" for name in FIGURES]


def _half_intervals(summary):
    ends = [summary["intervals"].get(name) for name in FIGURES]
    return [f"±{(end[1] - end[0]) / 2:.1f}" if end else "" for end in ends]


def _variety_cells(summary):
    return [form.format(summary[key]) for key, _, form in VARIETY]


def page_table(summaries):
    """Lays the figures out for a page, half of each interval behind its figure.

    Args:
        summaries: dict of str -> dict, as `print_table` takes.

    Returns:
        tuple of tuple of str: the header, then a line for each row.
    """
    table = [("", *FIGURES, *(" ".join(head) for _, head, _ in VARIETY))]
    for name, summary in summaries.items():
        pairs = zip(_figure_cells(summary), _half_intervals(summary), strict=True)
        table.append((name, *(" ".join(pair) for pair in pairs), *_variety_cells(summary)))
    return tuple(table)


def print_comparison(comparison, model, other, photos):
    """Prints two models side by side, and how likely chance alone makes them differ so much.

    Args:
        comparison: dict, from `evaluate.compare`.
        model: pathlib.Path of the one.
        other: pathlib.Path of the other.
        photos: int, number of photos.
    """
    print(f"\n{model} (A) against {other} (B) on the same {photos:,d} photos")
    print(" " * 20 + "".join(f"{name:>9s}" for name in FIGURES))
    for title, figures in comparison.items():
        for name, key, form in (
            ("A", "this", ".1f"),
            ("B", "other", ".1f"),
            ("p", "p_value", ".3f"),
        ):
            cells = "".join(f"{figures[figure][key]:9{form}}" for figure in FIGURES)
            print(f"{title if key == 'this' else '':18s}{name} {cells}")
    explanation = (
        "p: how often chance alone makes two equally good models differ so much (paired bootstrap "
        f"over photos). Of {len(comparison) * len(FIGURES)} such values about one in twenty is "
        "below 0.05 where nothing differs. It speaks of these two models only: the same recipe "
        "trained with another seed may differ as much."
    )
    print(textwrap.fill(explanation, LINE_WIDTH))


def draw_distribution(scores):
    """Draws which share of the photos scores how much.

    Args:
        scores: dict of str -> numpy.ndarray, float64, (photos,): title -> CIDEr-D of each photo.

    Returns:
        bytes, a PNG.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for title, values in scores.items():
        shares = 100 * np.arange(len(values), 0, -1) / len(values)
        axes.step(np.sort(values), shares, where="pre", linewidth=1.8, label=title)
    # The few photos whose captions score far above all others would press the rest to the left.
    best = max(np.percentile(values, SHOWN_SHARE) for values in scores.values())
    axes.set(xlim=(0, max(1, best)), ylim=(0, 100))
    axes.set(xlabel="CIDEr-D of one photo", ylabel="Photos that score that or more (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150)
    return picture.getvalue()


def draw_curves(history: list[dict], path: Path) -> None:
    """Draws loss and accuracy of every epoch, with the epoch of the lowest validation loss."""
    table = pd.DataFrame(history)
    best = table.loc[table["val_loss"].idxmin()]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    titles = {"loss": "Loss (nats per word)", "accuracy": "Accuracy (share of next words)"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        axes.plot(table["epoch"], table[name], marker="o", label="training, with dropout")
        axes.plot(table["epoch"], table[f"val_{name}"], marker="o", label="validation")
        axes.axvline(
            best["epoch"],
            color="grey",
            linestyle="--",
            label=f"best epoch, {best['epoch']:.0f}: {best[f'val_{name}']:.3f}",
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
