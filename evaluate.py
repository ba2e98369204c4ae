"""Captions every photo of a split, scores the captions against what people wrote, and shows them.

    python evaluate.py --data data/flickr8k --model models/flickr8k
    python evaluate.py --data data/flickr8k --model models/flickr8k --split dev --beam 3
    python evaluate.py --data data/flickr8k --model models/flickr8k --compare models/another

Reads   MODEL/                      from train.py
        DATA/features.pkl           from prepare_photos.py
        DATA/Flickr8k.token.txt     the captions as people wrote them, the references
        DATA/descriptions.txt       the cleaned ones
        DATA/Flickr_8k.testImages.txt (or dev, train)
        DATA/photos/                for the page, where they are there
Writes  MODEL/scores.json           what is printed
        MODEL/captions.html         a page to look at: photos, captions, references, scores
        MODEL/captions.csv          photo, its captions, its references
Takes   half a minute for the 1,000 test photos of Flickr8k on two cores.
Next    open MODEL/captions.html, then python generate.py PHOTO.
"""

import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from captioning.confidence import word_choices
from captioning.model_folder import load_captioner
from captioning.scoreboard import (
    FIGURES,
    LINE_WIDTH,
    draw_distribution,
    page_table,
    print_comparison,
    print_table,
)
from tqdm import tqdm

from captioning import bootstrap, metrics
from captioning.captions import read_captions, read_descriptions, split_into_words
from captioning.cli import DONE, ArgumentParser, run
from captioning.decoding import PHOTOS_AT_ONCE, CaptionDecoder, decode
from captioning.features import check_same_encoder, read_encoder_record, read_features
from captioning.files import (
    CURVES,
    ENCODER_RECORD,
    GALLERY,
    GENERATED_CAPTIONS,
    PHOTOS,
    SCORES,
    SPLITS,
    photo_id,
)
from captioning.gallery import Caption, Card, Page, write_gallery
from captioning.photos import find_photos
from captioning.settings import positive_integer
from captioning.splits import read_split, usable_photos
from captioning.storage import locked, write_json, write_table
from captioning.vocabulary import END_TOKEN, START_TOKEN

# Where things are.
DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
MODEL = Path("models/flickr8k")  # what train.py wrote; the results go there

# What is captioned, and how.
SPLIT = "test"  # train, dev (validation) or test
BEAM = (3, 5)  # beam widths tried besides greedy decoding

# Which photos' references the shuffled captions are held against.
SHUFFLE_SEED = 1

# The printout.
SHOWN_PHOTOS = 10  # photos shown with their captions and references

# The classic recipe's third is not BLEU-3: its weights add up to 0.9.
CLASSIC_WEIGHTS = ((1, 0, 0, 0), (1 / 2, 1 / 2, 0, 0), (0.3, 0.3, 0.3, 0), (1 / 4,) * 4)

# The titles of the rows.
GREEDY, HUMAN, SAME_REFERENCES = "greedy", "human", "greedy, as human"
SHUFFLED, CLASSIC = "shuffled photos", "classic (flattering)"

# What the rows are that need a word.
ROWS_EXPLAINED = {
    HUMAN: "each photo's first reference against its others, which is what one person scores.",
    SAME_REFERENCES: "the greedy captions against the same references as the human row.",
    SHUFFLED: "the greedy captions against the references of other photos, which is what the "
    "language alone earns.",
    CLASSIC: "the greedy captions scored as the classic recipe does: startseq and endseq stay on "
    "both sides and count as words guessed right, one-letter words are dropped, BLEU-3 is weighted "
    "(0.3, 0.3, 0.3). Compare it only with figures computed the same way, such as the classic "
    "recipe's 57.9 34.5 25.2 13.1.",
}

# A difference that chance makes less often than this is taken for a real one.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class References:
    """What people wrote of the photos of a split.

    Args:
        identifiers: list of str, the photos.
        texts: list of list of str, each photo's captions as people wrote them.
        words: list of list of list of str, the same as the standard scores have them: lower-cased,
            punctuation removed, one-letter words kept.
        cleaned: list of list of list of str, the same as prepare_text.py cleaned them.
        training: set of tuple of str, every cleaned description of the training split.
    """

    identifiers: list
    texts: list
    words: list
    cleaned: list
    training: set


@dataclass(frozen=True)
class Row:
    """Captions with what their figures are computed from.

    Args:
        captions: list of list of str, as they are scored.
        statistics: captioning.metrics.PhotoStatistics.
        cleaned: list of list of str: the captions as prepare_text.py would have them.
    """

    captions: list
    statistics: metrics.PhotoStatistics
    cleaned: list


