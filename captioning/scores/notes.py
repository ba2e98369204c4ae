"""What the reader of a table of scores should know, in plain sentences."""

from typing import Any

from captioning.scores.metrics import BLEU_NAMES, Captions
from captioning.scores.scoring import (
    CLASSIC,
    CONSENSUS,
    GREEDY,
    HUMAN,
    SAME_REFERENCES,
    SHUFFLED,
    Row,
    compare,
)

# A difference with a lower p-value is taken for real.
SIGNIFICANT = 0.05

_ROWS_EXPLAINED = {
    HUMAN: "the first reference of each photo scored against the others: how well one person does.",
    SAME_REFERENCES: "the greedy captions scored against the same references as the human row.",
    SHUFFLED: "the greedy captions scored against the references of other photos: what a model "
    "scores that knows the language but does not see the photo.",
    CLASSIC: "the greedy captions scored as the classic recipe does: startseq and endseq stay on "
    "both sides and count as correct words, one-letter words are dropped, and BLEU-3 has the "
    "weights (0.3, 0.3, 0.3). Compare this row only with scores computed the same way, such as "
    "the 57.9, 34.5, 25.2 and 13.1 published for the classic recipe.",
}

_CONSENSUS_EXPLAINED = (
    f"{CONSENSUS}: of the captions that a beam of this width finds for a photo, the one most like "
    "the others."
)

_INTERVALS_EXPLAINED = (
    "± is half the width of the 95% bootstrap interval over photos. Training again with another "
    "seed changes the scores too, which the interval does not cover."
)


def notes_on(rows: dict[str, Row], results: dict[str, dict[str, Any]]) -> list[str]:
    """Returns notes on the rows and what `scoring.summarize` made of them.

    Those that warn begin with `warning: `.
    """
    notes = []
    for title in rows:
        if title not in _ROWS_EXPLAINED:
            notes += _note_on_captions(title, rows[title].captions)
    notes += _note_on_shuffled(rows) + _note_on_human(results) + _note_on_zero(results[GREEDY])
    if any(title.startswith(CONSENSUS) for title in rows):
        notes.append(_CONSENSUS_EXPLAINED)
    notes += [f"{title}: {text}" for title, text in _ROWS_EXPLAINED.items() if title in rows]
    return [*notes, _INTERVALS_EXPLAINED]


def _note_on_captions(title: str, captions: Captions) -> list[str]:
    empty = sum(not words for words in captions)
    if empty:
        count = "all" if empty == len(captions) else f"{empty:,d} of"
        return [f"warning: {title}: {count} {len(captions):,d} captions are empty."]
    if len(captions) > 1 and len(set(map(tuple, captions))) == 1:
        return [f"warning: {title}: all {len(captions):,d} captions are the same."]
    return []


def _note_on_shuffled(rows: dict[str, Row]) -> list[str]:
    if SHUFFLED not in rows:
        return ["The split has only one photo, so there is no row of shuffled photos."]
    difference = compare(rows, {GREEDY: rows[SHUFFLED]})[GREEDY]["CIDEr-D"]
    if difference["this"] > difference["other"] and difference["p_value"] < SIGNIFICANT:
        return []
    return [
        "warning: the CIDEr-D of the captions is not significantly higher than with shuffled "
        f"photos ({len(rows[GREEDY].captions):,d} photos): the model seems to ignore the photo."
    ]


def _note_on_human(results: dict[str, dict[str, Any]]) -> list[str]:
    if HUMAN not in results:
        return ["No photo has two references, so there is no human row."]
    human, greedy, same = (results[title] for title in (HUMAN, GREEDY, SAME_REFERENCES))
    below = [name for name in human["intervals"] if human[name] < greedy[name]]
    if not below:
        return []
    ahead = [name for name in below if human[name] >= same[name]]
    text = (
        f"The human row scores lower than the model in {', '.join(below)}. That does not make the "
        "captions of the model better: the human captions are scored against one fewer reference, "
        "and people describe a scene in many ways, while the model writes the most common words, "
        "which these metrics reward."
    )
    if ahead:
        text += f" Against the same references the human row is ahead in {', '.join(ahead)}."
    return [text]


def _note_on_zero(greedy: dict[str, Any]) -> list[str]:
    zero = [name for name in BLEU_NAMES if greedy[name] == 0]
    if not zero:
        return []
    what = "word" if zero[0] == "BLEU-1" else f"sequence of {zero[0][-1]} words"
    return [f"{zero[0]} is 0: no {what} of the captions is in a reference."]
