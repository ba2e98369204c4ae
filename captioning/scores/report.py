"""Tables for the terminal and for the page, and plots."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captioning.cli import line_width, one_line, wrapped
from captioning.old import REWARD, VALIDATION_CIDER, VALIDATION_LOSS, write_table
from captioning.text.words import join_words

# How varied the captions are: key of a row's results, two lines of heading, format.
STATISTICS = (
    ("mean_length", ("words per", "caption"), "{:.1f}"),
    ("distinct_captions", ("distinct", "captions"), "{:,d}"),
    ("vocabulary_coverage", ("vocabulary", "coverage"), "{:.1f}%"),
    ("copied_from_training", ("copied from", "training"), "{:.1f}%"),
)

# Metrics and statistics that a narrow terminal has no room for, the least important first.
LEAST_IMPORTANT = (
    *("BLEU-3", "BLEU-2", "ROUGE-L", "BLEU-1"),
    *("vocabulary coverage", "copied from training", "distinct captions"),
)

# Columns of the CSV file of captions, besides one for each decoding.
PHOTO_COLUMN = "photo_id"
REFERENCES_COLUMN = "references"

COMPARISON_EXPLAINED = (
    "p: how often chance alone makes two equally good models differ this much (paired "
    "bootstrap over photos). Even if nothing differs, about one in twenty of these values is "
    "below 0.05. They compare these two models, not their recipes: the same recipe trained "
    "with another seed may differ as much."
)

# Percent of the photos whose scores fit into the plot.
SHOWN_SHARE = 98


def print_results(results: dict[str, dict[str, Any]]) -> None:
    """Prints what `scoring.summarize` returns as two tables: scores, and caption statistics.

    Half of each interval stands below its score.
    """
    names = _metrics_of(results)
    lines = []
    for title, result in results.items():
        scores, halves = zip(*_score_cells(result, names), strict=True)
        lines += [(title, *scores), ("", *halves)]
    left_out = print_columns(("", *names), lines)
    print()
    headings = ["\n".join(heading) for _, heading, _ in STATISTICS]
    lines = [(title, *_statistics_cells(result)) for title, result in results.items()]
    left_out += print_columns(("", *headings), lines)
    _print_left_out(left_out)


def print_best_epoch(history: list[dict], epochs: int, batch_size: int) -> None:
    """Prints which epoch was kept, of a training of at most `epochs` before fine-tuning.

    Where the last of them was the best, it says how to train longer.
    """
    taught = [figures for figures in history if VALIDATION_LOSS in figures]
    best = min(taught, key=lambda figures: figures[VALIDATION_LOSS])
    if len(taught) < epochs:
        print(f"stopped after epoch {len(taught)}: the validation loss no longer falls")
    kept = "kept" if len(taught) == len(history) else "best before reward fine-tuning:"
    print(
        wrapped(
            f"{kept} epoch {best['epoch']}: validation loss {best[VALIDATION_LOSS]:.4f}, "
            f"accuracy {best['val_accuracy']:.4f}"
        )
    )
    if best["epoch"] == epochs:
        longer = f"--batch-size {batch_size} --epochs {2 * epochs}"
        print(wrapped(f"the last epoch was the best: try {longer}, or a higher --learning-rate"))
    if len(taught) < len(history):
        scored = [figures for figures in history if VALIDATION_CIDER in figures]
        best = max(scored, key=lambda figures: figures[VALIDATION_CIDER])
        print(f"kept epoch {best['epoch']}: validation CIDEr-D {best[VALIDATION_CIDER]:.1f}")


def print_columns(headings: Sequence[str], rows: list[tuple[str, ...]]) -> list[str]:
    """Prints a table, the first column to the left and the others to the right.

    A heading may have several lines. Where the terminal is too narrow, columns of
    `LEAST_IMPORTANT` are left out, and their names returned.
    """
    heading_lines = [heading.split("\n") for heading in headings]
    height = max(map(len, heading_lines))
    columns = {
        " ".join(lines): [*lines, *[""] * (height - len(lines)), *cells]
        for lines, cells in zip(heading_lines, zip(*rows, strict=True), strict=True)
    }
    left_out = []
    for name in (name for name in LEAST_IMPORTANT if name in columns):
        if _table_width(columns, gap=1) > line_width():
            del columns[name]
            left_out.append(name)
    gap = "  " if _table_width(columns, gap=2) <= line_width() else " "
    widths = [max(map(len, column)) for column in columns.values()]
    for title, *cells in zip(*columns.values(), strict=True):
        padded = [f"{cell:>{width}s}" for cell, width in zip(cells, widths[1:], strict=True)]
        print(gap.join([f"{title:{widths[0]}s}", *padded]).rstrip())
    return left_out


def _print_left_out(names: list[str]) -> None:
    if names:
        print_paragraphs(["", f"left out, since the terminal is narrow: {', '.join(names)}"])


def _table_width(columns: dict[str, list[str]], gap: int) -> int:
    return sum(max(map(len, column)) for column in columns.values()) + gap * (len(columns) - 1)


def print_examples(
    photo_ids: list[str], captions: Sequence[Sequence[str]], references: list[list[str]], count: int
) -> None:
    """Prints caption and references of some photos, spread evenly over all."""
    for row in np.linspace(0, len(photo_ids) - 1, min(count, len(photo_ids))).astype(int):
        print(f"\n{one_line(photo_ids[row])}")
        print_example(join_words(captions[row]), references[row])


def print_example(caption: str, references: Sequence[str]) -> None:
    """Prints a caption that the model wrote, and below it what people wrote."""
    for label, text in [("model", caption), *(("reference", text) for text in references)]:
        begin = f"  {label + ':':11s}"
        print(wrapped(begin + one_line(text), indent=" " * len(begin)))


def print_paragraphs(paragraphs: list[str]) -> None:
    """Prints each paragraph, wrapped."""
    for paragraph in paragraphs:
        print(wrapped(paragraph, indent=""))


def _metrics_of(results: dict[str, dict[str, Any]]) -> list[str]:
    # The first row has all metrics.
    return list(next(iter(results.values()))["intervals"])


def _score_cells(result: dict[str, Any], names: list[str]) -> list[tuple[str, str]]:
    cells = dict.fromkeys(names, ("", ""))
    for name, (low, high) in result["intervals"].items():
        cells[name] = f"{result[name]:.1f}", f"±{(high - low) / 2:.1f}"
    return list(cells.values())


def _statistics_cells(result: dict[str, Any]) -> list[str]:
    return [form.format(result[key]) for key, _, form in STATISTICS]


def page_table(results: dict[str, dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """Returns both tables of `print_results` as one: a header and a line for each row."""
    names = _metrics_of(results)
    table = [("", *names, *(" ".join(heading) for _, heading, _ in STATISTICS))]
    for title, result in results.items():
        scores = map(" ".join, _score_cells(result, names))
        table.append((title, *scores, *_statistics_cells(result)))
    return tuple(table)


def print_comparison(
    comparison: dict[str, dict[str, dict[str, float]]], model: Path, other: Path
) -> None:
    """Prints the scores of two models and their p-values, as `scoring.compare` returns them."""
    names = list(next(iter(comparison.values())))
    lines = []
    for title, scores in comparison.items():
        for label, key, digits in (("A", "this", 1), ("B", "other", 1), ("p", "p_value", 3)):
            cells = [f"{scores[name][key]:.{digits}f}" for name in names]
            lines.append((title if label == "A" else "", label, *cells))
    print(f"\n{model} (A) against {other} (B) on the same photos\n")
    # The column of A, B and p has no name, and needs another than that of the titles.
    _print_left_out(print_columns(("", " ", *names), lines))
    print_paragraphs(["", COMPARISON_EXPLAINED])


def write_captions(
    path: Path,
    photo_ids: list[str],
    captions: dict[str, Sequence[Sequence[str]]],
    references: list[list[str]],
) -> None:
    """Writes a CSV file: photo id, a column for each decoding, references."""
    columns = {title: [*map(join_words, texts)] for title, texts in captions.items()}
    texts = join_references(references)
    write_table(path, pd.DataFrame({PHOTO_COLUMN: photo_ids, **columns, REFERENCES_COLUMN: texts}))


def join_references(references: list[list[str]]) -> list[str]:
    """Returns the references of each photo as one text, separated by ` | `."""
    return [" | ".join(texts) for texts in references]


def draw_distribution(scores: dict[str, np.ndarray]) -> bytes:
    """Draws which share of the photos has how much CIDEr-D, for each title, as a PNG."""
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
    """Draws loss, accuracy and, of fine-tuning, the reward of every epoch, with the best epoch."""
    table = pd.DataFrame(history)
    best = table.loc[table[VALIDATION_LOSS].idxmin()]
    label = "training, with dropout"
    panels = [
        ("Loss (nats per word)", "loss", label, VALIDATION_LOSS, best),
        ("Accuracy (share of next words)", "accuracy", label, "val_accuracy", best),
    ]
    if REWARD in table:
        best_rewarded = table.loc[table[VALIDATION_CIDER].idxmax()]
        label = "training, sampled captions"
        panels.append(("CIDEr-D in fine-tuning", REWARD, label, VALIDATION_CIDER, best_rewarded))
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(panels))
    for axes, (title, name, label, validation, best) in zip(all_axes, panels, strict=True):
        shown = table.dropna(subset=[validation])
        axes.plot(shown["epoch"], shown[name], marker="o", label=label)
        axes.plot(shown["epoch"], shown[validation], marker="o", label="validation")
        label = f"best epoch, {best['epoch']:.0f}: {best[validation]:.3f}"
        axes.axvline(best["epoch"], color="grey", linestyle="--", label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
