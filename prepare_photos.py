"""Turns every photo into one vector with a pretrained network, the encoder.

    python prepare_photos.py --data data/flickr8k
    python prepare_photos.py --data my_photos --encoder MobileNetV2

Stopped at any point, it goes on where it was when it is run again; after photos were added, changed
or removed, it does again only what that takes.

Reads   DATA/photos/                the photos, in any format that Pillow reads
Writes  DATA/features.pkl           a pickled dict: photo identifier -> float32 vector
        DATA/features.json          which encoder and weights made them, and what was skipped
        DATA/features-photos.json   which files they were made from, so that a change is noticed
        DATA/unfinished-features/   the vectors of a run that was stopped, removed at the end
Takes   with VGG16 on two cores about ten minutes for the 8,091 photos of Flickr8k; the first run
        downloads its ImageNet weights (528 MB).
Next    python prepare_text.py, then python train.py.
"""

import sys
from pathlib import Path

from tqdm import tqdm

from captioning.cli import DONE, DONE_IN_PART, ArgumentParser, UserError, one_line, run
from captioning.encoders import ARCHITECTURES, BFLOAT16, FLOAT32, IMAGENET, UNTRAINED, Encoder
from captioning.extraction import PHOTOS_AT_RISK, VectorKeeper
from captioning.files import ENCODER_RECORD, FEATURES, PHOTOS, photo_id
from captioning.photos import PhotoError, encode_photos, find_photos, read_photo
from captioning.settings import positive_integer
from captioning.storage import locked

# Where things are.
DATA = Path("data/flickr8k")  # holds the folder photos; the results go there

# The encoder.
ENCODER = "VGG16"  # VGG16, VGG19, ResNet50, InceptionV3, EfficientNetV2B0 or MobileNetV2
WEIGHTS = IMAGENET  # imagenet, none (untrained), or the path of a weights file
DTYPE = FLOAT32  # or bfloat16: faster on processors with avx512_bf16 or amx, a little less exact
BATCH_SIZE = 6  # photos that the network takes at once; more need more memory and gain little


def extract_features(directory, encoder=None, batch_size=BATCH_SIZE, on_skip=None):
    """Turns every photo of a folder into a vector, and keeps nothing on disk.

    Args:
        directory: pathlib.Path or str of the folder; the folders below it are searched too.
        encoder: captioning.encoders.Encoder, or None for that of the constants.
        batch_size: int, photos that the network takes at once.
        on_skip: callable that is given the path and the reason, both str, of each photo that is
            left out, or None to leave them out unsaid.

    Returns:
        dict of str -> numpy.ndarray, float32, (length,): photo identifier -> vector.

    Raises:
        UserError: if the folder is missing or holds no photo.
    """
    report = on_skip or (lambda path, reason: None)
    photos = list_photos(Path(directory), report)
    encoder = encoder or Encoder(ENCODER, WEIGHTS, DTYPE)
    return {
        photo_id(photos[name].name): vector
        for name, vector in _encode(photos, encoder, batch_size, report)
        if not isinstance(vector, PhotoError)
    }


def _encode(photos, encoder, batch_size, report):
    """Gives the name and the vector of each photo, or its name and why there is none."""
    names = {path: name for name, path in photos.items()}
    # delay: no bar for what is done before a person wonders; disable=None: none in a log file.
    with tqdm(total=len(photos), unit=" photos", delay=1, disable=None) as progress:
        for path, vector in encode_photos(list(names), encoder, batch_size):
            if isinstance(vector, PhotoError):
                report(str(path), str(vector))
            yield names[path], vector
            progress.update()


