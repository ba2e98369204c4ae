"""The downloader of Flickr8k, against a server on this computer and archives made on the spot."""

import hashlib
import io
import shutil
import socket
import stat
import threading
import zipfile
from types import SimpleNamespace

import download as script
import flask
import pytest
from support import assert_refused, full_disk, run_here
from werkzeug import serving

from captioning.files import CAPTIONS, PHOTOS, SPLITS
from captioning.storage import LOCK, PHOTO_SCRIPTS, locked

PHOTO_ARCHIVE, TEXT_ARCHIVE = "Flickr8k_Dataset.zip", "Flickr8k_text.zip"
TEXT_FILES = {CAPTIONS, *SPLITS.values()}
FINISHED = {PHOTOS, *TEXT_FILES}
PROVIDED = {TEXT_ARCHIVE: tuple(TEXT_FILES), PHOTO_ARCHIVE: (PHOTOS,)}
EXPECTED = {PHOTOS: 3, CAPTIONS: 4}
SIZE_LIMIT = 100_000  # bytes that a file may have where the disk is "full"


def make_archive(members, compression=zipfile.ZIP_STORED):
    """Makes a zip archive of a dict of name (or zipfile.ZipInfo) -> bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for member, content in members.items():
            zipped.writestr(member, content)
    return file.getvalue()


def photo_members(size=50_000):
    members = {"Flicker8k_Dataset/": b"", "Flicker8k_Dataset/.DS_Store": b"macOS"}
    for index in range(EXPECTED[PHOTOS]):
        members[f"Flicker8k_Dataset/{index}.jpg"] = bytes([index]) * size
    return members


def text_members():
    captions = "".join(f"{index}.jpg#0\tA dog .\n" for index in range(EXPECTED[CAPTIONS]))
    splits = {name: f"{split}.jpg\n".encode() for split, name in SPLITS.items()}
    left_out = {"readme.txt": b"Read me.", "__MACOSX/._Flickr8k.token.txt": b"macOS"}
    return {CAPTIONS: captions.encode(), **splits, **left_out}


@pytest.fixture
def server(monkeypatch):
    """Serves both archives after a redirection as GitHub's, and counts what is asked and sent.

    `cut_after` and `ranges` make it misbehave.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # It would print every request.
    monkeypatch.setattr(serving.WSGIRequestHandler, "log_request", lambda *_: None)
    app = flask.Flask("releases")
    app.add_url_rule("/releases/<name>", view_func=lambda name: flask.redirect(f"/files/{name}"))
    files = {PHOTO_ARCHIVE: photo_members(), TEXT_ARCHIVE: text_members()}
    state = SimpleNamespace(files={name: make_archive(files[name]) for name in files})
    state.requests, state.sent, state.ranges, state.cut_after = 0, 0, True, None

    @app.get("/files/<name>")
    def answer(name):
        state.requests += 1
        content = state.files.get(name) or flask.abort(404)
        response = flask.Response(content)
        if state.ranges:
            response.make_conditional(flask.request.environ, True, len(content))
        body = response.get_data()[: state.cut_after]
        state.sent += len(body)
        # As long as its header says only where nothing is cut.
        response.response = [body]
        return response

    server = serving.make_server("127.0.0.1", 0, app, threaded=True)
    state.url = f"http://127.0.0.1:{server.server_port}/releases"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()


@pytest.fixture
def download(server, tmp_path, monkeypatch):
    """Gives a function that runs the script into tmp_path/data and returns how it ended.

    The digests are those of `server.files` at the time of the call, or of `files`.
    """
    monkeypatch.setattr(script, "_EXPECTED", EXPECTED)

    def run_in_process(*arguments, files=None, base_url=server.url):
        digests = {
            name: hashlib.md5(content, usedforsecurity=False).hexdigest()
            for name, content in (files or server.files).items()
        }
        archives = [script.Archive(name, digests[name], PROVIDED[name]) for name in PROVIDED]
        monkeypatch.setattr(script, "_ARCHIVES", archives)
        flags = ["--data", tmp_path / "data", "--base-url", base_url, *arguments]
        return run_here("download", *flags)

    return run_in_process


