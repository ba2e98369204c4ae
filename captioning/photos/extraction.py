"""Extracts the features of a folder of photos, and encodes a photo again only if it has changed."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from captioning.cli import UserError, counted
from captioning.old import FEATURES_CACHE, photo_id
from captioning.photos.feature_cache import FeatureCache, add_to_cache, check_data, read_blocks
from captioning.photos.features import (
    AUTOMATIC,
    MAPPED_HALF,
    PICKLE,
    EncoderRecord,
    SkippedPhoto,
    choose_form,
    differing_keys,
    features_path,
    write_features,
    write_mapped_features,
)
from captioning.photos.hashes import hash_photo
from captioning.photos.mapped_features import FLOAT16, FLOAT32
from captioning.photos.reading import Photo, PhotoError, encode_photos

if TYPE_CHECKING:
    from captioning.photos.encoders import Encoder

# Photos that a kill can cost: features are saved whenever there are so many new ones.
PHOTOS_AT_RISK = 256

# Photos of a file of the cache that `write_result` leaves. A few such files are in memory at once;
# features of 4,096 numbers take 67 MB.
PHOTOS_A_FILE = 4096


def check_encoder(cache: FeatureCache, record: EncoderRecord) -> None:
    """Raises `UserError`, which names both, if another encoder made the earlier features.

    The record is that of the encoder, or as much of it as is known before it is loaded.
    """
    results = (cache.data / FEATURES_CACHE, features_path(cache.data))
    remove = " and ".join(str(path) for path in results if path.exists())
    for path, other in cache.records.items():
        place = path.parent if path.parent.name == FEATURES_CACHE else path
        for key in differing_keys(record, other):
            here, there = getattr(record, key), getattr(other, key)
            raise UserError(
                f"{place} holds features of {other.encoder} with weights {other.weights}, "
                f"not of {record.encoder} with weights {record.weights} ({key} is {there} there "
                f"and {here} here), and they must not be mixed: name the former with --encoder "
                f"and --weights, or remove {remove} to begin anew"
            )


# Yields photos, in their order, each with its features or the error that says why it has none, and
# with its hash, which is empty if there is an error. The last argument is the size of a batch.
Encode = Callable[
    [Sequence[Photo], "Encoder", int], Iterator[tuple[Photo, np.ndarray | PhotoError, str]]
]


def encode_here(
    photos: Sequence[Photo], encoder: "Encoder", batch_size: int
) -> Iterator[tuple[Photo, np.ndarray | PhotoError, str]]:
    """Encodes and hashes photos by this process."""
    hashes: dict[Photo, str] = {}

    def keep_hash(photo: Photo, pixels: np.ndarray) -> None:
        hashes[photo] = hash_photo(pixels)

    for photo, result in encode_photos(photos, encoder, batch_size, keep_hash):
        yield photo, result, hashes.pop(photo, "")


def encode_missing(
    cache: FeatureCache, names: list[str], encoder: "Encoder", batch_size: int, encode: Encode
) -> dict[str, str]:
    """Encodes photos; returns the paths of those that cannot be read, with the reasons.

    Whole batches are added to the cache, so that a resumed run makes the same batches, and to the
    last bit the same features, as an undisturbed one.
    """
    record, errors, waiting = encoder.record(), {}, {}
    portion = max(1, PHOTOS_AT_RISK // batch_size) * batch_size
    paths = [cache.photos[name] for name in names]
    results = encode(paths, encoder, batch_size)
    for number, (name, (path, result, digits)) in enumerate(zip(names, results, strict=True), 1):
        if isinstance(result, PhotoError):
            errors[str(path)] = str(result)
            cache.unreadable.add(name)
        else:
            waiting[name] = result
            cache.hashes[name] = digits
        if number % portion == 0 or number == len(names):
            check_data(cache.data)
            if waiting:
                add_to_cache(cache, record, waiting)
                waiting = {}
    return errors


def write_result(
    cache: FeatureCache, record: EncoderRecord, skipped: dict[str, str], form: str = AUTOMATIC
) -> None:
    """Writes the features and `features.json`, and leaves in the cache as few files as will do.

    Raises:
        UserError: if no photo has features, or those of some have gone from the cache.
    """
    names = [name for name in cache.photos if name in cache.encoded]
    if not names:
        raise UserError(
            f"none of the {counted(len(skipped), 'photo')} of {cache.data} can be read: name "
            "others with --photos"
        )
    # In an order that does not depend on when a photo was tried.
    sorted_skipped = [SkippedPhoto(path, skipped[path]) for path in sorted(skipped)]
    photo_ids = [photo_id(cache.photos[name].name) for name in names]
    numbers = {name: number for number, name in enumerate(names)}
    blocks = (
        ([numbers[name] for name in block], rows) for block, rows in read_blocks(cache, record)
    )
    form = choose_form(form, len(names), record.length)
    if form == PICKLE:
        rows = dict(chain.from_iterable(zip(*block, strict=True) for block in blocks))
        features = {photo: rows[number] for number, photo in enumerate(photo_ids)}
        write_features(cache.data, features, record, sorted_skipped)
    else:
        dtype = FLOAT16 if form == MAPPED_HALF else FLOAT32
        write_mapped_features(cache.data, photo_ids, blocks, dtype, record, sorted_skipped)
    _merge_files(cache, record, names)


def _merge_files(cache: FeatureCache, record: EncoderRecord, names: list[str]) -> None:
    """Writes the files of the cache anew if there are more than needed, or any is out of date."""
    files = cache.files()
    needed = -(-len(names) // PHOTOS_A_FILE)
    # What was added may be gone again: someone may have removed the folder meanwhile.
    current = {name: cache.signatures[name] for name in names}
    if len(files) == needed and cache.earlier == current:
        return
    waiting = {}
    for block, rows in read_blocks(cache, record):
        waiting |= zip(block, rows, strict=True)
        while len(waiting) >= PHOTOS_A_FILE:
            portion = [waiting.popitem() for _ in range(PHOTOS_A_FILE)]
            add_to_cache(cache, record, dict(portion))
    if waiting:
        add_to_cache(cache, record, waiting)
    # A killed run leaves the file that it was writing.
    for path in [*files, *(cache.data / FEATURES_CACHE).glob(".partial-*")]:
        path.unlink(missing_ok=True)
