"""Buckets without a server: what names none, what is lacking, and parts in a folder that stands in for one.

See test_s3 for a real server.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli.app import run_command
from flows.sweep.run import run_sweep
from tests.support.sweeps import SMALL, interrupt_after
from warehouse.errors import InputError
from warehouse.files import bucket
from warehouse.files.bucket import BucketPath
from warehouse.home import Home

OUT = BucketPath("s3://sweeps/team.a/b=1")
IN_BUCKET = replace(SMALL, name="there", out=OUT)


@pytest.fixture
def _stored_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the files of every bucket in a folder."""
    store = pytest.importorskip("obstore.store", reason="the extra s3 is not installed")

    def open_store(url: str) -> object:
        return store.LocalStore(tmp_path / "buckets" / url.removeprefix("s3://"), mkdir=True)

    monkeypatch.setattr(bucket, "_open_store", open_store)


@pytest.mark.usefixtures("_stored_on_disk")
def test_an_interrupted_sweep_in_a_bucket_goes_on(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(home, IN_BUCKET, runner=interrupt_after(3))
    assert len(OUT.list_sizes()) == 3
    (OUT / "there" / "x.partial").write_bytes(b"what a run that was ended has left")
    done = run_sweep(home, IN_BUCKET)
    assert (done.row_count, done.part_count, done.parts_before) == (112, 4, 3)
    assert {Path(path).suffix for path in OUT.list_sizes()} == {".parquet"}


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("s3://sweeps/a*b", "--out: s3://sweeps/a*b: expected s3://bucket/folder"),
        ("s3://", "--out: s3://: expected s3://bucket/folder"),
        ("s3:///x", "expected s3://bucket/folder"),
        ("s3://sweeps/../x", "expected s3://bucket/folder"),
    ],
)
def test_what_is_no_bucket(out: str, expected: str, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--name", "a", "--model", "gpt2", "--batch", "1", "--sequence", "128", "--out", out]
    assert run_command(["sweep", *arguments, "--home", str(home.path)]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1


def test_without_the_extra(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket._open_store.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(InputError, match=r"s3://sweeps/.*: expected the extra s3: pip install 'rooflines\[s3\]'"):
        run_sweep(home, IN_BUCKET)