def standard_row(captions, references, cider, cleaned=None):
    """Scores captions the standard way.

    Args:
        captions: list of list of str, words without markers.
        references: list of list of list of str, words of each photo's references.
        cider: captioning.metrics.CiderD of the references.
        cleaned: list of list of str, the captions cleaned, or None where they are.

    Returns:
        Row.
    """
    means = {
        "ROUGE-L": metrics.rouge_l(captions, references),
        "CIDEr-D": cider.score(captions),
    }
    counts = metrics.bleu_counts(captions, references)
    return Row(captions, metrics.PhotoStatistics(counts, means), cleaned or captions)


def classic_row(captions, ended, descriptions):
    """Scores captions as the classic recipe does, which flatters them.

    Args:
        captions: list of list of str, words without markers.
        ended: list of bool, whether `endseq` was written before the maximum length.
        descriptions: list of list of list of str, the words of each photo's cleaned descriptions.

    Returns:
        Row: markers stand on both sides and count as words that were guessed right.
    """
    marked = [
        [START_TOKEN, *words, *([END_TOKEN] if end else [])]
        for words, end in zip(captions, ended, strict=True)
    ]
    references = [[[START_TOKEN, *words, END_TOKEN] for words in texts] for texts in descriptions]
    counts = metrics.bleu_counts(marked, references)
    return Row(captions, metrics.PhotoStatistics(counts, {}, CLASSIC_WEIGHTS), captions)


def human_rows(captions, references):
    """Scores one person, and the model against the same references.

    Args:
        captions: list of list of str, the model's, words without markers.
        references: References.

    Returns:
        dict of str -> Row, over the photos with two references or more; empty where there are none.
    """
    rows = [row for row, texts in enumerate(references.words) if len(texts) > 1]
    if not rows:
        return {}
    others = [references.words[row][1:] for row in rows]
    cider = metrics.CiderD(others)
    person = [references.words[row][0] for row in rows]
    cleaned = [references.cleaned[row][0] for row in rows]
    return {
        HUMAN: standard_row(person, others, cider, cleaned),
        SAME_REFERENCES: standard_row([captions[row] for row in rows], others, cider),
    }


def shuffle(captions):
    """Gives every photo the caption of another, in an order that is the same in every run.

    Args:
        captions: list of list of str, two or more.

    Returns:
        list of list of str.
    """
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(captions))
    shuffled = list(captions)
    for place, source in zip(order, np.roll(order, 1), strict=True):
        shuffled[place] = captions[source]
    return shuffled


def score_rows(decoded, vocabulary, references):
    """Scores the captions of every decoding, and what they should be compared with.

    Args:
        decoded: dict of str -> list of list of int, from `caption_split`.
        vocabulary: captioning.vocabulary.Vocabulary.
        references: References.

    Returns:
        dict of str -> Row.
    """
    captions = {title: [*map(vocabulary.detokenize, ids)] for title, ids in decoded.items()}
    ended = [ids[-1:] == [vocabulary.end_id] for ids in decoded[GREEDY]]
    cider = metrics.CiderD(references.words)
    rows = {
        title: standard_row(texts, references.words, cider) for title, texts in captions.items()
    }
    rows |= human_rows(captions[GREEDY], references)
    if len(captions[GREEDY]) > 1:
        rows[SHUFFLED] = standard_row(shuffle(captions[GREEDY]), references.words, cider)
    rows[CLASSIC] = classic_row(captions[GREEDY], ended, references.cleaned)
    return rows


def summarise(row, vocabulary, training):
    """Computes the figures of a row with their intervals, and how varied its captions are.

    Args:
        row: Row.
        vocabulary: captioning.vocabulary.Vocabulary.
        training: set of tuple of str, every cleaned description of the training split.

    Returns:
        dict: figures from 0 to 100 (CIDEr-D to 1,000), `intervals` with the two ends of each,
        words a caption, distinct captions, and two shares in percent.
    """
    figures = row.statistics.figures()
    resampled = row.statistics.figures(bootstrap.resample(len(row.captions)))
    known = set(vocabulary.words) - {START_TOKEN, END_TOKEN}
    used = known.intersection(*[{word for words in row.captions for word in words}])
    copied = sum(tuple(words) in training for words in row.cleaned)
    return {
        **{name: float(values[0]) for name, values in figures.items()},
        "intervals": {name: bootstrap.interval(values) for name, values in resampled.items()},
        "photos": len(row.captions),
        "mean_length": sum(map(len, row.captions)) / len(row.captions),
        "distinct_captions": len(set(map(tuple, row.captions))),
        "vocabulary_used": 100 * len(used) / max(1, len(known)),
        "found_in_training": 100 * copied / len(row.captions),
    }


