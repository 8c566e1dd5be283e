"""Options that several commands share, and how their values are read."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from warehouse.errors import InputError, explain_write_error
from warehouse.files.atomic import write_file
from warehouse.home import Home, refuse_no_path

Flag = Annotated[bool, Parameter(show_default=False)]
Format = Literal["table", "csv", "json", "parquet"]

_FORMATS: dict[str, Format] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options that every command has."""

    home: str | None = None
    "Data directory. Default: $ROOFLINES_HOME, or warehouse/data in a checkout, or the user's data directory."

    debug: Flag = False
    "Show tracebacks and Prefect's log."

    @property
    def place(self) -> Home:
        """The home that the command works on."""
        return Home.at(read_folder("--home", self.home))


def _split_names(_type: Any, tokens: Sequence[Any]) -> list[str]:
    """Return names that are given by repeating an option, separated by commas, or both."""
    return [name.strip() for token in tokens for name in token.value.split(",")]


Names = Annotated[list[str], Parameter(converter=_split_names, consume_multiple=False)]
QueryFile = Annotated[Path, Parameter(allow_leading_hyphen=True)]  # a lone - is standard input


def read_folder(option: str, value: str | None) -> Path | None:
    """Return the folder that an option names, as an absolute path; None if the option is absent."""
    if value is not None and not value.strip():
        raise InputError(f"{option}: empty; expected a folder")
    refuse_no_path(option, value or "")
    return Path(value).expanduser().absolute() if value else None


def choose_format(given: Format | None, out: Path | None) -> Format:
    """Return the format that is given, else the one that the suffix of --out means, else a table."""
    return given or (_FORMATS.get(out.suffix.lower(), "table") if out else "table")


def read_statement(sql: str | None, file: Path | None, option: str = "--file") -> str:
    """Return the SQL that is given on the command line or in a file; - is standard input."""
    if (sql is None) == (file is None):
        raise InputError('query: expected either SQL, such as "select * from mart.roof", or --file FILE')
    if file is None:
        return sql or ""
    refuse_no_path(option, file)
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{option}: {file}: byte {error.start} is not UTF-8; expected a text file") from None
    except OSError as error:
        raise InputError(f"{option}: {file}: {error.strerror or error}; expected a text file") from None


def write_output(path: Path, content: bytes, option: str = "--out") -> None:
    """Write the file that an option names."""
    try:
        write_file(path, content)
    except OSError as error:
        raise explain_write_error(f"{option}: {path}", error, "a file") from None
