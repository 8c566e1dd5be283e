"""The device that a profile was taken on, as the profile names it, and the devices of the catalog."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from flows.ingest.document import format_value, read_document
from flows.ingest.readers.hardware import Device
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError

# The model in a device's name on charts, e.g. H100, MI300X or 4090; user devices may have none.
_MODEL = re.compile(r"[A-Za-z]*[0-9]{2,}[A-Za-z]*")


def read_devices(sources: Sequence[SourceFile]) -> list[Device]:
    """Return the devices of a catalog whose files can be read; a run refuses the others."""
    devices = []
    for source in sources:
        if source.kind == "hardware":
            try:
                devices.append(read_document(source, Device))
            except InputError:
                continue
    return devices


def find_reported_device(
    devices: Sequence[Device], names: Collection[str], capabilities: Collection[str]
) -> str | None:
    """Return the id of the device that a file names, by its name or else by its compute capability; None if unclear.

    Parameters
    ----------
    devices
        Those of the catalog.
    names
        Names that devices report, as the file has them.
    capabilities
        Compute capabilities in the file, e.g. "9.0".
    """
    found = {device.hardware_id for name in names for device in _find_by_name(devices, name)}
    if not names:
        found = {device.hardware_id for device in devices if device.compute_capability in capabilities}
    return found.pop() if len(found) == 1 else None


def refuse_unknown_device(devices: Sequence[Device], hardware_id: str) -> None:
    """Raise `InputError` if a given device is not one of the catalog's."""
    if all(device.hardware_id != hardware_id for device in devices):
        raise InputError(
            f"--hardware-id: {format_value(hardware_id)}: expected a device of the catalog;"
            " `rooflines ingest hardware` adds one"
        )


def refuse_other_device(
    devices: Sequence[Device], hardware_id: str, names: Collection[str], capabilities: Collection[str], path: Path
) -> None:
    """Raise `InputError` if a file says that it was taken on another device than the given one.

    Names are those that the driver reports; a device whose names are not known must share its model with them, e.g.
    H100. A compute capability must be of the device's architecture.
    """
    given = next((device for device in devices if device.hardware_id == hardware_id), None)
    if given is None:
        return
    for name in sorted(names):
        if is_other_name(devices, given, name):
            known = ", ".join(device.hardware_id for device in _find_by_name(devices, name))
            what = f"was taken on {format_value(name)}{f' ({known})' if known else ''}"
            raise InputError(f"{path}: {what}, not on --hardware-id {hardware_id}; --anyway takes it")
    for capability in sorted(capabilities):
        alike = {_name_family(device) for device in devices if device.compute_capability == capability}
        if alike and given.compute_capability and _name_family(given) not in alike:
            what = f"was taken on compute capability {capability} ({', '.join(sorted(alike))})"
            raise InputError(
                f"{path}: {what}, not on --hardware-id {hardware_id} ({given.compute_capability},"
                f" {_name_family(given)}); --anyway takes it"
            )


def is_other_name(devices: Sequence[Device], given: Device, name: str) -> bool:
    """Return whether a reported name is that of another device than the given one."""
    known = _find_by_name(devices, name)
    if known and given.reported_names:
        return given not in known
    model = _MODEL.search(given.short_name)
    return model is not None and model[0].casefold() not in name.casefold()


def _find_by_name(devices: Sequence[Device], name: str) -> list[Device]:
    wanted = name.strip().casefold()
    return [
        device for device in devices if wanted in (each.casefold() for each in (device.name, *device.reported_names))
    ]


def _name_family(device: Device) -> str:
    """Return the architecture without what distinguishes its chips: Blackwell Ultra is Blackwell."""
    return device.architecture.split()[0]
