"""Turns every photo into its features with a pretrained network, the encoder.

    python prepare_photos.py --data data/flickr8k
    python prepare_photos.py --data my_photos --encoder EfficientNetLite2
    python prepare_photos.py --data data/coco --photos ~/train2017 ~/val2017

Stopped at any point, it goes on where it was when it is run again; after photos
were added, changed or removed, it encodes only those that are new or changed.

Reads   the photos: JPEG, HEIC, PNG, WebP and others, in DATA/photos, or in DATA
        and the folders below it, or at --photos
Writes  DATA/places.json        what --photos named, for later runs
        DATA/features.pkl       a pickled dict: photo id -> float32 vector
        DATA/features.npy       in its place, above 1 GB: an array with a row
                                a photo; features-index.json has the photo ids
        DATA/features.json      which encoder and weights made them, and which
                                photos were skipped
        DATA/features-cache/    the features with what each was made from, so
                                that a stopped run loses little, and a hash of
                                each photo that tells which look alike
Takes   with VGG16 on two cores ten to twenty minutes for the 8,091 photos of
        Flickr8k, after a download of its ImageNet weights (528 MB); with
        EfficientNetLite2, whose weights come with requirements.txt, a fraction
        of that.
Next    python prepare_text.py, then python train.py.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from captioning.cli import (
    DONE,
    DONE_IN_PART,
    announce_loading,
    counted,
    one_line,
    quoted,
    run,
    wrapped,
)
from captioning.old import ENCODER_RECORD, PHOTO_SCRIPTS, locked
from captioning.photos.architectures import (
    ARCHITECTURES,
    BFLOAT16,
    FLOAT32,
    IMAGENET,
    UNTRAINED,
    split_name,
    split_weights,
)
from captioning.photos.extraction import (
    PHOTOS_AT_RISK,
    check_encoder,
    encode_here,
    encode_missing,
    write_result,
)
from captioning.photos.feature_cache import FeatureCache, open_cache
from captioning.photos.features import AUTOMATIC, FORMS, EncoderRecord, features_path
from captioning.photos.listing import describe_left_out, list_photos
from captioning.photos.ray_encoding import NO_CLUSTER, cluster
from captioning.photos.reading import PhotoError, limit_pixels, read_photo
from captioning.photos.remote_photos import place_of
from captioning.settings import SettingsParser, whole_number
from captioning.text.places import name_places, photo_places, write_places

if TYPE_CHECKING:
    from captioning.photos.encoders import Encoder

# Where things are. What is named here is remembered in DATA for later runs and scripts.
DATA = Path("data/flickr8k")  # the data folder; the results go there
PHOTOS = ()  # the folders of photos, or their addresses (s3://…), where they are not in DATA

# The encoder.
ENCODER = "VGG16"  # a name that --help lists, or several joined by +
WEIGHTS = IMAGENET  # imagenet, none (untrained), or the path of a weights file
DTYPE = FLOAT32  # or bfloat16: faster on processors with avx512_bf16 or amx, a little less exact
BATCH_SIZE = 6  # photos that the network takes at once; more need more memory and gain little
RAY = NO_CLUSTER  # auto: encode by workers on all processors or GPUs here; or a cluster's HOST:PORT

# The features.
FORMAT = AUTOMATIC  # pickle, or mapped or mapped-half, which need not fit in memory; see docs/scale

# The photos.
MAX_PIXELS = 89_478_485  # photos of more pixels are refused, since they may fill the memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the photos, encodes those that are new, writes the features, says what was skipped."""
    types = {
        "BATCH_SIZE": whole_number(1, PHOTOS_AT_RISK),
        "DTYPE": (FLOAT32, BFLOAT16),
        "FORMAT": FORMS,
        "PHOTOS": place_of,
    }
    parser = SettingsParser(globals(), types)
    parser.epilog = wrapped(f"encoders: {', '.join(ARCHITECTURES)}")
    options = parser.parse_settings(arguments)
    limit_pixels(options.max_pixels)
    skipped, left_out = {}, Counter()
    # Where there are no photos no lock should be left.
    places = name_places(options.data, options.photos)
    photos = list_photos(photo_places(options.data, places), skipped, left_out)
    with locked(options.data, PHOTO_SCRIPTS):
        # Read again: prepare_text.py may have named captions meanwhile.
        write_places(options.data, name_places(options.data, options.photos))
        cache = open_cache(options.data, photos)
        missing = retry_unreadable(cache, skipped)
        is_local = options.ray == NO_CLUSTER or not missing
        with nullcontext(encode_here) if is_local else cluster(options.ray) as encode:
            encoder, record = load_encoder(options, cache, is_needed=bool(missing))
            # Printed last, so that a run that is refused prints one sentence and no other.
            print(parser.describe(options))
            if left_out:
                print(describe_left_out(left_out))
            print_found(cache, len(missing))
            if encoder and missing:
                skipped |= encode_missing(cache, missing, encoder, options.batch_size, encode)
        for path, reason in skipped.items():
            print(f"skipped {one_line(path)}: {reason}", file=sys.stderr)
        write_result(cache, record, skipped, options.format)
    print_result(cache, record, len(skipped))
    return DONE_IN_PART if skipped else DONE


