"""Rows, variety and comparison on captions that are known: people's own, shuffled, none."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from captioning.cli import UserError
from captioning.files import CAPTIONS, SPLITS, photo_id
from captioning.scores import metrics, scoring
from captioning.scores.scoring import Scores
from captioning.storage import write_json
from captioning.text.captions import read_captioned_photos
from captioning.text.vocabulary import PreparedText, Vocabulary
from captioning.text.words import join_words, word_cleaner, word_splitter

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


def test_comparison_tells_a_better_model_from_chance():
    references = [[f"a dog number {row} runs on grass".split()] for row in range(60)]
    good = [texts[0] for texts in references]
    # Better in every photo; and better in as many photos as it is worse.
    bad = [[*words[:-2], "xx", "yy"] for words in good]
    mixed = [bad[row] if row % 2 else good[row] for row in range(60)]
    mirrored = [good[row] if row % 2 else bad[row] for row in range(60)]
    clear = scoring.compare(make_row(good, references), make_row(bad, references))
    even = scoring.compare(make_row(mixed, references), make_row(mirrored, references))
    for name in METRICS:
        assert clear[name]["this"] > clear[name]["other"]
        assert clear[name]["p_value"] == pytest.approx(1 / 1001)
        assert even[name]["p_value"] > 0.5


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


def test_markers_add_about_eleven_points_to_real_captions(flickr8k):
    """Scores one person against the other four: the markers' share of the classic row."""
    captions = read_captioned_photos(flickr8k, [flickr8k / CAPTIONS]).captions
    cleaned = {name: list(map(word_cleaner(2), captions[name])) for name in captions}
    names = [photo_id(name) for name in (flickr8k / SPLITS["test"]).read_text().split()]
    person, others = [cleaned[name][0] for name in names], [cleaned[name][1:] for name in names]
    counts = metrics.bleu_counts(person, others)
    plain = scoring.Row(person, counts, {}).scores["BLEU-1"][0]
    marked = scoring.classic_row(person, [True] * len(names), others).scores
    assert 5 < marked["BLEU-1"][0] - plain < 15


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


# ---- Captions of an evaluated model, for another to be compared with ----

PHOTOS = ["=photo", "caf\udce9, 1"]
TEXTS = [["A dog .", 'the "dog"'], ["@home", "NA"]]


def write_evaluated(folder, captions, references, split="test"):
    texts = {title: [*map(join_words, of_title)] for title, of_title in captions.items()}
    scoring.write_captions(folder / "captions.csv", texts, references)
    scores = {"data": "data/tiny", "split": split, "photos": 2, "results": {}, "notes": []}
    scores |= {"photo_ids": tuple(references.photo_ids), "captions": texts}
    write_json(folder / "scores.json", Scores(**scores))
    (folder / "recipe.toml").write_text('[made_with]\ndata = "data/tiny"\n')


@pytest.mark.parametrize(
    ("language", "captions"),
    [
        # Photo ids and references hold what a spreadsheet or UTF-8 cannot.
        ("en", [["a", "dog"], []]),
        ("fr", [["l'", "eau", "à", "l'"], ["le", "chien"]]),
        ("zh", [["一", "只", "t", "恤"], ["狗"]]),
    ],
)
def test_captions_are_read_as_they_were_written(tmp_path, language, captions):
    references = references_of(PHOTOS, TEXTS, language)
    written = {"greedy": captions, "beam 3": captions[::-1]}
    write_evaluated(tmp_path, written, references)
    rows = scoring.read_rows(tmp_path, "test", references)
    assert {title: row.captions for title, row in rows.items()} == written
    for title, row in rows.items():
        expected = make_row(written[title], references.words)
        assert all((row.scores[name] == expected.scores[name]).all() for name in METRICS)
    table = pd.read_csv(tmp_path / "captions.csv", keep_default_na=False)
    assert [*table] == ["photo_id", "greedy", "beam 3", "references"]
    assert table["references"][0] == 'A dog . | the "dog"'


EVALUATE = "run python evaluate.py --data data/tiny --model"
OTHER = "or of other photos, not of the test photos here"


@pytest.mark.parametrize(
    ("photos", "split", "words"),
    [
        (PHOTOS, "none", "scores.json is missing"),
        (PHOTOS[::-1], "test", OTHER),
        (PHOTOS, "dev", OTHER),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_command(tmp_path, photos, split, words):
    captions = {"greedy": [["a"], ["b"]]}
    write_evaluated(tmp_path, captions, references_of(photos, TEXTS), split)
    if split == "none":
        (tmp_path / "scores.json").unlink()
    with pytest.raises(UserError) as raised:
        scoring.read_rows(tmp_path, "test", references_of(PHOTOS, TEXTS))
    assert words in str(raised.value)
    assert f"{EVALUATE} {tmp_path}" in str(raised.value)
