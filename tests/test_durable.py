"""What differs between systems: folders that cannot be opened, and files that are open."""

import os
from pathlib import Path

import pytest

from warehouse.files import atomic


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    atomic.sync_file(tmp_path / "new")
    atomic.replace_file(tmp_path / "new", tmp_path / "old")
    atomic.sync_folder(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write_file(tmp_path / "file", b"one")
    atomic.write_file(Path(os.devnull), b"nowhere")

    def fill(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space"):
        atomic.write_file(tmp_path / "file", b"another")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"one")]


@pytest.mark.parametrize("sync", [False, True])
def test_a_block_that_fails_leaves_the_file_and_nothing_else(sync: bool, tmp_path: Path) -> None:
    file = tmp_path / ("x" * 255)
    with atomic.write_atomically(file, sync=sync) as partial:
        partial.write_text("one")
        assert not file.exists()
        assert list(tmp_path.glob(atomic.PARTIALS)) == [partial]
    with pytest.raises(KeyboardInterrupt), atomic.write_atomically(file, sync=sync) as partial:  # noqa: PT012
        partial.write_text("half of another")
        raise KeyboardInterrupt
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_that_cannot_be_opened_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    atomic.sync_folder(tmp_path)


@pytest.mark.parametrize(("system", "readers_for", "tries"), [("nt", 3, 4), ("posix", 3, 1)])
def test_windows_waits_for_readers(
    system: str, readers_for: int, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    class Opened:
        def replace(self, target: Path) -> None:
            tried.append(target)
            if len(tried) <= readers_for:
                raise PermissionError

    monkeypatch.setattr(atomic, "_RETRY_EVERY_S", 0)
    monkeypatch.setattr(os, "name", system)
    if system == "nt":
        atomic.replace_file(Opened(), tmp_path)  # type: ignore[arg-type]
    else:
        with pytest.raises(PermissionError):
            atomic.replace_file(Opened(), tmp_path)  # type: ignore[arg-type]
    assert len(tried) == tries
