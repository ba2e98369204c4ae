"""Tables and notes for the terminal and the page, and plots."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captioning.cli import LINE_WIDTH, UserError, counted, one_line, wrapped
from captioning.files import RECIPE, SCORES, read_toml, require
from captioning.scores import scoring
from captioning.scores.scoring import CLASSIC, GREEDY, HUMAN, SAME_REFERENCES, SHUFFLED
from captioning.storage import read_json

# A difference with a lower p-value is taken for real.
SIGNIFICANT = 0.05

ROWS_EXPLAINED = {
    scoring.CONSENSUS_TITLE: "the caption of a beam of this width that is most like its others.",
    HUMAN: "the first reference of each photo scored against the others: how well one person does. "
    "A model may score higher: it writes the most common words, which these metrics reward.",
    SAME_REFERENCES: "the greedy captions scored against the same references as the human row.",
    SHUFFLED: "the greedy captions scored against the references of other photos, as those of a "
    "model that does not see the photo.",
    CLASSIC: "the greedy captions scored as the classic recipe does: startseq and endseq count as "
    "correct words, references are cleaned, and BLEU-3 has the weights (0.3, 0.3, 0.3). Compare "
    "this row only with scores computed that way, such as the published 57.9, 34.5, 25.2 and 13.1.",
}

COLUMNS_EXPLAINED = (
    "± is half the width of the 95% bootstrap interval over photos; training again with another "
    "seed changes the scores too. words: of a caption, their mean; distinct: how many different "
    "captions; coverage: share of the vocabulary that they use; copied: share of captions that "
    "stand in the training split."
)

COMPARISON_EXPLAINED = (
    "p: how often chance alone makes two equally good models differ this much (paired bootstrap "
    "over photos). Even if nothing differs, about one in twenty of these values is below 0.05. The "
    "same recipe trained with another seed may differ as much."
)

# Of the table of models: metrics, what was scored, and where the recipes have their settings.
MODEL_METRICS = ("BLEU-4", "CIDEr-D")
SCORED_ON = ("data", "split", "photos")
RECIPE_TABLES = ("prepare_photos", "prepare_text", "train")


def notes_on(rows: dict[str, scoring.Row]) -> list[str]:
    """Returns what the reader of the results should know, a paragraph each.

    Warnings begin with `warning: `.
    """
    notes = []
    if SHUFFLED in rows:
        cider = scoring.compare(rows[GREEDY], rows[SHUFFLED])["CIDEr-D"]
        if cider["this"] <= cider["other"] or cider["p_value"] >= SIGNIFICANT:
            notes.append(
                "warning: the CIDEr-D of the captions is not significantly higher than with "
                "shuffled photos: the model seems to ignore the photo."
            )
    for title, text in ROWS_EXPLAINED.items():
        if any(row.startswith(title) for row in rows):
            notes.append(f"{title}: {text}")
    return [*notes, COLUMNS_EXPLAINED]


def results_table(results: scoring.Results) -> pd.DataFrame:
    """Returns scores with half of their intervals, `25.5 ±2.3`, and how varied captions are."""
    table = {}
    for title, result in results.items():
        scores = {
            name: f"{result[name]:.1f} ±{(high - low) / 2:.1f}"
            for name, (low, high) in result["intervals"].items()
        }
        table[title] = {
            **scores,
            "words": f"{result['mean_length']:.1f}",
            "distinct": f"{result['distinct_captions']:,d}",
            "coverage": f"{result['vocabulary_coverage']:.1f}%",
            "copied": f"{result['copied_from_training']:.1f}%",
        }
    # The classic row has BLEU alone.
    return pd.DataFrame.from_dict(table, orient="index").fillna("")


def comparison_table(comparison: scoring.Comparison) -> pd.DataFrame:
    """Returns the scores of two models, A (`this`) and B (`other`), and p-values, a row each."""
    table = {}
    for title, metrics in comparison.items():
        for label, key, decimals in (("A", "this", 1), ("B", "other", 1), ("p", "p_value", 3)):
            cells = {name: f"{found[key]:.{decimals}f}" for name, found in metrics.items()}
            table[f"{title}: {label}"] = cells
    return pd.DataFrame.from_dict(table, orient="index")


def print_results(
    folder: Path, scores: scoring.Scores, references: scoring.SplitReferences, examples: int
) -> None:
    """Prints photos, spread evenly over the split, and the tables of the model in a folder."""
    for row in np.linspace(0, scores.photos - 1, min(examples, scores.photos)).astype(int):
        print(f"\n{one_line(references.photo_ids[row])}")
        print_example(scores.captions[GREEDY][row], references.texts[row])
    print(f"\n{folder} on the {scores.split} split, {counted(scores.photos, 'photo')}\n")
    print_table(results_table(scores.results))
    for note in scores.notes:
        print(wrapped(note, indent=""))
    if scores.comparison:
        print(f"\n{folder} (A) against {scores.compared_with} (B) on the same photos\n")
        print_table(comparison_table(scores.comparison))
        print(wrapped(COMPARISON_EXPLAINED, indent=""))


def print_table(table: pd.DataFrame) -> None:
    """Prints a table of texts; columns for which a line has no room continue below."""
    text = table.to_string(line_width=LINE_WIDTH)
    # Where it continues, pandas ends lines with a backslash, and leaves one or two of them empty.
    text = "\n".join(line.rstrip("\\ ") for line in text.splitlines())
    print(re.sub(r"\n{3,}", "\n\n", text) + "\n")


def print_example(caption: str, references: Sequence[str]) -> None:
    """Prints a caption that the model wrote, and below it what people wrote."""
    for label, text in [("model:", caption), *(("reference:", text) for text in references)]:
        print(wrapped(f"  {label:11s}{one_line(text)}", indent=" " * 13))


def print_models(folders: Sequence[Path]) -> bool:
    """Prints one table of models: their scores, and the settings in which their recipes differ.

    Returns whether all folders have both; of each that has not, the command that makes them is said
    on stderr. Files are passed over: a pattern such as `models/*` matches them too. Raises
    `UserError` if no folder has both.
    """
    rows, messages = {}, []
    for folder in (folder for folder in folders if not folder.is_file()):
        try:
            rows[one_line(str(folder))] = _read_model(folder)
        except UserError as error:
            messages.append(str(error))
    if not rows:
        raise UserError(messages[0] if messages else "--models names no folder: name model folders")
    table = pd.DataFrame([*rows.values()], index=[*rows])
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    is_setting = table.columns.get_level_values(0).isin(RECIPE_TABLES)
    scores, settings = table.loc[:, ~is_setting], table.loc[:, is_setting]
    # An average of models has no settings of its own.
    differ = settings.dropna(how="all").fillna("-").nunique() > 1
    print_table(scores.join(settings.loc[:, differ]).fillna("-"))
    for message in messages:
        print(f"left out: {message}", file=sys.stderr)
    return not messages


def _read_model(folder: Path) -> dict[tuple[str, str], str]:
    """Returns (group, column) -> cell of a model's row in the table."""
    recipe = read_toml(require(folder / RECIPE))
    scores = read_json(folder / SCORES, scoring.Scores)
    row = {("scored on", name): one_line(str(getattr(scores, name))) for name in SCORED_ON}
    for title in (title for title in scores.results if title not in ROWS_EXPLAINED):
        row |= {(title, name): f"{scores.results[title][name]:.1f}" for name in MODEL_METRICS}
    for table in RECIPE_TABLES:
        row |= {(table, name): one_line(str(x)) or "-" for name, x in recipe.get(table, {}).items()}
    return row


def draw_curves(history: list[dict], path: Path) -> None:
    """Draws loss, accuracy and, of fine-tuning, the reward of every epoch, with the best epoch."""
    table = pd.DataFrame(history).set_index("epoch")
    panels = {
        "Loss (nats per word)": ("loss", "val_loss"),
        "Accuracy (share of next words)": ("accuracy", "val_accuracy"),
    }
    best = table["val_loss"].idxmin()
    if "reward" in table:
        panels["CIDEr-D in fine-tuning"] = ("reward", "val_cider_d")
        best = table["val_cider_d"].idxmax()
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name, label in zip(names, ("training", "validation"), strict=True):
            axes.plot(table[name].dropna(), marker="o", label=label)
        axes.axvline(best, color="grey", linestyle="--", label=f"best epoch, {best}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
