"""Files of the study: found from anywhere in it, written whole or not at all, numbers rounded."""

import errno
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import files


def test_the_root_is_found_from_any_folder_of_the_study(tmp_path, monkeypatch):
    (tmp_path / "study" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"no _config.yml in {tmp_path.resolve()} or above it"):
        files.root()
    (tmp_path / "study" / "_config.yml").touch()
    for folder in ("study", "study/notebooks"):
        monkeypatch.chdir(tmp_path / folder)
        assert files.root() == (tmp_path / "study").resolve()


@pytest.fixture
def umask():
    """Return a function that sets which rights new files do not get, until the test is over."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize(("hidden", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_is_written_with_the_folders_above_it_and_the_rights_that_the_umask_leaves(
    hidden, mode, tmp_path, umask
):
    umask(hidden)
    file = tmp_path / "a" / "b" / "c.txt"
    for content in ("é\n", b"\x00\xff"):
        assert files.write(file, content) == file
        assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert file.stat().st_mode & 0o777 == mode
    assert list(file.parent.iterdir()) == [file]


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*_):
    raise KeyboardInterrupt


class FullDisk(io.FileIO):
    """A stream that takes half of what it is given, as a disk that fills up does."""

    def write(self, content):
        super().write(content[: len(content) // 2])
        no_space()


@pytest.mark.parametrize(
    ("where", "name", "failure", "error"),
    [
        (Path, "open", lambda file, mode: FullDisk(file, mode), OSError),
        (os, "replace", no_space, OSError),
        (os, "replace", interrupt, KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_a_failing_write_leaves_what_was_there(
    where, name, failure, error, existing, tmp_path, monkeypatch
):
    file = tmp_path / "file"
    if existing:
        files.write(file, "before")
    with monkeypatch.context() as patched:
        patched.setattr(where, name, failure)
        with pytest.raises(error) as caught:
            files.write(file, "afterwards")
    if error is OSError:
        assert str(caught.value) == f"[Errno 28] No space left on device: '{file}'"
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"] * existing


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_six_digits_are_kept(value):
    (kept,) = files.rounded([value])
    assert kept == pytest.approx(value, rel=5.1e-6, abs=1e-300)
    assert files.rounded(kept) == kept
    assert len(f"{kept!r}".split("e")[0].strip("-0").replace(".", "").strip("0")) <= 6


def test_rounding_goes_to_any_depth_and_leaves_all_but_floats_alone():
    value = {"a": [1, 2.0000001, (True, None, "x")], "b": {"c": 1234567, "d": [[1 / 3], -2e-7 / 3]}}
    rounded = files.rounded(value, 4)
    expected = {"a": [1, 2.0, [True, None, "x"]], "b": {"c": 1234567, "d": [[0.3333], -6.667e-08]}}
    assert rounded == expected
    assert rounded["a"][2][0] is True


def test_the_numbers_of_a_chapter_are_published_sorted_and_rounded(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    file = files.publish("01_toy", {"b": 1 / 3, "a": "text"})
    assert file == tmp_path.resolve() / "book" / "numbers" / "01_toy.json"
    assert list(json.loads(file.read_text()).items()) == [("a", "text"), ("b", 0.333333)]
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.publish("01_toy", {"b": float("nan")})
