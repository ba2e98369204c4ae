"""Rows, variety and comparison on captions that are known: people's own, shuffled, none."""

import math
from types import SimpleNamespace

import pytest

from captioning.scores import metrics, scoring
from captioning.text.vocabulary import PreparedText, Vocabulary
from captioning.text.words import word_splitter

split_into_words = word_splitter()

METRICS = (*metrics.BLEU_NAMES, "ROUGE-L", "CIDEr-D")
VOCABULARY = Vocabulary(("startseq", "endseq", "dog", "cats", "birds", "fish"), 5, {})


def references_of(photo_ids, texts, language="en"):
    captions = dict(zip(photo_ids, texts, strict=True))
    descriptions = {
        photo: [*map(word_splitter(language), of_photo)] for photo, of_photo in captions.items()
    }
    vocabulary = Vocabulary(VOCABULARY.words, 5, {"language": language})
    splits = {"train": [], "test": photo_ids}
    text = PreparedText(vocabulary, descriptions, captions, splits)
    return scoring.SplitReferences(text, "test", photo_ids)


def make_row(captions, references):
    return scoring.standard_row(captions, references, metrics.CiderD(references))


def test_standard_and_classic_rows_differ_in_what_they_count():
    """Leaves out a one-letter word, guesses all others wrong, and ends or not."""
    text = split_into_words("A dog runs .")
    standard = make_row([["dog", "runs"]], [[text]]).scores
    assert standard["BLEU-1"][0] == pytest.approx(100 * math.exp(1 - 3 / 2))
    wrong, descriptions = [["cat", "sits", "down"]], [[["dog", "runs", "fast"]]]
    assert make_row(wrong, descriptions).scores["BLEU-1"][0] == 0
    both = scoring.classic_row(wrong, [True], descriptions).scores
    assert both["BLEU-1"][0] == pytest.approx(100 * 2 / 5)
    one = scoring.classic_row(wrong, [False], descriptions).scores
    assert one["BLEU-1"][0] == pytest.approx(100 * 1 / 4 * math.exp(1 - 5 / 4))


@pytest.mark.parametrize("photos", [2, 3, 50])
def test_shuffling_leaves_no_photo_its_own_caption_and_loses_none(photos):
    captions = [[str(row)] for row in range(photos)]
    shuffled = scoring.shuffle(captions)
    assert sorted(shuffled) == sorted(captions)
    assert all(one != other for one, other in zip(shuffled, captions, strict=True))


def test_variety_is_counted_by_hand():
    captions = [["a", "dog"], ["a", "dog"], ["cats", "xx"], []]
    row = make_row(captions, [[["a"]]] * 4)
    references = SimpleNamespace(training={("a", "dog"), ("cats",)})
    result = scoring.summarize({"greedy": row}, VOCABULARY, references)["greedy"]
    assert result["distinct_captions"] == 3
    assert result["mean_length"] == 1.5
    assert result["vocabulary_coverage"] == 50
    assert result["copied_from_training"] == 50


def test_the_human_row_leaves_out_the_first_reference_and_photos_with_one():
    texts = [["A dog runs", "Cats sit", "Fish swim"], ["Birds fly"], ["Birds fly", "Fish swim"]]
    captions = [["cats", "sit"], ["birds", "fly"], ["birds", "fly"]]
    rows = scoring.human_rows(captions, references_of(["a", "b", "c"], texts))
    assert rows["human"].captions == [["a", "dog", "runs"], ["birds", "fly"]]
    # The first reference of the last photo, which the model repeats, counts no more.
    assert rows["greedy (same references)"].scores["BLEU-1"][0] == pytest.approx(50)


def test_one_photo_with_one_reference_has_neither_human_nor_shuffled_row():
    references = references_of(["x"], [["A dog"]])
    rows = scoring.score_rows({"greedy": [[3, 2]]}, VOCABULARY, references)
    assert list(rows) == ["greedy", "classic (flattering)"]