def total_size(server):
    return sum(len(content) for content in server.files.values())


def entries(folder):
    """Lists the names in a folder, but for its lock."""
    return {path.name for path in folder.iterdir()} - {LOCK} if folder.exists() else set()


def assert_finished(process, data):
    """Checks that the whole data is there and nothing else."""
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert entries(data) == FINISHED
    assert entries(data / PHOTOS) == {f"{index}.jpg" for index in range(EXPECTED[PHOTOS])}
    assert (data / CAPTIONS).read_bytes() == text_members()[CAPTIONS]


def assert_failed(process, data, *words, partial=()):
    """Checks the one sentence, and that nothing but the named partial archives is left."""
    assert_refused(process, *words)
    assert entries(data) == {f"{name}.partial" for name in partial}


def test_everything_arrives_and_a_second_run_fetches_nothing(download, server, tmp_path):
    process = download()
    assert_finished(process, tmp_path / "data")
    assert server.sent == total_size(server)
    for words in ("not to be redistributed", "Hodosh", "next: python prepare_photos.py --data"):
        assert process.stdout.count(words) == 1
    requests = server.requests
    again = download()
    assert_finished(again, tmp_path / "data")
    assert "already" in again.stdout
    assert server.requests == requests


def test_a_run_that_works_with_the_photos_is_not_disturbed(download, server, tmp_path):
    data = tmp_path / "data"
    with locked(data, "a test"):
        assert_failed(download(), data, PHOTO_SCRIPTS, "is at work in", data)
    assert server.requests == 0


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_or_starts_anew(download, server, tmp_path, ranges):
    server.ranges, server.cut_after, partial = ranges, 60_000, [PHOTO_ARCHIVE, TEXT_ARCHIVE]
    for _ in range(2):
        assert_failed(download(), tmp_path / "data", "same command again", partial=partial)
    server.cut_after = None
    assert_finished(download(), tmp_path / "data")
    assert server.sent == total_size(server) + (0 if ranges else 2 * 60_000)


def test_a_wrong_digest_deletes_what_was_downloaded(download, server, tmp_path):
    data, published = tmp_path / "data", dict(server.files)
    server.files[TEXT_ARCHIVE] = b"<html>Please log in.</html>"
    for _ in range(2):
        process = download(files=published)
        assert_failed(process, data, f"{server.url}/{TEXT_ARCHIVE}", "MD5", "again")
    server.files = published
    assert_finished(download(), data)


def test_what_is_not_there_to_download(download, server, tmp_path):
    data, published = tmp_path / "data", dict(server.files)
    del server.files[TEXT_ARCHIVE]
    url = f"{server.url}/{TEXT_ARCHIVE}"
    assert_failed(download(files=published), data, url, "404", "--archives")
    server.files = published
    # Bound, so that nobody else takes the port, but not listening.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert_failed(download(base_url=url), data, url, "Connection refused", "--archives")
    for url in ("file:/", "github.com", "http://127.0.0.1:x", "http://[::1"):
        assert_failed(download(base_url=url), data, url, "could not be downloaded")


def special_member(mode):
    member = zipfile.ZipInfo("Flicker8k_Dataset/evil.jpg")
    member.create_system = 3  # Unix: only there do members have a kind.
    member.external_attr = (mode | 0o644) << 16
    return member


# Members that would be written elsewhere, or as something else than a file.
UNSAFE = ["../evil.jpg", "Flicker8k_Dataset/..\\..\\evil.jpg", "/evil.jpg"]
UNSAFE += ["Flicker8k_Dataset/C:/evil.jpg", special_member(stat.S_IFLNK)]
WHOLE = make_archive(photo_members(1000))
MIDDLE = WHOLE.index(bytes([2]) * 100)
SCRATCHED = WHOLE[:MIDDLE] + b"changed" + WHOLE[MIDDLE + 7 :]
ONE_PHOTO = make_archive({"Flicker8k_Dataset/0.jpg": b"alone"})
ONE_CAPTION = make_archive({**text_members(), CAPTIONS: b"0.jpg#0\tThe only caption .\n"})
NO_SPLIT = {name: text for name, text in text_members().items() if name != SPLITS["dev"]}


