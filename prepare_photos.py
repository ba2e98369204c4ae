"""Turns every photo into its features with a pretrained network, the encoder.

    python prepare_photos.py --data data/flickr8k
    python prepare_photos.py --data my_photos --encoder EfficientNetLite2
    python prepare_photos.py --data data/coco --photos ~/train2017 ~/val2017

Stopped at any point, it goes on where it was when it is run again; after photos
were added, changed or removed, it encodes only those that are new or changed.

Reads   the photos: JPEG, HEIC, PNG, WebP and others, in DATA/photos, or in DATA
        and the folders below it, or at --photos
Writes  DATA/photo-folders.json what --photos named, for later runs
        DATA/features.pkl       a pickled dict: photo id -> float32 vector
        DATA/features.npy       in its place, above 1 GB: an array with a row
                                a photo; features-index.json has the photo ids
        DATA/features.json      which encoder and weights made them, and which
                                photos were skipped
        DATA/features-cache.sqlite      the features with what each was made
                                from, for the next run, and with hashes that
                                tell which photos look alike
Takes   with VGG16 on two cores half an hour for the 8,091 photos of Flickr8k,
        after a download of its weights (528 MB); a fraction of that with
        EfficientNetLite2, whose weights come with requirements.txt.
Next    python prepare_text.py, then python train.py.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from captioning.cli import DONE, DONE_IN_PART, counted, one_line, quoted, run, wrapped
from captioning.files import ENCODER_RECORD
from captioning.photos import encoders, listing
from captioning.photos.encoders import BFLOAT16, FLOAT32, IMAGENET, UNTRAINED, encode_photos
from captioning.photos.feature_cache import PHOTOS_AT_RISK, FeatureCache, connected
from captioning.photos.features import AUTOMATIC, FORMS, EncoderRecord, read_encoder_record
from captioning.photos.ray_encoding import NO_CLUSTER, cluster
from captioning.photos.reading import limit_pixels
from captioning.settings import SettingsParser, number_from
from captioning.storage import PHOTO_SCRIPTS, locked

# Where things are. What is named here is remembered in DATA for later runs and scripts.
DATA = Path("data/flickr8k")  # the data folder; the results go there
PHOTOS = ()  # the folders of photos, or their addresses (s3://…), where they are not in DATA

# The encoder.
ENCODER = "VGG16"  # a name that --help lists, or several joined by +
WEIGHTS = IMAGENET  # imagenet, none (untrained), or the path of a weights file
DTYPE = FLOAT32  # or bfloat16: faster on processors with avx512_bf16 or amx, a little less exact
BATCH_SIZE = 6  # photos that the network takes at once; more need more memory and gain little
RAY = NO_CLUSTER  # auto: encode by workers on all processors or GPUs here; or a cluster's HOST:PORT

# The photos and the features.
MAX_PIXELS = 89_478_485  # photos of more pixels are refused, since they may fill the memory
FORMAT = AUTOMATIC  # pickle, or mapped, which need not fit in memory; see docs/scale.md


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the photos, encodes those that are new, writes the features, says what was skipped."""
    types = {"BATCH_SIZE": number_from(1, PHOTOS_AT_RISK), "DTYPE": (FLOAT32, BFLOAT16)}
    parser = SettingsParser(globals(), {**types, "FORMAT": FORMS, "PHOTOS": listing.path_of})
    parser.epilog = wrapped(f"encoders: {', '.join(encoders.ENCODERS)}")
    options = parser.parse_settings(arguments)
    # A wrong name should fail before the photos are listed.
    encoders.split_name(options.encoder, options.weights)
    limit_pixels(options.max_pixels)
    data, skipped = options.data, {}
    # Where there are no photos no lock should be left.
    photos = listing.list_photos(listing.photo_folders(data, options.photos), skipped)
    with locked(data, PHOTO_SCRIPTS), connected(data) as connection:
        cache = FeatureCache(data, connection, photos)
        missing = [photos[photo] for photo in cache.missing]
        is_local = options.ray == NO_CLUSTER or not missing
        chosen = nullcontext(encode_photos) if is_local else cluster(options.ray)
        with chosen as encode:
            encoder, record = load_encoder(options, cache)
            if options.photos:
                listing.write_photo_folders(data, options.photos)
            # Printed last, so that a run that is refused prints one sentence and no other.
            print(parser.describe(options))
            if missing:
                if found := len(cache.encoded):
                    print(f"found {found:,d} features of earlier runs, {len(missing):,d} to go")
                results = encode(missing, encoder, options.batch_size)
                skipped |= cache.add(results, record, options.batch_size)
        for path, reason in skipped.items():
            print(f"skipped {one_line(path)}: {reason}", file=sys.stderr)
        cache.write_features(record, skipped, options.format)
    print_result(data, len(skipped))
    return DONE_IN_PART if skipped else DONE


def load_encoder(
    options: argparse.Namespace, cache: FeatureCache
) -> tuple[encoders.Encoder | None, EncoderRecord]:
    """Loads the encoder, unless there is nothing to encode and its record is known without.

    Raises `UserError` if the features that are there are of another encoder or other weights.
    """
    # Of the packages, none may be needed before `captioning` has looked for them.
    from msgspec.structs import replace

    if known := cache.record:
        # Nobody should download weights to learn that the features are of others.
        asked = {"encoder": options.encoder, "dtype": options.dtype}
        cache.check_encoder(replace(known, weights=options.weights, **asked))
        # These two words always mean the same weights; of a file only its digest tells.
        if not cache.missing and known.weights == options.weights in (IMAGENET, UNTRAINED):
            return None, known
    encoder = encoders.Encoder(options.encoder, options.weights, options.dtype)
    record = encoder.record()
    cache.check_encoder(record)
    return encoder, record


def print_result(data: Path, skipped: int) -> None:
    """Says how many features there are, where they are and what to run next."""
    record = read_encoder_record(data)
    count = counted(record.count, "photo")
    print(wrapped(f"{count}, {record.length:,d} features each, by {record.encoder}"))
    if skipped:
        print(f"{counted(skipped, 'photo')} skipped; {data / ENCODER_RECORD} says why")
    print(wrapped(f"wrote {data / record.file} and {data / ENCODER_RECORD}"))
    print(f"next: python prepare_text.py --data {quoted(data)}, then train.py")


if __name__ == "__main__":
    sys.exit(run(main))
