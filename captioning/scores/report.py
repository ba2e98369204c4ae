"""Tables and notes for the terminal and the page, and plots."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captioning.cli import UserError, counted, line_width, one_line, wrapped
from captioning.files import SCORES, read_recipe_of_model
from captioning.scores import scoring
from captioning.scores.scoring import CLASSIC, CONSENSUS, GREEDY, HUMAN, SAME_REFERENCES, SHUFFLED
from captioning.storage import read_json
from captioning.text.words import join_words

# How varied captions are: key of a row's results -> heading and format.
STATISTICS = {
    "mean_length": ("words", "{:.1f}"),
    "distinct_captions": ("distinct", "{:,d}"),
    "vocabulary_coverage": ("coverage", "{:.1f}%"),
    "copied_from_training": ("copied", "{:.1f}%"),
}

# A difference with a lower p-value is taken for real.
SIGNIFICANT = 0.05

ROWS_EXPLAINED = {
    CONSENSUS: "of the captions that a beam of this width finds, the one most like the others.",
    HUMAN: "the first reference of each photo scored against the others: how well one person does. "
    "A model may score higher: it writes the most common words, which these metrics reward.",
    SAME_REFERENCES: "the greedy captions scored against the same references as the human row.",
    SHUFFLED: "the greedy captions scored against the references of other photos: what a model "
    "scores that knows the language but does not see the photo.",
    CLASSIC: "the greedy captions scored as the classic recipe does: startseq and endseq stay on "
    "both sides and count as correct words, one-letter words are dropped, and BLEU-3 has the "
    "weights (0.3, 0.3, 0.3). Compare this row only with scores computed the same way, such as "
    "the 57.9, 34.5, 25.2 and 13.1 published for the classic recipe.",
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

# Of the table of models: the metrics, and what tells models apart besides their scores, the last of
# which are settings in their recipes.
MODEL_METRICS = ("BLEU-4", "CIDEr-D")
SCORED_ON = ("data", "split", "photos")
RECIPE_TABLES = ("prepare_photos", "prepare_text", "train")


def notes_on(rows: dict[str, scoring.Row], results: scoring.Results) -> list[str]:
    """Returns what the reader of the results should know, a paragraph each.

    `results` is what `scoring.summarize` made of the rows. Warnings begin with `warning: `.
    """
    notes = []
    for title in (title for title in rows if title not in ROWS_EXPLAINED):
        captions = rows[title].captions
        if empty := sum(not words for words in captions):
            notes.append(f"warning: {title}: {empty:,d} of {len(captions):,d} captions are empty.")
        elif len(captions) > 1 and results[title]["distinct_captions"] == 1:
            notes.append(f"warning: {title}: all {len(captions):,d} captions are the same.")
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
        variety = {name: form.format(result[key]) for key, (name, form) in STATISTICS.items()}
        table[title] = scores | variety
    # The classic row has BLEU alone.
    return pd.DataFrame.from_dict(table, orient="index").fillna("")


def comparison_table(comparison: scoring.Comparison) -> pd.DataFrame:
    """Returns the scores of two models, A (`this`) and B (`other`), and p-values, a row each."""
    forms = {"A": ("this", ".1f"), "B": ("other", ".1f"), "p": ("p_value", ".3f")}
    table = {
        f"{title}: {label}": {name: f"{found[key]:{form}}" for name, found in metrics.items()}
        for title, metrics in comparison.items()
        for label, (key, form) in forms.items()
    }
    return pd.DataFrame.from_dict(table, orient="index")


def print_results(scores: scoring.Scores, folder: Path) -> None:
    """Prints the tables of a model in a folder, and what their reader should know."""
    print(f"\n{folder} on the {scores.split} split, {counted(scores.photos, 'photo')}\n")
    print_table(results_table(scores.results))
    for note in scores.notes:
        print(wrapped(note, indent=""))
    if scores.comparison:
        print(f"\n{folder} (A) against {scores.compared_with} (B) on the same photos\n")
        print_table(comparison_table(scores.comparison))
        print(wrapped(COMPARISON_EXPLAINED, indent=""))


def print_table(table: pd.DataFrame) -> None:
    """Prints a table of texts; columns that the terminal has no room for continue below."""
    text = table.to_string(line_width=line_width())
    # Where it continues, pandas ends lines with a backslash, and leaves one or two of them empty.
    text = "\n".join(line.rstrip("\\ ") for line in text.splitlines())
    print(re.sub(r"\n{3,}", "\n\n", text) + "\n")


def print_examples(
    references: scoring.SplitReferences, captions: Sequence[Sequence[str]], count: int
) -> None:
    """Prints caption and references of some photos, spread evenly over all."""
    photos = len(captions)
    for row in np.linspace(0, photos - 1, min(count, photos)).astype(int):
        print(f"\n{one_line(references.photo_ids[row])}")
        print_example(join_words(captions[row]), references.texts[row])


def print_example(caption: str, references: Sequence[str]) -> None:
    """Prints a caption that the model wrote, and below it what people wrote."""
    for label, text in [("model", caption), *(("reference", text) for text in references)]:
        begin = f"  {label + ':':11s}"
        print(wrapped(begin + one_line(text), indent=" " * len(begin)))


def print_models(folders: Sequence[Path]) -> list[str]:
    """Prints one table of models: their scores, and the settings in which their recipes differ.

    Returns a message for each folder without scores or recipe, which names the command that makes
    them. Files are passed over: a pattern such as `models/*` matches them too.

    Raises:
        UserError: if no folder has both.
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
    groups = table.columns.get_level_values(0)
    is_setting = groups.isin(RECIPE_TABLES)
    # An average of models has no settings of its own.
    trained = table[table.loc[:, is_setting].notna().any(axis=1)]
    differs = trained.fillna("-").nunique() > 1
    print_table(table.fillna("-").loc[:, ~is_setting | differs])
    print(wrapped("best: of the widths that were scored, the one with the best CIDEr-D.", ""))
    if (table["scored on"].nunique() > 1).any():
        print(wrapped("warning: scores on different photos must not be compared.", ""))
    return messages


