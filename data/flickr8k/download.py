"""Downloads the photos, captions and splits of Flickr8k, checks them and unpacks them.

    python data/flickr8k/download.py
    python data/flickr8k/download.py --archives ~/Downloads

Reads   nothing; with --archives, Flickr8k_Dataset.zip and Flickr8k_text.zip where they are there
Writes  DATA/photos/                        the 8,091 photos
        DATA/Flickr8k.token.txt             the captions, five a photo
        DATA/Flickr_8k.{train,dev,test}Images.txt   the photos of each split
Takes   as long as 1.1 GB take; needs room for 2.3 GB, and keeps half of that. A broken download
        stays as DATA/*.zip.partial, and the same command goes on where it stopped.
Next    python prepare_photos.py and python prepare_text.py.
"""

import hashlib
import os
import shutil
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from captioning.cli import DONE, UserError, quoted, run
from captioning.files import CAPTIONS, PHOTOS, SPLITS
from captioning.photos.listing import find_photos
from captioning.settings import SettingsParser
from captioning.storage import PHOTO_SCRIPTS, locked


@dataclass(frozen=True)
class Archive:
    """A zip archive, its digest, and the names in DATA of what it contains."""

    name: str
    md5: str
    provides: tuple[str, ...]


# Where things are.
DATA = Path("data/flickr8k")  # photos, captions and splits go there
BASE_URL = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"  # of the archives

# What is downloaded. The digests are those that the R package torchvision of mlverse publishes.
_TEXT_FILES = (CAPTIONS, *SPLITS.values())
_ARCHIVES = (
    Archive("Flickr8k_text.zip", "bf6c1abcb8e4a833b7f922104de18627", _TEXT_FILES),
    Archive("Flickr8k_Dataset.zip", "f18a1e2920de5bd84dae7cf08ec78978", (PHOTOS,)),
)
_EXPECTED = {PHOTOS: 8_091, CAPTIONS: 40_460}  # how many photos and captions the finished data has
_PHOTO_FOLDER = "Flicker8k_Dataset"  # spelt so in the archive; it becomes photos
_NOT_DATA = {"__MACOSX", ".DS_Store"}  # what macOS adds to archives

# How it is downloaded.
_TIMEOUT = 60  # seconds that the server may be silent
_CHUNK = 2**18  # bytes read at once

# What lies in DATA while the script runs.
_PARTIAL = ".partial"  # appended to the name of an archive, until its content is in place
_UNPACKING = ".unpacking"  # the folder that archives are unpacked to before they are moved

_NOTICE = """\
Flickr8k is for research and education; it is not to be redistributed. Whoever publishes with it
cites: M. Hodosh, P. Young and J. Hockenmaier (2013), Framing Image Description as a Ranking Task:
Data, Models and Evaluation Metrics, Journal of Artificial Intelligence Research 47, 853-899."""


def _missing_archives(
    data: Path, archives: Sequence[Archive], expected: dict[str, int]
) -> list[Archive]:
    """Lists the archives of which something is not in DATA, and refuses what is in their way."""
    for name, count in expected.items():
        found = _count(data / name) if _is_there(data / name) else count
        if found != count:
            raise UserError(
                f"{data / name} is there already, but with {found:,d} entries, not "
                f"{count:,d}: move it away, or name another folder with --data"
            )
    return [part for part in archives if not all(_is_there(data / name) for name in part.provides)]


def _is_there(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _count(path: Path) -> int:
    """Counts the photos of a folder or the captions of a file."""
    if path.is_dir():
        return len(find_photos(path))
    with open(path, "rb") as file:
        return sum(bool(line.strip()) for line in file)


def _find_or_fetch(archive: Archive, data: Path, folder: Path | None, base_url: str) -> Path:
    """Returns the path of an archive with the right digest, downloaded if it is not there."""
    if folder is not None and (folder / archive.name).is_file():
        path = origin = folder / archive.name
    else:
        path = data / f"{archive.name}{_PARTIAL}"
        origin = f"{base_url}/{archive.name}"
        # An earlier run may have got it whole and failed later, say for want of room.
        if path.exists() and _md5(path) == archive.md5:
            return path
        _download(origin, path)
    digest = _md5(path)
    if digest != archive.md5:
        raise _damaged(path, f"{origin} has the MD5 digest {digest}, not {archive.md5}")
    return path


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _damaged(path: Path, sentence: str) -> UserError:
    """Makes the error for a damaged archive, and deletes the archive if it was downloaded."""
    if path.suffix != _PARTIAL:
        return UserError(f"{sentence}: replace it, or leave out --archives to download it")
    path.unlink()
    return UserError(f"{sentence}: the download is deleted, run the same command again")


def _download(url: str, partial: Path) -> None:
    """Downloads a file, or resumes its download; what arrived is kept whatever happens."""
    start = partial.stat().st_size if partial.exists() else 0
    response = _open_url(url, start)
    if response.status != 206:  # The server does not support ranges: start again.
        start = 0
    name = url.rpartition("/")[2]
    total = None if response.length is None else start + response.length
    # disable=None: no bar in a log file.
    bar = tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, disable=None)
    with response, bar, open(partial, "ab" if start else "wb") as file:
        for chunk in _chunks(response, url):
            file.write(chunk)
            bar.update(len(chunk))