BAD_ARCHIVES = [
    (PHOTO_ARCHIVE, b"no archive", "damaged"),
    (PHOTO_ARCHIVE, WHOLE[:-500], "damaged"),
    (PHOTO_ARCHIVE, SCRATCHED, "damaged"),
    (PHOTO_ARCHIVE, ONE_PHOTO, "photos (1 entries)"),
    (TEXT_ARCHIVE, ONE_CAPTION, f"{CAPTIONS} (1 entries)"),
    (TEXT_ARCHIVE, make_archive(NO_SPLIT), SPLITS["dev"]),
    *((PHOTO_ARCHIVE, make_archive({**photo_members(1), m: b"../../x"}), "evil") for m in UNSAFE),
]


@pytest.mark.parametrize(("name", "content", "words"), BAD_ARCHIVES, ids=range(len(BAD_ARCHIVES)))
def test_a_bad_archive_is_refused_and_deleted(download, server, tmp_path, name, content, words):
    server.files[name] = content
    process, partial = download(), {TEXT_ARCHIVE, PHOTO_ARCHIVE} - {name}
    assert_failed(process, tmp_path / "data", name, words, partial=partial)
    assert entries(tmp_path) == {"data"}


@pytest.mark.parametrize("stage", ["downloading", "unpacking"])
def test_a_full_disk(download, server, tmp_path, stage):
    data = tmp_path / "data"
    if stage == "unpacking":
        members = photo_members(2 * SIZE_LIMIT)
        server.files[PHOTO_ARCHIVE] = make_archive(members, zipfile.ZIP_DEFLATED)
    with full_disk(SIZE_LIMIT):
        process = download()
    partial = [PHOTO_ARCHIVE, TEXT_ARCHIVE]
    assert_failed(process, data, data, "File too large", "room", partial=partial)
    arrived = min(SIZE_LIMIT, len(server.files[PHOTO_ARCHIVE]))
    assert (data / f"{PHOTO_ARCHIVE}.partial").stat().st_size == arrived
    assert_finished(download(), data)


def test_archives_that_are_there_are_not_fetched_nor_removed(download, server, tmp_path):
    archives, data = tmp_path / "archives", tmp_path / "data"
    archives.mkdir()
    (archives / PHOTO_ARCHIVE).write_bytes(b"another")
    process = download("--archives", archives)
    partial = [TEXT_ARCHIVE]
    assert_failed(process, data, archives / PHOTO_ARCHIVE, "MD5", "replace it", partial=partial)
    (archives / PHOTO_ARCHIVE).write_bytes(server.files[PHOTO_ARCHIVE])
    assert_finished(download("--archives", archives), data)
    assert server.sent == len(server.files[TEXT_ARCHIVE])
    assert entries(archives) == {PHOTO_ARCHIVE}


@pytest.mark.parametrize("name", [PHOTOS, CAPTIONS])
def test_other_data_is_left_alone(download, server, tmp_path, name):
    own = tmp_path / "data" / (f"{PHOTOS}/mine.jpg" if name == PHOTOS else name)
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert_refused(download(), tmp_path / "data" / name, "--data")
    assert own.read_text() == "mine"
    assert entries(tmp_path / "data") == {name}
    assert server.requests == 0


def test_only_what_is_missing_is_fetched_and_what_a_kill_left_is_cleared_away(
    download, server, tmp_path
):
    data = tmp_path / "data"
    download()
    (data / SPLITS["dev"]).write_text("edited.jpg\n")
    (data / "features.pkl").write_text("mine")
    shutil.rmtree(data / PHOTOS)
    # Killed while it unpacked the photos, and before it removed the archive of the captions.
    (data / script._UNPACKING / PHOTOS).mkdir(parents=True)
    for name, content in server.files.items():
        (data / f"{name}.partial").write_bytes(content)
    assert download().returncode == 0
    assert server.sent == total_size(server)
    assert (data / SPLITS["dev"]).read_text() == "edited.jpg\n"
    assert entries(data) == FINISHED | {"features.pkl"}
