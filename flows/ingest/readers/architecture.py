"""Files of architectures into the frame `architecture`: which classes and model types are read, and by which file."""

from collections.abc import Sequence

import polars as pl

from flows.ingest.architectures.file import read_architectures
from flows.ingest.document import list_origins
from flows.ingest.source_file import SourceFile

_SCHEMA = {"architecture_id": pl.String, "class": pl.String, "source_id": pl.String}


def read_architecture_files(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `architecture` (one row per file and class) and `origin`.

    Raises
    ------
    InputError
        Files are broken, or two describe the same class.
    """
    rows = [
        {"architecture_id": each.source.entry_id, "class": word, "source_id": each.source.source_id}
        for each in read_architectures(tuple(sources))
        for word in each.classes
    ]
    return {"architecture": pl.DataFrame(rows, _SCHEMA), "origin": list_origins(sources, "stated in the file")}
