"""A snapshot in which all devices but some are changed or gone."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

# the tables with rows of devices that a shipped chart reads, and a number in each
_NUMBERS = {
    "calibration": "overhead_s",
    "ceiling": "value_per_s",
    "measurement": "latency_s",
    "step_calibration": "holdout_mape",
    "step_measurement": "latency_s",
    "hardware": "memory_bytes",
}


def change_other_devices(file: Path, devices: Sequence[str]) -> None:
    """Delete the rows of half of the other devices, and change those of the rest, their names and their files."""
    others = "hardware_id <> '' and not list_contains($devices, hardware_id)"
    changes = [f"delete from core.{table} where {others} and hash(hardware_id) % 2 = 0" for table in _NUMBERS]
    changes += [f"update core.{table} set {column} = 2 * {column} where {others}" for table, column in _NUMBERS.items()]
    changes.append(f"update core.hardware set short_name = 'other ' || short_name where {others}")
    changes.append(
        "update core.source set path = 'other', origin = 'other', ingested_at = '2000-01-01' where kind = 'hardware'"
        " and source_id not in (select source_id from core.hardware where list_contains($devices, hardware_id))"
    )
    with duckdb.connect(str(file)) as connection:
        for change in changes:
            connection.execute(change, {"devices": list(devices)})
        connection.execute("update core.source set sha256 = repeat('0', 64), size_bytes = 0")