def _read_model(folder: Path) -> dict[tuple[str, str], str]:
    """Returns (group, column) -> cell of a model's row in the table."""
    recipe = read_recipe_of_model(folder)
    scores = read_json(folder / SCORES, scoring.Scores)
    row = {}
    for kind in (GREEDY, scoring.BEAM, CONSENSUS):
        titles = [title for title in scores.results if re.fullmatch(rf"{kind}( \d+)?", title)]
        best = max(titles, key=lambda title: scores.results[title]["CIDEr-D"], default="-")
        group = kind if kind == GREEDY else f"best {kind}"
        if kind != GREEDY:
            row[group, "width"] = best.split()[-1]
        for name in MODEL_METRICS:
            row[group, name] = f"{scores.results[best][name]:.1f}" if titles else "-"
    row |= {("scored on", name): one_line(str(getattr(scores, name))) for name in SCORED_ON}
    for table in RECIPE_TABLES:
        row |= {(table, name): one_line(str(x)) for name, x in recipe.get(table, {}).items()}
    return row


def draw_curves(history: list[dict], path: Path) -> None:
    """Draws loss, accuracy and, of fine-tuning, the reward of every epoch, with the best epoch."""
    table = pd.DataFrame(history).set_index("epoch")
    panels = [
        ("Loss (nats per word)", "loss", "val_loss", table["val_loss"].idxmin()),
        ("Accuracy (share of next words)", "accuracy", "val_accuracy", table["val_loss"].idxmin()),
    ]
    if "reward" in table:
        best = table["val_cider_d"].idxmax()
        panels.append(("CIDEr-D in fine-tuning", "reward", "val_cider_d", best))
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    for axes, (title, training, validation, best) in zip(
        figure.subplots(1, len(panels)), panels, strict=True
    ):
        for name, label in ((training, "training"), (validation, "validation")):
            axes.plot(table[name].dropna(), marker="o", label=label)
        label = f"best epoch, {best}: {table[validation][best]:.3f}"
        axes.axvline(best, color="grey", linestyle="--", label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