def compare(rows, others):
    """Compares two models photo by photo.

    Args:
        rows: dict of str -> Row, of one model.
        others: dict of str -> Row, of the other; the rows that both have are compared.

    Returns:
        dict of str -> dict of str -> dict: row, figure -> `this`, `other` and `p_value`.
    """
    counts = bootstrap.resample(len(rows[GREEDY].captions))
    comparison = {}
    for title in others:
        pair = rows[title].statistics, others[title].statistics
        figures = [statistics.figures() for statistics in pair]
        resampled = [statistics.figures(counts) for statistics in pair]
        comparison[title] = {
            name: {
                "this": float(figures[0][name][0]),
                "other": float(figures[1][name][0]),
                "p_value": bootstrap.paired_p_value(
                    figures[0][name][0] - figures[1][name][0],
                    resampled[0][name] - resampled[1][name],
                ),
            }
            for name in FIGURES
        }
    return comparison


def remarks_on(rows, summaries):
    """Says in plain words what a reader of the table should know.

    Args:
        rows: dict of str -> Row.
        summaries: dict of str -> dict, from `summarise`.

    Returns:
        list of str, a sentence or a few each; those that warn begin with `warning: `.
    """
    remarks = []
    for title in rows:
        if title not in (HUMAN, SAME_REFERENCES, SHUFFLED, CLASSIC):
            remarks += _faults_of_captions(title, rows[title].captions)
    remarks += _remark_on_shuffled(rows) + _remark_on_human(summaries)
    missing = [name for name in metrics.BLEU_NAMES if summaries[GREEDY][name] == 0]
    if missing:
        what = {"BLEU-1": "word is"}.get(missing[0], f"{missing[0][-1]} words in a row are")
        remarks.append(f"{missing[0]} is 0: no {what} right.")
    return [
        *remarks,
        *(f"{title}: {text}" for title, text in ROWS_EXPLAINED.items() if title in rows),
        "± is half of the 95% bootstrap interval over photos. Training again with another seed "
        "moves the figures too, and the interval does not know by how much.",
    ]


def _faults_of_captions(title, captions):
    empty = sum(not words for words in captions)
    if empty == len(captions):
        return [f"warning: {title}: all {len(captions):,d} captions are empty."]
    if empty:
        return [f"warning: {title}: {empty:,d} of {len(captions):,d} captions are empty."]
    if len(captions) > 1 and len(set(map(tuple, captions))) == 1:
        return [f"warning: {title}: all {len(captions):,d} captions are the same."]
    return []


def _remark_on_shuffled(rows):
    if SHUFFLED not in rows:
        return ["There is one photo only, so its caption cannot be held against another's."]
    figures = compare(rows, {GREEDY: rows[SHUFFLED]})[GREEDY]["CIDEr-D"]
    if figures["this"] > figures["other"] and figures["p_value"] < SIGNIFICANT:
        return []
    return [
        "warning: by CIDEr-D the captions fit other photos as well as their own, as far as "
        f"{len(rows[GREEDY].captions):,d} photos can tell: the model seems not to look at them."
    ]


def _remark_on_human(summaries):
    if HUMAN not in summaries:
        return ["No photo has two references, so there is no human row."]
    human, greedy, same = (summaries[title] for title in (HUMAN, GREEDY, SAME_REFERENCES))
    below = [name for name in FIGURES if human[name] < greedy[name]]
    if not below:
        return []
    fewer = [name for name in below if human[name] >= same[name]]
    text = (
        f"One person scores lower than the model in {', '.join(below)}. That does not make the "
        "model's captions better: the person is held against one reference less, and everybody "
        "words a scene in their own way, while the model says what is commonest, which is what "
        "these figures count."
    )
    if fewer:
        text += f" Against the same references the person is ahead in {', '.join(fewer)}."
    return [text]


def print_examples(references, captions):
    """Prints photos spread evenly over the split, with caption and references.

    Args:
        references: References.
        captions: list of list of str.
    """
    count = min(SHOWN_PHOTOS, len(captions))
    for row in np.linspace(0, len(captions) - 1, count).astype(int):
        print(f"\n{references.identifiers[row]}\n  says: {' '.join(captions[row])}")
        for reference in references.texts[row]:
            print(f"    a person: {reference}")