def list_photos(folder, on_skip=None):
    """Lists the photos of a folder, one of each identifier, and checks that there are some.

    Args:
        folder: pathlib.Path.
        on_skip: callable that is given the path and the reason, both str, of each photo that is
            left out, or None to leave them out unsaid.

    Returns:
        dict of str -> pathlib.Path, sorted: the path below the folder -> the same from here.

    Raises:
        UserError: if the folder is missing or holds no photo.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: put the photos there")
    left_out = []

    def report(path, reason):
        left_out.append(reason)
        if on_skip:
            on_skip(path, reason)

    paths = find_photos(folder, report)
    if not paths:
        why = f" ({left_out[0]})" if left_out else ""
        raise UserError(f"{folder} holds no photos{why}: put some there, such as dog.jpg")
    # A vector is found by the identifier alone.
    first = {}
    for path in paths:
        kept = first.setdefault(photo_id(path.name), path)
        if kept is not path:
            report(str(path), f"{one_line(kept.name)} has the same identifier")
    return {str(path.relative_to(folder)): path for path in first.values()}


def retry_unreadable(keeper, report):
    """Reads what no earlier run could read, in case it now can be, and leaves out what cannot.

    Whatever hindered the reading, say a permission, leaves no trace in a file's size and time, so
    these photos are tried every time; it needs no network.

    Args:
        keeper: captioning.extraction.VectorKeeper.
        report: callable that is given the path and the reason, both str, of each that cannot.

    Returns:
        dict of str -> pathlib.Path, the photos that have no vector yet and may be given one.
    """
    missing = {name: keeper.photos[name] for name in keeper.missing()}
    for name in sorted(keeper.failed.intersection(missing)):
        try:
            read_photo(missing[name], size=(1, 1))
        except PhotoError as error:
            report(str(missing.pop(name)), str(error))
    return missing


def load_encoder(name, weights, dtype, keeper, is_needed):
    """Loads the encoder, unless there is nothing to encode and its identity is known without.

    Args:
        name: str, as `--encoder` takes it.
        weights: str, as `--weights` takes it.
        dtype: str, as `--dtype` takes it.
        keeper: captioning.extraction.VectorKeeper.
        is_needed: bool, whether there are photos to encode.

    Returns:
        tuple of captioning.encoders.Encoder or None, and dict, its record.

    Raises:
        UserError: if the vectors that are there are of another encoder or of other weights.
    """
    if name in ARCHITECTURES:
        # Nobody should download weights to learn that they are not those.
        keeper.refuse_others({"encoder": name, "weights": weights, "dtype": dtype})
    known = keeper.record
    same_words = known and (known["encoder"], known["weights"]) == (name, weights)
    # These two words always mean the same weights; what a file holds, only its digest tells.
    if same_words and not is_needed and weights in (IMAGENET, UNTRAINED):
        return None, known
    encoder = Encoder(name, weights, dtype)
    record = encoder.record()
    keeper.refuse_others(record)
    return encoder, record


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument(
        "--encoder", default=ENCODER, metavar="NAME", help=f"one of {', '.join(ARCHITECTURES)}"
    )
    parser.add_argument(
        "--weights",
        default=WEIGHTS,
        metavar="imagenet|none|FILE",
        help="trained on ImageNet (downloaded once), untrained, or from a weights file",
    )
    parser.add_argument(
        "--dtype",
        choices=(FLOAT32, BFLOAT16),
        default=DTYPE,
        help="what the network computes in; bfloat16 is faster where the processor has avx512_bf16 "
        "or amx",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=BATCH_SIZE,
        metavar="N",
        help=f"photos that the network takes at once, {PHOTOS_AT_RISK} at the most",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Reads the photos, encodes those that are new, writes the vectors, says what was skipped."""
    options = parse_arguments(arguments)
    if options.batch_size > PHOTOS_AT_RISK:
        raise UserError(f"--batch-size {options.batch_size} is more than {PHOTOS_AT_RISK}")
    skipped = []

    def note(path, reason):
        skipped.append({"photo": path, "reason": reason})

    # Nobody should download an encoder to learn that there is nothing to do, and where there are no
    # photos no lock should be left.
    photos = list_photos(options.data / PHOTOS, note)
    with locked(options.data, "prepare_photos.py"):
        return prepare(options, photos, skipped, note)


def prepare(options, photos, skipped, note):
    """Does the work of `main` in a folder that no other run works on.

    Args:
        options: argparse.Namespace of the command line.
        photos: dict of str -> pathlib.Path, from `list_photos`.
        skipped: list of dict, `photo` and `reason` of what is left out already.
        note: callable that is given the path and the reason, both str, and adds to `skipped`.

    Returns:
        int, the exit status.
    """

    def say(path, reason):
        tqdm.write(f"skipped {one_line(path)}: {reason}", file=sys.stderr)

    def skip(path, reason):
        note(path, reason)
        say(path, reason)

    keeper = VectorKeeper(options.data, photos)
    todo = retry_unreadable(keeper, note)
    encoder, record = load_encoder(
        options.encoder, options.weights, options.dtype, keeper, bool(todo)
    )
    # Only now is it sure that the run is not refused, with one sentence and no other.
    for entry in skipped:
        say(entry["photo"], entry["reason"])
    say_what_was_found(keeper, len(todo))
    if todo:
        results = _encode(todo, encoder, options.batch_size, skip)
        keeper.keep(results, record, options.batch_size)
    # In an order that does not depend on when a photo was tried.
    changes = keeper.finish(record, sorted(skipped, key=lambda entry: entry["photo"]))
    say_what_was_done(options.data, keeper, record, changes, len(skipped))
    return DONE_IN_PART if skipped else DONE


def say_what_was_found(keeper, to_go):
    """Says what earlier runs have left.

    Args:
        keeper: captioning.extraction.VectorKeeper.
        to_go: int, photos that are still to be encoded.
    """
    for path in keeper.damaged:
        print(f"{path} is damaged: its photos are done again")
    if keeper.found:
        print(f"found {keeper.found:,d} vectors of a run that was stopped, {to_go:,d} photos to go")
    path = keeper.data / FEATURES
    if path.exists() and not keeper.table:
        print(f"what {path} was made from is not known: all of it is made anew")


def say_what_was_done(data, keeper, record, changes, skipped):
    """Says how many vectors there are, what has changed, where they are and what to run next.

    Args:
        data: pathlib.Path of the data folder.
        keeper: captioning.extraction.VectorKeeper.
        record: dict, the encoder's record.
        changes: captioning.extraction.Changes.
        skipped: int, photos that were left out.
    """
    count = changes.added + changes.changed + changes.kept
    print(f"{count:,d} photos, {record['length']:,d} numbers each, by {record['encoder']}")
    if keeper.table:
        print(
            f"since the last run: {changes.added:,d} photos added, {changes.changed:,d} changed, "
            f"{changes.gone:,d} gone, {changes.kept:,d} as they were"
        )
    if skipped:
        print(f"{skipped:,d} photos skipped; {data / ENCODER_RECORD} says why")
    print(f"wrote {data / FEATURES} and {data / ENCODER_RECORD}")
    print(f"next: python prepare_text.py --data {data}, then train.py")


if __name__ == "__main__":
    sys.exit(run(main))
