"""How sure a model was of each word of its captions, and what else it might have said."""

from dataclasses import dataclass

import numpy as np

from captioning.vocabulary import END_TOKEN, PADDING_ID

# Captions looked at together; their probabilities need captions x words x vocabulary x 4 bytes.
CAPTIONS_AT_ONCE = 64

ALTERNATIVES = 3


@dataclass(frozen=True)
class WordChoice:
    """One word of a caption.

    Args:
        word: str; `endseq` where the caption ends.
        probability: float, from 0 to 1, that the model gave it after the words before it.
        alternatives: tuple of (str, float), the likeliest other words, likeliest first.
    """

    word: str
    probability: float
    alternatives: tuple

    @property
    def is_end(self):
        """Whether this is the mark that ends the caption: bool."""
        return self.word == END_TOKEN


def word_choices(model, vocabulary, photos, captions):
    """Finds the probability of every word of captions, and the likeliest other words.

    One pass of the network over a whole caption gives the probabilities at every position.

    Args:
        model: keras.Model, as `train.define_model` builds it.
        vocabulary: captioning.vocabulary.Vocabulary.
        photos: numpy.ndarray, float32, (photos, length): vectors of the encoder.
        captions: list of list of int, word ids as `CaptionDecoder` gives them.

    Returns:
        list of tuple of WordChoice, one for each word of each caption, `endseq` included where it
        was written.
    """
    # Captions of like length together, so that little is computed for padding.
    order = np.argsort([len(caption) for caption in captions], kind="stable")
    choices = [()] * len(captions)
    for start in range(0, len(order), CAPTIONS_AT_ONCE):
        rows = order[start : start + CAPTIONS_AT_ONCE]
        batch = [captions[row] for row in rows]
        # An empty caption has no word whose probability could be asked for.
        if batch[-1]:
            found = _choices_of_batch(model, vocabulary, photos[rows], batch)
            for row, caption_choices in zip(rows, found, strict=True):
                choices[row] = caption_choices
    return choices


def _choices_of_batch(model, vocabulary, photos, captions):
    length = max(map(len, captions))
    words = np.full((len(captions), length), PADDING_ID, dtype=np.int32)
    written = np.full_like(words, PADDING_ID)
    for row, caption in enumerate(captions):
        words[row, : len(caption)] = [vocabulary.start_id, *caption[:-1]]
        written[row, : len(caption)] = caption
    probabilities = np.array(model.predict_on_batch([photos, words]))
    chosen = np.take_along_axis(probabilities, written[:, :, None], axis=2)
    # Decoding never writes these two, and the word that was written is no alternative to itself.
    probabilities[:, :, [PADDING_ID, vocabulary.start_id]] = -1
    np.put_along_axis(probabilities, written[:, :, None], -1, axis=2)
    count = min(ALTERNATIVES, vocabulary.size - 3)
    others = np.argpartition(-probabilities, range(count), axis=2)[:, :, :count]
    likelihoods = np.take_along_axis(probabilities, others, axis=2)
    return [
        tuple(
            WordChoice(
                vocabulary.words[word_id - 1],
                float(chosen[row, place, 0]),
                tuple(
                    (vocabulary.words[other - 1], float(likelihood))
                    for other, likelihood in zip(
                        others[row, place], likelihoods[row, place], strict=True
                    )
                ),
            )
            for place, word_id in enumerate(caption)
        )
        for row, caption in enumerate(captions)
    ]