def write_captions(path, references, captions):
    """Writes what was said of each photo.

    Args:
        path: pathlib.Path of the CSV file: photo, a column for each decoding, and the references
            separated by ` | `.
        references: References.
        captions: dict of str -> list of list of str: decoding -> captions.
    """
    columns = {title: [*map(" ".join, texts)] for title, texts in captions.items()}
    texts = [" | ".join(texts) for texts in references.texts]
    write_table(
        path, pd.DataFrame({"photo": references.identifiers, **columns, "references": texts})
    )


def make_cards(folder, references, decoded, rows, choices):
    """Puts together what the page shows of each photo.

    Args:
        folder: pathlib.Path of the photos.
        references: References.
        decoded: dict of str -> list of list of int, from `caption_split`.
        rows: dict of str -> Row.
        choices: dict of str -> list of tuple of captioning.confidence.WordChoice, by decoding.

    Returns:
        list of captioning.gallery.Card.
    """
    paths = {photo_id(path.name): path for path in reversed(find_photos(folder))}
    cards = []
    for row, identifier in enumerate(references.identifiers):
        alike = {}
        for title, captions in decoded.items():
            alike.setdefault(tuple(captions[row]), []).append(title)
        captions = tuple(
            Caption(
                tuple(titles),
                choices[titles[0]][row],
                float(rows[titles[0]].statistics.means["CIDEr-D"][row]),
            )
            for titles in alike.values()
        )
        texts = tuple(references.texts[row])
        cards.append(Card(identifier, paths.get(identifier), captions, texts))
    return cards


def make_page(options, cards, rows, scores):
    """Puts the page together.

    Args:
        options: argparse.Namespace of the command line.
        cards: list of captioning.gallery.Card.
        rows: dict of str -> Row.
        scores: dict, as `scores.json` has it.

    Returns:
        captioning.gallery.Page.
    """
    spread = {
        name: rows[name].statistics.means["CIDEr-D"]
        for name in (GREEDY, HUMAN, SHUFFLED)
        if name in rows
    }
    pictures = [("How the captions of single photos score", draw_distribution(spread))]
    curves = options.model / CURVES
    if curves.is_file():
        pictures.append(("How the network learned", curves.read_bytes()))
    return Page(
        f"{options.model.name}: the {options.split} split, {scores['photos']:,d} photos",
        cards,
        "What the model says of each photo, and what people wrote.",
        page_table(scores["rows"]),
        tuple(scores["remarks"]),
        tuple(pictures),
    )


def read_references(data, split, features):
    """Reads what people wrote of the photos of a split.

    Args:
        data: pathlib.Path of the data folder.
        split: str, `train`, `dev` or `test`.
        features: dict of str -> vector, by photo identifier.

    Returns:
        References.

    Raises:
        UserError: if a file is missing or damaged, no photo can be used, or the captions have
            changed since the cleaning.
    """
    # The descriptions come first, since they know whether the captions have changed.
    descriptions, captions = read_descriptions(data), read_captions(data)
    identifiers = usable_photos(data, split, features, captions)
    texts = [captions[identifier] for identifier in identifiers]
    learned = [descriptions.get(identifier, []) for identifier in read_split(data, "train")]
    return References(
        identifiers,
        texts,
        [[split_into_words(text) for text in of_photo] for of_photo in texts],
        [descriptions[identifier] for identifier in identifiers],
        {tuple(words) for of_photo in learned for words in of_photo},
    )


def caption_split(captioner, photos, widths):
    """Captions the photos in every way that is asked for.

    Args:
        captioner: captioning.model_folder.Captioner.
        photos: numpy.ndarray, float32, (photos, length): vectors of the encoder.
        widths: list of int, the beam widths besides greedy decoding.

    Returns:
        dict of str -> list of list of int: `greedy` and `beam K` -> word ids of each caption.
    """
    decoder = CaptionDecoder(captioner.model, captioner.vocabulary)
    ways = {GREEDY: 1} | {f"beam {width}": width for width in widths if width > 1}
    decoded = {title: [] for title in ways}
    total = len(ways) * len(photos)
    with tqdm(total=total, unit=" captions", delay=1, disable=None) as progress:
        for title, width in ways.items():
            for start in range(0, len(photos), PHOTOS_AT_ONCE):
                batch = photos[start : start + PHOTOS_AT_ONCE]
                decoded[title] += decode(decoder, batch, width)
                progress.update(len(batch))
    return decoded