def retry_unreadable(cache: FeatureCache, skipped: dict[str, str]) -> list[str]:
    """Lists the photos to encode: of those that no earlier run could read, the ones that now can.

    What prevented the reading, say a permission, may leave no trace in a file's size and time.
    """
    missing = []
    for name in cache.missing():
        try:
            if name in cache.unreadable:
                read_photo(cache.photos[name], size=(1, 1))
            missing.append(name)
        except PhotoError as error:
            skipped[str(cache.photos[name])] = str(error)
    return missing


def load_encoder(
    options: argparse.Namespace, cache: FeatureCache, is_needed: bool
) -> "tuple[Encoder | None, EncoderRecord]":
    """Loads the encoder, unless there is nothing to encode and its record is known without.

    Raises:
        UserError: if the features that are there are of another encoder or of other weights.
    """
    split_weights(options.weights, len(split_name(options.encoder)))
    # Nobody should download weights to learn that the features are of others.
    known = next(iter(cache.records.values()), None)
    if known:
        asked = {"encoder": options.encoder, "weights": options.weights, "dtype": options.dtype}
        check_encoder(cache, msgspec.structs.replace(known, **asked))
    # These two words always mean the same weights; what a file holds, only its digest tells.
    if known and not is_needed and known.weights == options.weights in (IMAGENET, UNTRAINED):
        return None, known
    announce_loading(options.encoder)
    # Imported once it is needed: Keras takes seconds to load, in which --help would be silent.
    from captioning.photos.encoders import Encoder

    encoder = Encoder(options.encoder, options.weights, options.dtype)
    record = encoder.record()
    check_encoder(cache, record)
    return encoder, record


def print_found(cache: FeatureCache, missing: int) -> None:
    """Says what earlier runs have left."""
    for path in cache.damaged:
        print(one_line(f"{path} is damaged: its photos are encoded again"))
    if cache.encoded and missing:
        print(f"found {len(cache.encoded):,d} features of earlier runs, {missing:,d} to go")
    path = features_path(cache.data)
    if path in cache.records:
        print(f"{path} has no cache that says which photos it was made from")


def print_result(cache: FeatureCache, record: EncoderRecord, skipped: int) -> None:
    """Says how many features there are, what has changed, where they are and what to run next."""
    data = cache.data
    count, length = len(cache.encoded), record.length
    print(wrapped(f"{counted(count, 'photo')}, {length:,d} features each, by {record.encoder}"))
    if cache.earlier:
        print(wrapped(f"since the last run: {cache.summary()}"))
    if skipped:
        print(f"{counted(skipped, 'photo')} skipped; {data / ENCODER_RECORD} says why")
    print(wrapped(f"wrote {features_path(data)} and {data / ENCODER_RECORD}"))
    print(f"next: python prepare_text.py --data {quoted(data)}, then train.py")


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
