"""The lock of a folder: who gets it, who is told to wait, and what is left."""

import os
import subprocess
import sys

import pytest
from support import ROOT

from captioning.cli import UserError
from captioning.old import LOCK, TEMPORARY_FILE_LIFETIME, locked


def test_a_killed_process_holds_no_lock(tmp_path):
    program = (
        "import os, sys, time; from pathlib import Path; from captioning.old import locked\n"
        "with locked(Path(sys.argv[1]), 'a test'): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        with pytest.raises(UserError, match="another run of a test"), locked(tmp_path, "a test"):
            pass
        process.kill()
    with locked(tmp_path, "a test"):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_folder_that_cannot_be_locked_is_an_ordinary_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError), locked(tmp_path / "file", "a test"):
        pass
    if not os.path.isdir("/sys/kernel"):
        pytest.skip("there is no folder here that even root cannot write to")
    with pytest.raises(PermissionError) as error, locked("/sys/kernel", "a test"):
        pass
    assert error.value.filename == f"/sys/kernel/{LOCK}"


def test_what_killed_runs_left_half_written_is_removed(tmp_path):
    old, young = tmp_path / ".partial-old.pkl", tmp_path / ".partial-young.json"
    for path in (old, young):
        path.write_text("half")
    past = young.stat().st_mtime - TEMPORARY_FILE_LIFETIME - 1
    os.utime(old, (past, past))
    with locked(tmp_path, "a test"):
        assert not old.exists()
        assert young.exists()
