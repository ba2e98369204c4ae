"""Captions every photo of a split and scores the captions against what people wrote.

    python evaluate.py --data data/flickr8k --model models/flickr8k
    python evaluate.py --data data/flickr8k --model models/flickr8k --split dev --beam 3

Reads   MODEL/                      from train.py
        DATA/features.pkl           from prepare_photos.py
        DATA/Flickr8k.token.txt     the captions as people wrote them, the references
        DATA/descriptions.txt       the cleaned ones, for the row of the classic recipe
        DATA/Flickr_8k.testImages.txt (or dev, train)
Writes  MODEL/scores.json           what is printed
        MODEL/captions.csv          photo, caption, references
Takes   seconds for the 1,000 test photos of Flickr8k.
Next    python generate.py PHOTO.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from nltk.translate.bleu_score import corpus_bleu

from captioning.captions import read_captions, read_descriptions, split_into_words
from captioning.command_line import DONE, ArgumentParser, UserError, positive_integer, run
from captioning.decoding import CaptionDecoder, decode
from captioning.features import check_same_encoder, read_encoder_record, read_features
from captioning.files import (
    CAPTIONS,
    DESCRIPTIONS,
    ENCODER_RECORD,
    GENERATED_CAPTIONS,
    SCORES,
    SPLITS,
    write_json,
    write_table,
)
from captioning.model_folder import load_captioner
from captioning.splits import usable_photos
from captioning.vocabulary import END_WORD, START_WORD

# Where things are.
DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
MODEL = Path("models/flickr8k")  # what train.py wrote; the results go there

# What is captioned, and how.
SPLIT = "test"  # train, dev (validation) or test
BEAM = 1  # beam width; 1 is greedy

# The printout.
SHOWN_PHOTOS = 10  # photos shown with their captions and references

# Weights of the n-gram precisions, BLEU-1 to BLEU-4 (Papineni et al. 2002): equal ones.
STANDARD_WEIGHTS = [(1.0,), (1 / 2,) * 2, (1 / 3,) * 3, (1 / 4,) * 4]
# The classic recipe's third is not BLEU-3: its weights add up to 0.9.
CLASSIC_WEIGHTS = [(1.0, 0, 0, 0), (0.5, 0.5, 0, 0), (0.3, 0.3, 0.3, 0), (0.25, 0.25, 0.25, 0.25)]


def bleu_scores(references, captions, weights):
    """Computes corpus BLEU-1 to 4 without smoothing.

    Args:
        references: list of list of list of str: the words of each reference of each photo.
        captions: list of list of str: the words of each photo's caption.
        weights: list of tuple of float, the weights of the n-gram precisions of each figure.

    Returns:
        dict of str -> float: `BLEU-1` to `BLEU-4`, from 0 to 100.
    """
    with warnings.catch_warnings():
        # NLTK advises smoothing where no n-gram of an order is right; here that is a score of 0.
        warnings.filterwarnings("ignore", module="nltk")
        scores = corpus_bleu(references, captions, weights=weights)
    return {f"BLEU-{order}": 100 * float(score) for order, score in enumerate(scores, start=1)}


def standard_scores(captions, references):
    """Scores captions the standard way.

    Args:
        captions: list of list of str, words without markers.
        references: list of list of str, each photo's captions as people wrote them.

    Returns:
        dict of str -> float, from `bleu_scores`: references lower-cased, punctuation removed,
        one-letter words kept, no markers.
    """
    words = [[split_into_words(text) for text in texts] for texts in references]
    return bleu_scores(words, captions, STANDARD_WEIGHTS)


def classic_scores(captions, ended, descriptions):
    """Scores captions as the classic recipe does, which flatters them.

    Args:
        captions: list of list of str, words without markers.
        ended: list of bool, whether `endseq` was written before the maximum length.
        descriptions: list of list of list of str, the words of each photo's cleaned descriptions.

    Returns:
        dict of str -> float, from `bleu_scores`: markers stand on both sides and count as words
        that were guessed right.
    """
    marked = [
        [START_WORD, *words, *([END_WORD] if end else [])]
        for words, end in zip(captions, ended, strict=True)
    ]
    references = [[[START_WORD, *words, END_WORD] for words in texts] for texts in descriptions]
    return bleu_scores(references, marked, CLASSIC_WEIGHTS)


def variety(captions):
    """Counts how different the captions are from each other.

    Args:
        captions: list of list of str.

    Returns:
        dict of str -> int or float: photos, distinct captions, distinct words, mean length.
    """
    return {
        "photos": len(captions),
        "distinct_captions": len({tuple(words) for words in captions}),
        "distinct_words": len({word for words in captions for word in words}),
        "mean_length": sum(len(words) for words in captions) / len(captions),
    }


def print_table(scores, model):
    """Prints the scores for a person to read.

    Args:
        scores: dict, as `scores.json` has it.
        model: pathlib.Path of the model folder.
    """
    print(f"{model} on the {scores['split']} split, {scores['photos']:,d} photos, ", end="")
    print("greedy" if scores["beam"] == 1 else f"beam {scores['beam']}")
    rows = {
        "standard": scores["standard"],
        "classic protocol (flattering)": scores["classic_protocol"],
    }
    print(f"{'':30s}" + "".join(f"{name:>9s}" for name in scores["standard"]))
    for title, row in rows.items():
        print(f"{title:30s}" + "".join(f"{value:9.1f}" for value in row.values()))
    print(
        "The classic protocol leaves startseq and endseq on both sides, where they count as\n"
        "words guessed right, drops one-letter words, and weights BLEU-3 (0.3, 0.3, 0.3):\n"
        "compare it only with figures computed the same way, such as the classic recipe's\n"
        "57.9 34.5 25.2 13.1."
    )
    print(
        f"{scores['distinct_captions']:,d} distinct captions, "
        f"{scores['distinct_words']:,d} distinct words of the {scores['vocabulary']:,d} known, "
        f"{scores['mean_length']:.1f} words a caption"
    )


def print_examples(identifiers, captions, references):
    """Prints photos spread evenly over the split, with caption and references.

    Args:
        identifiers: list of str.
        captions: list of list of str.
        references: list of list of str.
    """
    count = min(SHOWN_PHOTOS, len(identifiers))
    for row in np.linspace(0, len(identifiers) - 1, count).astype(int):
        print(f"\n{identifiers[row]}\n  says: {' '.join(captions[row])}")
        for reference in references[row]:
            print(f"    a person: {reference}")


def write_captions(path, identifiers, captions, references):
    """Writes what was said of each photo.

    Args:
        path: pathlib.Path of the CSV file: photo, caption, and the references separated by ` | `.
        identifiers: list of str.
        captions: list of list of str.
        references: list of list of str.
    """
    table = pd.DataFrame(
        {
            "photo": identifiers,
            "caption": [" ".join(words) for words in captions],
            "references": [" | ".join(texts) for texts in references],
        }
    )
    write_table(path, table)


def read_references(data):
    """Reads the captions as written and as cleaned, and checks that they are of the same photos.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        tuple of dict of str -> list of str, and dict of str -> list of list of str: photo
        identifier -> captions as written, and the words of each cleaned one.

    Raises:
        UserError: if one is missing or damaged, or the captions have changed since the cleaning.
    """
    captions, descriptions = read_captions(data), read_descriptions(data)
    counts = {name: len(texts) for name, texts in captions.items()}
    if counts != {name: len(texts) for name, texts in descriptions.items()}:
        raise UserError(
            f"{data / CAPTIONS} has changed since {data / DESCRIPTIONS} was made of it: run "
            f"python prepare_text.py --data {data} again"
        )
    return captions, descriptions


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="DIR", help="the model folder")
    parser.add_argument("--split", choices=SPLITS, default=SPLIT, help="the photos to caption")
    parser.add_argument(
        "--beam", type=positive_integer, default=BEAM, metavar="K", help="beam width; 1 is greedy"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Reads the model and the split, captions it, scores, prints and writes."""
    options = parse_arguments(arguments)
    captioner = load_captioner(options.model, options.data)
    captions_as_written, descriptions = read_references(options.data)
    record = read_encoder_record(
        options.data, f"run python prepare_photos.py --data {options.data} first"
    )
    check_same_encoder(
        captioner.encoder_record,
        options.model / ENCODER_RECORD,
        record,
        options.data / ENCODER_RECORD,
    )
    features = read_features(options.data)
    identifiers = usable_photos(options.data, options.split, features, captions_as_written)
    references = [captions_as_written[identifier] for identifier in identifiers]

    photos = np.stack([features[identifier] for identifier in identifiers])
    decoder = CaptionDecoder(captioner.model, captioner.vocabulary)
    word_ids = decode(decoder, photos, options.beam)
    captions = [captioner.vocabulary.decode(ids) for ids in word_ids]
    ended = [ids[-1:] == [captioner.vocabulary.end_id] for ids in word_ids]
    scores = {
        "split": options.split,
        "beam": options.beam,
        "vocabulary": len(captioner.vocabulary.words),
        **variety(captions),
        "standard": standard_scores(captions, references),
        "classic_protocol": classic_scores(
            captions, ended, [descriptions[identifier] for identifier in identifiers]
        ),
    }

    write_json(options.model / SCORES, scores)
    write_captions(options.model / GENERATED_CAPTIONS, identifiers, captions, references)
    print_examples(identifiers, captions, references)
    print()
    print_table(scores, options.model)
    print(f"wrote {options.model / SCORES} and {options.model / GENERATED_CAPTIONS}")
    print(f"next: python generate.py --model {options.model} PHOTO")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
