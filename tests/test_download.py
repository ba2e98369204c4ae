"""The downloader of Flickr8k, against a server on this computer and archives made on the spot."""

import hashlib
import io
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import download as script
import pytest
from support import ROOT, assert_refused

from captioning.cli import run
from captioning.old import CAPTIONS, LOCK, PHOTO_SCRIPTS, PHOTOS, SPLITS, locked

SCRIPT = ROOT / "data" / "flickr8k" / "download.py"
PHOTO_ARCHIVE, TEXT_ARCHIVE = "Flickr8k_Dataset.zip", "Flickr8k_text.zip"
TEXT_FILES = {CAPTIONS, *SPLITS.values()}
FINISHED = {PHOTOS, *TEXT_FILES}
PHOTO_COUNT, CAPTION_COUNT = 3, 4
SIZE_LIMIT = 100_000  # bytes that a file may have where the disk is "full"

# Runs the script in a process of its own, with the constants of a test.
DRIVER = """\
import resource, sys
import download
from captioning.cli import run
download._ARCHIVES = [download.Archive(*fields) for fields in {archives!r}]
download._EXPECTED = {expected!r}
if {limit!r}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit!r}, {limit!r}))
sys.exit(run(download.main))
"""


def make_archive(members, compression=zipfile.ZIP_STORED):
    """Makes a zip archive of a dict of name (or zipfile.ZipInfo) -> bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for member, content in members.items():
            zipped.writestr(member, content)
    return file.getvalue()


def photo_members(size=50_000):
    members = {"Flicker8k_Dataset/": b""}
    for number in range(PHOTO_COUNT):
        members[f"Flicker8k_Dataset/{number}.jpg"] = bytes([number]) * size
    members["Flicker8k_Dataset/.DS_Store"] = b"macOS"
    members["__MACOSX/Flicker8k_Dataset/._0.jpg"] = b"macOS"
    return members


def text_members():
    captions = "".join(f"{number}.jpg#0\tA dog .\n" for number in range(CAPTION_COUNT))
    splits = {name: f"{split}.jpg\n".encode() for split, name in SPLITS.items()}
    left_out = {"readme.txt": b"Read me.", "__MACOSX/._Flickr8k.token.txt": b"macOS"}
    return {CAPTIONS: captions.encode(), **splits, **left_out}


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files` from byte `Range` on, after a redirection as GitHub's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answers a request, and counts it and what is sent."""
        server = self.server
        server.requests += 1
        server.asked.set()
        server.may_answer.wait(60)
        folder, _, name = self.path[1:].partition("/")
        if folder == "releases":
            return self.answer(302, {"Location": f"/files/{name}"})
        if name not in server.files:
            return self.answer(404)
        content, start = server.files[name], 0
        if server.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(content):
            return self.answer(416)
        body = content[start:]
        headers = {"Content-Length": len(body)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if start else 200, headers)
        body = body[: server.cut_after]
        server.sent += len(body)  # Before the client can know that it has everything.
        self.wfile.write(body)
        if server.stalls:
            self.wfile.flush()
            server.stopped.wait(10)
        return None

    def answer(self, status, headers=None):
        """Sends everything but the body."""
        self.send_response(status)
        for name, value in {"Content-Length": 0, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        """Keeps the server silent."""


@pytest.fixture
def server(monkeypatch):
    """Gives a server of both archives; `cut_after`, `ranges` and `stalls` make it misbehave."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = {
        PHOTO_ARCHIVE: make_archive(photo_members()),
        TEXT_ARCHIVE: make_archive(text_members()),
    }
    server.requests, server.sent = 0, 0
    server.ranges, server.cut_after, server.stalls = True, None, False
    server.stopped, server.asked, server.may_answer = (threading.Event() for _ in range(3))
    server.may_answer.set()
    server.url = f"http://127.0.0.1:{server.server_port}/releases"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


def archive_fields(files):
    """Gives name, digest and what is provided, for each archive of `server.files`."""
    provided = {TEXT_ARCHIVE: tuple(TEXT_FILES), PHOTO_ARCHIVE: (PHOTOS,)}
    return [
        (name, hashlib.md5(files[name], usedforsecurity=False).hexdigest(), names)
        for name, names in provided.items()
    ]


EXPECTED = {PHOTOS: PHOTO_COUNT, CAPTIONS: CAPTION_COUNT}


@pytest.fixture
def download(server, tmp_path, monkeypatch, capsys):
    """Gives a function that runs the script into tmp_path/data and returns how it ended.

    The digests are those of `server.files` at the time of the call, or of `files`.
    """

    def run_in_process(*arguments, files=None, base_url=server.url):
        fields = archive_fields(files or server.files)
        monkeypatch.setattr(script, "_ARCHIVES", [script.Archive(*each) for each in fields])
        monkeypatch.setattr(script, "_EXPECTED", EXPECTED)
        command = ["--data", tmp_path / "data", "--base-url", base_url, *arguments]
        status = run(script.main, [str(word) for word in command])
        written = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=written.out, stderr=written.err)

    return run_in_process


def start_process(server, tmp_path, limit=None):
    """Starts the same in a process of its own, whose files cannot outgrow a limit."""
    driver = tmp_path / "driver.py"
    fields = archive_fields(server.files)
    driver.write_text(DRIVER.format(archives=fields, expected=EXPECTED, limit=limit))
    command = [sys.executable, driver, "--data", tmp_path / "data", "--base-url", server.url]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}{os.pathsep}{SCRIPT.parent}", "no_proxy": "127.0.0.1"},
    )


def finish(process):
    """Waits for a process and returns how it ended."""
    stdout, stderr = process.communicate(timeout=60)
    return SimpleNamespace(returncode=process.returncode, stdout=stdout, stderr=stderr)


def run_process(server, tmp_path, limit=None):
    """Runs it to its end."""
    return finish(start_process(server, tmp_path, limit))


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
    assert entries(data / PHOTOS) == {f"{number}.jpg" for number in range(PHOTO_COUNT)}
    assert (data / CAPTIONS).read_bytes() == text_members()[CAPTIONS]


def assert_failed(process, data, *words, partial=()):
    """Checks the one sentence, and that nothing but the named partial archives is left."""
    assert_refused(process, *words)
    assert entries(data) == {f"{name}.partial" for name in partial}


def test_everything_arrives_and_a_second_run_fetches_nothing(download, server, tmp_path):
    process = download()
    assert_finished(process, tmp_path / "data")
    assert server.sent == total_size(server)
    assert process.stdout.count("not to be redistributed") == 1
    assert process.stdout.count("Hodosh") == 1
    command = f"python prepare_photos.py --data {tmp_path / 'data'}"
    assert command in process.stdout
    requests = server.requests
    again = download()
    assert_finished(again, tmp_path / "data")
    assert "already" in again.stdout
    assert command in again.stdout
    assert server.requests == requests


def test_a_process_of_its_own_from_beginning_to_end(server, tmp_path):
    process = run_process(server, tmp_path)
    assert_finished(process, tmp_path / "data")
    assert "next: python prepare_photos.py" in process.stdout


def test_of_two_processes_at_once_the_second_is_refused(server, tmp_path):
    server.may_answer.clear()
    first = start_process(server, tmp_path)
    assert server.asked.wait(60)
    second = run_process(server, tmp_path)
    assert_failed(second, tmp_path / "data", PHOTO_SCRIPTS, "is at work in", tmp_path / "data")
    server.may_answer.set()
    assert_finished(finish(first), tmp_path / "data")
    assert server.sent == total_size(server)


def test_a_run_that_works_with_the_photos_is_not_disturbed(download, server, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / f"{TEXT_ARCHIVE}.partial").write_bytes(b"of the other run")
    with locked(data, "a test"):
        assert_failed(download(), data, "another run", "is at work", partial=[TEXT_ARCHIVE])
    assert server.requests == 0
    (data / f"{TEXT_ARCHIVE}.partial").unlink()
    assert_finished(download(), data)


def test_help_shows_the_flags_from_any_folder(tmp_path):
    process = subprocess.run(
        [sys.executable, SCRIPT, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
    )
    for flag in ("--data", "--archives", "--base-url"):
        assert flag in process.stdout


def test_a_broken_download_goes_on_where_it_stopped(download, server, tmp_path):
    data, size = tmp_path / "data", len(server.files[PHOTO_ARCHIVE])
    server.cut_after = 60_000
    for run_number in (1, 2):
        process = download()
        partial = [PHOTO_ARCHIVE, TEXT_ARCHIVE]
        assert_failed(process, data, PHOTO_ARCHIVE, "same command again", partial=partial)
        assert (data / f"{PHOTO_ARCHIVE}.partial").stat().st_size == 60_000 * run_number < size
    server.cut_after = None
    assert_finished(download(), data)
    assert server.sent == total_size(server)


def test_a_server_that_falls_silent(download, server, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "_TIMEOUT", 0.2)
    server.cut_after, server.stalls = 200, True
    process = download()
    assert_failed(process, tmp_path / "data", TEXT_ARCHIVE, "timed out", partial=[TEXT_ARCHIVE])
    assert (tmp_path / "data" / f"{TEXT_ARCHIVE}.partial").stat().st_size == 200
    server.cut_after, server.stalls = None, False
    assert_finished(download(), tmp_path / "data")
    assert server.sent == total_size(server)


def test_a_server_without_ranges_starts_anew(download, server, tmp_path):
    server.ranges, server.cut_after = False, 60_000
    partial = [PHOTO_ARCHIVE, TEXT_ARCHIVE]
    assert_failed(download(), tmp_path / "data", "same command again", partial=partial)
    server.cut_after = None
    assert_finished(download(), tmp_path / "data")
    assert server.sent == total_size(server) + 60_000


def test_a_partial_archive_longer_than_the_file(download, server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / f"{TEXT_ARCHIVE}.partial").write_bytes(b"x" * 5000)
    assert_finished(download(), tmp_path / "data")
    assert server.sent == total_size(server)


def test_a_wrong_digest_deletes_what_was_downloaded(download, server, tmp_path):
    data, published = tmp_path / "data", dict(server.files)
    server.files[PHOTO_ARCHIVE] = b"<html>Please log in.</html>"
    process = download(files=published)
    assert_failed(
        process, data, f"{server.url}/{PHOTO_ARCHIVE}", "MD5", "again", partial=[TEXT_ARCHIVE]
    )
    server.files = published
    assert_finished(download(), data)


def test_a_file_that_changed_since_the_download_broke_off(download, server, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / f"{TEXT_ARCHIVE}.partial").write_bytes(b"of another version")
    assert_failed(download(), data, TEXT_ARCHIVE, "MD5")
    assert_finished(download(), data)


def test_a_file_that_is_truncated_for_good(download, server, tmp_path):
    published = dict(server.files)
    server.files[TEXT_ARCHIVE] = published[TEXT_ARCHIVE][:-100]
    for _ in range(2):
        assert_failed(download(files=published), tmp_path / "data", TEXT_ARCHIVE, "MD5")


def test_a_file_that_is_not_there(download, server, tmp_path):
    published = dict(server.files)
    del server.files[TEXT_ARCHIVE]
    process = download(files=published)
    url = f"{server.url}/{TEXT_ARCHIVE}"
    assert_failed(process, tmp_path / "data", url, "404", "--archives")


def test_a_refused_connection_and_wrong_addresses(download, tmp_path):
    # Bound, so that nobody else takes the port, but not listening.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refused = download(base_url=url)
    assert_failed(refused, tmp_path / "data", url, "Connection refused", "--archives")
    for url in ("file:///tmp", "github.com", "http://127.0.0.1:x", "http://[::1", "http://a b"):
        assert_failed(download(base_url=url), tmp_path / "data", url, "could not be downloaded")


def special_member(name, mode):
    member = zipfile.ZipInfo(name)
    member.create_system = 3  # Unix: only there do members have a kind.
    member.external_attr = (mode | 0o644) << 16
    return member


@pytest.mark.parametrize("given", [False, True], ids=["downloaded", "in --archives"])
@pytest.mark.parametrize(
    "member",
    [
        "../evil.jpg",
        "Flicker8k_Dataset/../../evil.jpg",
        "Flicker8k_Dataset/..\\..\\evil.jpg",
        "/evil.jpg",
        "\\\\server\\evil.jpg",
        "C:evil.jpg",
        "Flicker8k_Dataset/C:/evil.jpg",
        pytest.param(special_member("Flicker8k_Dataset/evil.jpg", stat.S_IFLNK), id="a link"),
        pytest.param(special_member("Flicker8k_Dataset/evil.jpg", stat.S_IFIFO), id="a pipe"),
    ],
)
def test_an_unsafe_member_is_refused(download, server, tmp_path, member, given):
    server.files[PHOTO_ARCHIVE] = make_archive({**photo_members(1), member: b"../../target"})
    archives = write_archives(server, tmp_path)
    process = download(*(["--archives", archives] if given else []))
    partial = [] if given else [TEXT_ARCHIVE]
    assert_failed(process, tmp_path / "data", PHOTO_ARCHIVE, "evil", partial=partial)
    assert entries(tmp_path) == {"archives", "data"}
    assert entries(archives) == {PHOTO_ARCHIVE, TEXT_ARCHIVE}


def damaged_archives():
    whole = make_archive(photo_members(1000))
    middle = whole.index(bytes([2]) * 100)
    encrypted = bytearray(whole)
    # The lowest bit of the flags, in the header of each member and in its copy at the end.
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for match in re.finditer(re.escape(header), whole):
            encrypted[match.start() + flags] |= 1
    return {
        "no archive": b"no archive",
        "cut off": whole[: len(whole) // 2],
        "changed inside": whole[:middle] + b"changed" + whole[middle + 7 :],
        "encrypted": bytes(encrypted),
    }


@pytest.mark.parametrize("damage", ["no archive", "cut off", "changed inside", "encrypted"])
def test_a_damaged_archive_is_refused(download, server, tmp_path, damage):
    server.files[PHOTO_ARCHIVE] = damaged_archives()[damage]
    process = download()
    assert_failed(process, tmp_path / "data", PHOTO_ARCHIVE, "damaged", partial=[TEXT_ARCHIVE])


def test_wrong_counts_and_missing_files_are_refused(download, server, tmp_path):
    data, published = tmp_path / "data", dict(server.files)
    photos = {"Flicker8k_Dataset/0.jpg": b"alone"}
    server.files[PHOTO_ARCHIVE] = make_archive(photos)
    process = download()
    assert_failed(process, data, PHOTO_ARCHIVE, "photos (1 entries)", partial=[TEXT_ARCHIVE])
    for name in TEXT_FILES:
        members = text_members()
        del members[name]
        if name == CAPTIONS:
            members[name] = b"0.jpg#0\tThe only caption .\n"
        server.files = {**published, TEXT_ARCHIVE: make_archive(members)}
        process = download()
        assert_failed(process, data, TEXT_ARCHIVE, name, partial=[PHOTO_ARCHIVE])
    server.files = published
    assert_finished(download(), data)


def test_a_full_disk_while_downloading(server, tmp_path):
    data = tmp_path / "data"
    process = run_process(server, tmp_path, limit=SIZE_LIMIT)
    partial = [PHOTO_ARCHIVE, TEXT_ARCHIVE]
    assert_failed(process, data, data, "File too large", "room", partial=partial)
    assert (data / f"{PHOTO_ARCHIVE}.partial").stat().st_size == SIZE_LIMIT
    assert_finished(run_process(server, tmp_path), data)


def test_a_full_disk_while_unpacking(server, tmp_path):
    data = tmp_path / "data"
    members = photo_members(2 * SIZE_LIMIT)
    server.files[PHOTO_ARCHIVE] = make_archive(members, zipfile.ZIP_DEFLATED)
    process = run_process(server, tmp_path, limit=SIZE_LIMIT)
    partial = [PHOTO_ARCHIVE, TEXT_ARCHIVE]
    assert_failed(process, data, data, "File too large", "room", partial=partial)
    assert_finished(run_process(server, tmp_path), data)
    assert server.sent == total_size(server)


def write_archives(server, tmp_path):
    """Writes what the server has to a folder, as a person who fetched it another way."""
    folder = tmp_path / "archives"
    folder.mkdir()
    for name, content in server.files.items():
        (folder / name).write_bytes(content)
    return folder


def test_archives_that_are_there_already(download, server, tmp_path):
    archives = write_archives(server, tmp_path)
    assert_finished(download("--archives", archives), tmp_path / "data")
    assert server.requests == 0
    assert entries(archives) == {PHOTO_ARCHIVE, TEXT_ARCHIVE}


def test_archives_may_lie_in_the_data_folder(download, server, tmp_path):
    archives = write_archives(server, tmp_path).rename(tmp_path / "data")
    assert download("--archives", archives).returncode == 0
    assert entries(archives) == FINISHED | {PHOTO_ARCHIVE, TEXT_ARCHIVE}


def test_one_archive_of_two_is_there_already(download, server, tmp_path):
    archives = write_archives(server, tmp_path)
    (archives / TEXT_ARCHIVE).unlink()
    assert_finished(download("--archives", archives), tmp_path / "data")
    assert server.sent == len(server.files[TEXT_ARCHIVE])


def test_archives_with_a_wrong_digest_are_kept(download, server, tmp_path):
    archives, data = write_archives(server, tmp_path), tmp_path / "data"
    (archives / PHOTO_ARCHIVE).write_bytes(b"another")
    process = download("--archives", archives)
    assert_failed(process, data, archives / PHOTO_ARCHIVE, "MD5", "replace it")
    assert (archives / PHOTO_ARCHIVE).read_bytes() == b"another"
    nowhere = tmp_path / "nowhere"
    assert_failed(download("--archives", nowhere), data, nowhere)
    assert server.requests == 0


@pytest.mark.parametrize("name", [PHOTOS, CAPTIONS])
def test_other_data_is_left_alone(download, server, tmp_path, name):
    own = tmp_path / "data" / (f"{PHOTOS}/mine.jpg" if name == PHOTOS else name)
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert_refused(download(), tmp_path / "data" / name, "--data")
    assert own.read_text() == "mine"
    assert entries(tmp_path / "data") == {name}
    assert server.requests == 0


def test_only_what_is_missing_is_fetched(download, server, tmp_path):
    data = tmp_path / "data"
    download()
    (data / SPLITS["dev"]).write_text("edited.jpg\n")
    (data / "features.pkl").write_text("mine")
    shutil.rmtree(data / PHOTOS)
    (data / PHOTOS).mkdir()
    server.sent = 0
    assert download().returncode == 0
    assert server.sent == len(server.files[PHOTO_ARCHIVE])
    assert (data / SPLITS["dev"]).read_text() == "edited.jpg\n"
    (data / SPLITS["test"]).unlink()
    server.sent = 0
    assert download().returncode == 0
    assert server.sent == len(server.files[TEXT_ARCHIVE])
    assert (data / SPLITS["dev"]).read_text() == "edited.jpg\n"
    assert entries(data) == FINISHED | {"features.pkl"}


def test_what_a_killed_run_leaves_is_cleared_away(download, server, tmp_path):
    data = tmp_path / "data"
    (data / script._UNPACKING / PHOTOS).mkdir(parents=True)
    published = dict(server.files)
    server.files = {}
    assert_failed(download(files=published), data, "404")
    server.files = published
    (data / script._UNPACKING / PHOTOS).mkdir(parents=True)
    (data / f"{PHOTO_ARCHIVE}.partial").write_bytes(published[PHOTO_ARCHIVE])
    assert_finished(download(), data)
    assert server.sent == len(published[TEXT_ARCHIVE])
    # Killed after the last move, before the archive was removed.
    (data / f"{TEXT_ARCHIVE}.partial").write_bytes(published[TEXT_ARCHIVE])
    assert_finished(download(), data)


def test_the_real_captions_have_the_expected_number(flickr8k):
    assert script._count(flickr8k / CAPTIONS) == script._EXPECTED[CAPTIONS]