def _open_url(url: str, start: int) -> HTTPResponse:
    """Asks for a file from a given byte on."""
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("the address should begin with https://")
        request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
        return urlopen(request, timeout=_TIMEOUT)
    # OSError: no connection, or a refusal; the others: an invalid answer or address.
    except (OSError, HTTPException, OverflowError, ValueError) as error:
        if start and getattr(error, "code", None) == 416:  # More is here than the server has.
            return _open_url(url, 0)
        raise UserError(
            f"{url} could not be downloaded ({_reason(error)}): try again later, or get the file "
            f"another way and name its folder with --archives"
        ) from error


def _chunks(response: HTTPResponse, url: str) -> Iterator[bytes]:
    """Yields what arrives, and raises `UserError` if the connection ends too early."""
    try:
        # read1 gives what is there already, so that nothing of it is lost if no more comes.
        while chunk := response.read1(_CHUNK):
            yield chunk
        problem = f"{response.length:,d} bytes are missing" if response.length else None
    except (OSError, HTTPException) as error:
        problem = _reason(error)
    if problem:
        raise UserError(
            f"the download of {url} broke off ({problem}): run the same command again to go on"
        )


def _reason(error: BaseException) -> str:
    """Returns the message of a library's error in one line, without its number."""
    cause = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
    words = str(getattr(cause, "strerror", None) or cause).split()
    return " ".join(words) or type(cause).__name__


def _install(paths: dict[Archive, Path], data: Path, expected: dict[str, int]) -> None:
    """Unpacks archives beside the final place, checks the content, and moves it there whole."""
    unpacked = data / _UNPACKING
    try:
        unpacked.mkdir()
        for archive, path in paths.items():
            _unpack(path, unpacked)
            _check_content(archive, path, unpacked, expected)
        for archive in paths:
            for name in archive.provides:
                # What is there already is whole, and may have been edited.
                if not _is_there(data / name):
                    os.replace(unpacked / name, data / name)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _unpack(path: Path, folder: Path) -> None:
    """Unpacks what is wanted of an archive, once the names of all its members are checked."""
    try:
        with zipfile.ZipFile(path) as zipped:
            members = zipped.infolist()
            for member in members:
                if not _is_safe(member):
                    raise _damaged(path, f"{path} would unpack {member.filename!r} elsewhere")
            # delay: no bar for what takes less than a second; disable=None: none in a log.
            for member in tqdm(members, unit=" files", delay=1, disable=None):
                if place := _place(member):
                    (folder / place).parent.mkdir(parents=True, exist_ok=True)
                    with zipped.open(member) as source, open(folder / place, "wb") as file:
                        shutil.copyfileobj(source, file)
    # What zipfile raises for damaged, encrypted or oddly compressed archives.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise _damaged(path, f"{path} is a damaged archive ({_reason(error)})") from error


def _is_safe(member: zipfile.ZipInfo) -> bool:
    """Refuses absolute paths, paths with `..` or a drive letter, links and devices."""
    # Windows takes both kinds of slash as separators, so its rules cover the others'.
    path = PureWindowsPath(member.filename)
    leaves = path.root or ".." in path.parts or ":" in member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    return not leaves and kind in (0, stat.S_IFREG, stat.S_IFDIR)


def _place(member: zipfile.ZipInfo) -> PurePosixPath | None:
    """Returns the path below DATA where a member goes, or None if it is left out."""
    path = PurePosixPath(member.filename)
    if member.is_dir() or _NOT_DATA.intersection(path.parts):
        return None
    if path.parts[:1] == (_PHOTO_FOLDER,):
        return PurePosixPath(PHOTOS, *path.parts[1:])
    return PurePosixPath(path.name) if path.name in _TEXT_FILES else None


def _check_content(archive: Archive, path: Path, unpacked: Path, expected: dict[str, int]) -> None:
    for name in archive.provides:
        found = _count(unpacked / name) if _is_there(unpacked / name) else 0
        if not found or found != expected.get(name, found):
            raise _damaged(path, f"{path} does not contain all of {name} ({found:,d} entries)")


def _fetch(missing: Sequence[Archive], data: Path, folder: Path | None, address: str) -> None:
    """Puts into DATA what archives provide, and removes what was left on the way there."""
    shutil.rmtree(data / _UNPACKING, ignore_errors=True)  # of a run that was killed
    if missing:
        paths = {archive: _find_or_fetch(archive, data, folder, address) for archive in missing}
        _install(paths, data, _EXPECTED)
    for archive in _ARCHIVES:
        (data / f"{archive.name}{_PARTIAL}").unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Downloads, checks, unpacks, cleans up, and says what to do next."""
    parser = SettingsParser(globals())
    parser.add_argument(
        "--archives", type=Path, metavar="DIR", help="take the archives that are there already"
    )
    options = parser.parse_settings(arguments)
    data, folder = options.data, options.archives
    if folder is not None and not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name that of the archives with --archives")
    try:
        # Photos must not appear, nor partial archives go, while another run works with them.
        with locked(data, PHOTO_SCRIPTS):
            missing = _missing_archives(data, _ARCHIVES, _EXPECTED)
            _fetch(missing, data, folder, options.base_url.rstrip("/"))
    except OSError as error:
        raise UserError(
            f"{error.filename or data} could not be read or written ({_reason(error)}): check that "
            f"you may use it and that there is room, then run the same command again to go on"
        ) from error
    if missing:
        print(_NOTICE)
        names = [name for archive in missing for name in archive.provides]
        print(f"wrote {', '.join(names)} to {data}")
    else:
        print(f"everything is in {data} already: nothing downloaded")
    print(f"next: python prepare_photos.py --data {quoted(data)}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
