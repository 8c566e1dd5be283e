"""Files of sweeps in buckets of S3 or a compatible store: obstore writes them, DuckDB's httpfs reads them.

Both are in the extra s3. Keys, region and endpoint come from the usual environment variables.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from warehouse.engine.extensions import load_extension
from warehouse.errors import InputError, one_line
from warehouse.sql_values import quote_value

EXTRA = "pip install 'rooflines[s3]'"
_SCHEME = "s3://"
# without characters that are special in a pattern
_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{2,62}(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")
_MOST_RETRIES, _RETRY_FOR = 4, timedelta(seconds=30)
_MESSAGE = re.compile("<Message>(.*?)</Message>")
_REFUSALS = {"PermissionDeniedError", "UnauthenticatedError"}
_FROM_ENVIRONMENT = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token")


@dataclass(frozen=True, order=True)
class BucketPath:
    """A file or folder in a bucket, with the few methods of `Path` that sweeps need."""

    url: str

    @classmethod
    def at(cls, option: str, url: str) -> "BucketPath":
        """Return the folder that an option names.

        Raises
        ------
        InputError
            The address is not one of a folder in a bucket.
        """
        if not _URL.fullmatch(url.rstrip("/")):
            expected = "s3://bucket/folder, of letters, digits, dots, dashes and underscores"
            raise InputError(f"{option}: {url}: expected {expected}")
        return cls(url.rstrip("/"))

    def __truediv__(self, name: str) -> "BucketPath":
        return BucketPath(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def parent(self) -> "BucketPath":
        """The folder that contains it."""
        return BucketPath(self.url.rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.url.rpartition("/")[2]

    def list_sizes(self) -> dict[str, int]:
        """Return the sizes in bytes of the files below, by relative path; empty if there is no such bucket."""
        with _explain_errors(self.url):
            try:
                return {file["path"]: file["size"] for some in _open_store(self.url).list() for file in some}
            except FileNotFoundError:
                return {}

    def rglob(self, pattern: str) -> Iterator["BucketPath"]:
        """Yield the files below whose relative path matches."""
        for path in self.list_sizes():
            if fnmatchcase(path, pattern):
                yield self / path

    def size(self) -> int | None:
        """Return the size of the file in bytes, None if there is no such file. A file that exists is whole."""
        with _explain_errors(self.url):
            try:
                return int(_open_store(self.parent.url).head(self.name)["size"])
            except FileNotFoundError:
                return None

    def is_file(self) -> bool:
        """Whether the file exists."""
        return self.size() is not None

    def write_bytes(self, content: bytes | memoryview) -> None:
        """Write the file whole or not at all."""
        with _explain_errors(self.url):
            _open_store(self.parent.url).put(self.name, content)

    def unlink(self, *, missing_ok: bool = True) -> None:
        """Delete the file if it exists."""
        with _explain_errors(self.url), suppress(FileNotFoundError):
            _open_store(self.parent.url).delete(self.name)


Location = Path | BucketPath


def parse_location(option: str, text: str) -> Location:
    """Return the folder that an option names, on a disk or in a bucket.

    Raises
    ------
    InputError
        The text begins like the address of a bucket but is not one.
    """
    return BucketPath.at(option, text) if is_bucket(text) else Path(text).expanduser().absolute()


def locate_folder(home: Path, folder: str) -> Location:
    """Return the location of a folder that core.sweep names."""
    return BucketPath(folder) if is_bucket(folder) else home / folder


def is_bucket(folder: str) -> bool:
    """Whether a folder is in a bucket."""
    return folder.startswith(_SCHEME)


def enable_buckets(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection use buckets, with the keys of the environment, which its statements cannot read.

    Raises
    ------
    InputError
        DuckDB's extension httpfs is not installed.
    """
    load_extension(connection, "httpfs", "s3")
    for name in _FROM_ENVIRONMENT:
        connection.execute(f"set global {name} = ''")
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
    given = {
        "key_id": os.environ.get("AWS_ACCESS_KEY_ID"),
        "secret": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": os.environ.get("AWS_SESSION_TOKEN"),
        "region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        "endpoint": f"{endpoint.netloc}{endpoint.path}".rstrip("/"),
        "url_style": "path" if endpoint.netloc else None,
        "use_ssl": "false" if endpoint.scheme == "http" else None,
    }
    options = "".join(f", {name} {quote_value(value)}" for name, value in given.items() if value)
    connection.execute(f"create or replace temporary secret rooflines (type s3{options})")


@lru_cache(maxsize=256)
def _open_store(url: str) -> Any:
    try:
        from obstore.store import S3Store  # noqa: PLC0415
    except ImportError:
        raise InputError(f"{url}: expected the extra s3: {EXTRA}") from None
    return S3Store.from_url(
        url,
        client_options={"allow_http": True},
        retry_config={"max_retries": _MOST_RETRIES, "retry_timeout": _RETRY_FOR},
    )


@contextmanager
def _explain_errors(url: str) -> Iterator[None]:
    """Turn errors of a bucket into an `OSError` of one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # obstore has many kinds of errors
        text, _, _ = str(error).partition("Debug source:")
        said = _MESSAGE.search(text)
        refused = isinstance(error, FileNotFoundError) or type(error).__name__ in _REFUSALS
        number = errno.EACCES if refused else errno.EIO
        raise OSError(number, f"{url}: {said[1] if said else one_line(text)}") from None