def load_model(folder, data, record):
    """Loads a model and checks that it was trained on vectors like those of the data folder.

    Args:
        folder: pathlib.Path of the model folder.
        data: pathlib.Path of the data folder.
        record: dict, what made the vectors of the data folder.

    Returns:
        captioning.model_folder.Captioner.

    Raises:
        UserError: if it cannot be loaded, or was trained on other vectors.
    """
    captioner = load_captioner(folder, data)
    check_same_encoder(
        captioner.encoder_record, folder / ENCODER_RECORD, record, data / ENCODER_RECORD
    )
    return captioner


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="DIR", help="the model folder")
    parser.add_argument("--split", choices=SPLITS, default=SPLIT, help="the photos to caption")
    parser.add_argument(
        "--beam",
        type=positive_integer,
        nargs="+",
        default=BEAM,
        metavar="K",
        help="beam widths, each a row of its own besides greedy decoding",
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OTHER_MODEL", help="hold the model against another"
    )
    return parser.parse_args(arguments)


def read_inputs(options):
    """Reads the models and the split, and checks that they go together.

    Args:
        options: argparse.Namespace of the command line.

    Returns:
        tuple of list of captioning.model_folder.Captioner, the model and, where one is asked for,
        the one to compare it with; numpy.ndarray, float32, (photos, length); and References.
    """
    record = read_encoder_record(
        options.data, f"run python prepare_photos.py --data {options.data} first"
    )
    folders = [options.model, options.compare] if options.compare else [options.model]
    captioners = [load_model(folder, options.data, record) for folder in folders]
    features = read_features(options.data)
    references = read_references(options.data, options.split, features)
    photos = np.stack([features[identifier] for identifier in references.identifiers])
    return captioners, photos, references


def write_results(options, captioner, photos, references, decoded, rows, scores):
    """Writes the page, the captions, and last the scores.

    Args:
        options: argparse.Namespace of the command line.
        captioner: captioning.model_folder.Captioner.
        photos: numpy.ndarray, float32, (photos, length).
        references: References.
        decoded: dict of str -> list of list of int, from `caption_split`.
        rows: dict of str -> Row.
        scores: dict, as `scores.json` has it.
    """
    choices = {
        title: word_choices(captioner.model, captioner.vocabulary, photos, ids)
        for title, ids in decoded.items()
    }
    cards = make_cards(options.data / PHOTOS, references, decoded, rows, choices)
    page = make_page(options, cards, rows, scores)
    write_gallery(options.model / GALLERY, page)
    captions = {title: rows[title].captions for title in decoded}
    write_captions(options.model / GENERATED_CAPTIONS, references, captions)
    write_json(options.model / SCORES, scores, 1)


def print_results(options, references, rows, scores):
    """Prints examples, the table, what to know about it, and what to do next.

    Args:
        options: argparse.Namespace of the command line.
        references: References.
        rows: dict of str -> Row.
        scores: dict, as `scores.json` has it.
    """
    print_examples(references, rows[GREEDY].captions)
    print(f"\n{options.model} on the {options.split} split, {scores['photos']:,d} photos\n")
    print_table(scores["rows"])
    print("\n" + "\n".join(textwrap.fill(remark, LINE_WIDTH) for remark in scores["remarks"]))
    if options.compare:
        print_comparison(scores["comparison"], options.model, options.compare, scores["photos"])
    names = (GALLERY, GENERATED_CAPTIONS, SCORES)
    print(f"\nwrote {', '.join(str(options.model / name) for name in names)}")
    print(f"next: open {options.model / GALLERY} in a browser, or caption photos of your own:")
    print(f"python generate.py --model {options.model} PHOTO")


def main(arguments=None):
    """Reads the model and the split, captions it, scores, writes and prints."""
    options = parse_arguments(arguments)
    (captioner, *others), photos, references = read_inputs(options)
    decoded = caption_split(captioner, photos, options.beam)
    rows = score_rows(decoded, captioner.vocabulary, references)
    summaries = {
        title: summarise(row, captioner.vocabulary, references.training)
        for title, row in rows.items()
    }
    scores = {
        "split": options.split,
        "photos": len(photos),
        "vocabulary": len(captioner.vocabulary.words),
        "rows": summaries,
        "remarks": remarks_on(rows, summaries),
    }
    for other in others:
        theirs = caption_split(other, photos, options.beam)
        other_rows = score_rows(theirs, other.vocabulary, references)
        scores["compared_with"] = str(options.compare)
        scores["comparison"] = compare(rows, {title: other_rows[title] for title in theirs})
    with locked(options.model, "train.py or evaluate.py"):
        write_results(options, captioner, photos, references, decoded, rows, scores)
    print_results(options, references, rows, scores)
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
