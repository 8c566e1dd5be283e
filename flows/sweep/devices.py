"""Devices that a sweep makes up: each like one of the catalog, but for the values that are given."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from math import prod

from warehouse.errors import InputError
from warehouse.names import choose_names
from warehouse.sweeps.registry import MadeUpDevice

MOST_DEVICES = 1_000  # of a sweep; each is as many rows of mart.sweep_step as the sweep has settings

# option -> its unit, the least value and the largest, which are those of device files
_LIMITS = {
    "--bandwidth": ("bytes/s", 1e8, 1e14),
    "--link": ("bytes/s", 1e8, 1e14),
    "--memory": ("bytes", 1e8, 1e13),
    "--peak": ("FLOP/s", 1e8, 5e16),
}

_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE]\+?[0-9]{1,2})?"
_RANGE = re.compile(rf"(?P<first>{_NUMBER})(?::(?P<last>{_NUMBER}):(?P<times>x?)(?P<step>{_NUMBER}))?")


@dataclass(frozen=True)
class DeviceRequest:
    """The made-up devices of a sweep, in the words of the command."""

    like: str
    bandwidth: str | None = None
    memory: str | None = None
    link: str | None = None
    peaks: Sequence[str] = ()


@dataclass(frozen=True)
class KnownDevices:
    """What the catalog says about devices: rows of core.hardware, core.ceiling and core.runnable_precision."""

    names: Sequence[str]
    dtypes: Mapping[str, Collection[str]]  # with a peak, by device
    linked: Collection[str]  # devices with an interconnect
    runnable: Mapping[str, Collection[str]]  # precisions by device


def make_devices(
    request: DeviceRequest, known: KnownDevices, precisions: Mapping[str, Collection[str]], *, is_shared: bool
) -> list[MadeUpDevice]:
    """Return the grid of devices that a request spans: every combination of its values.

    Parameters
    ----------
    request
        The values, as ranges.
    known
        The devices of the catalog.
    precisions
        Precisions of the sweep, with the dtypes that each computes in.
    is_shared
        Whether devices share a model anywhere in the sweep.

    Raises
    ------
    InputError
        The device is unknown or lacks what is varied, a range is not valid, or there are too many devices.
    """
    like, *further = choose_names("--device-like", [request.like], known.names)
    if further:
        raise InputError(f"--device-like: {request.like}: expected one device")
    has_peaks = known.dtypes.get(like, ())
    peaks = _parse_peaks(request.peaks, like, has_peaks, {dtype for of in precisions.values() for dtype in of})
    for precision_id in precisions:
        if precision_id not in known.runnable.get(like, ()):
            raise InputError(
                f"--precision: {precision_id}: {like} has no peak of a dtype that it computes in; expected one of"
                f" {', '.join(sorted(known.runnable.get(like, ())))}"
            )
    if request.link is not None and like not in known.linked:
        raise InputError(f"--link: {request.link}: {like} has no interconnect; expected a device that has one")
    if request.link is not None and not is_shared:
        raise InputError(f"--link: {request.link}: nothing is shared; expected more than 1 device, e.g. of a layer")
    asked = (("--bandwidth", request.bandwidth), ("--memory", request.memory), ("--link", request.link))
    axes = [[None] if text is None else parse_values(option, text) for option, text in asked]
    count = prod(map(len, [*axes, *peaks.values()]))
    if count > MOST_DEVICES:
        raise InputError(f"--device-like: {like}: {count:,} devices; expected at most {MOST_DEVICES:,}: shorter ranges")
    return [
        MadeUpDevice(like, bandwidth, memory, link, dict(zip(peaks, of_dtypes, strict=True)))
        for bandwidth, memory, link in product(*axes)
        for of_dtypes in product(*peaks.values())
    ]


def _parse_peaks(
    texts: Sequence[str], like: str, known: Collection[str], used: Collection[str]
) -> dict[str, list[float]]:
    """Return the peaks of each dtype that is varied."""
    peaks: dict[str, list[float]] = {}
    for text in texts:
        dtype, sign, values = (part.strip() for part in text.partition("="))
        if not sign:
            raise InputError(f"--peak: {text}: expected a dtype and its FLOP/s, e.g. fp8=2e15:8e15:x2")
        if dtype not in known:
            raise InputError(f"--peak: {dtype}: {like} has no such peak; expected one of {', '.join(sorted(known))}")
        if dtype in peaks:
            raise InputError(f"--peak: {dtype}: given twice; expected each dtype once")
        if dtype not in used:
            raise InputError(
                f"--peak: {dtype}: no precision of the sweep computes in it; expected one of {', '.join(sorted(used))}"
            )
        peaks[dtype] = parse_values("--peak", values)
    return peaks


def parse_values(option: str, text: str) -> list[float]:
    """Return the values in a range, sorted and without duplicates.

    Parameters
    ----------
    option
        The option, e.g. --bandwidth.
    text
        Numbers and ranges separated by commas: 4e12,8e12 or 4e12:12e12:1e12 (steps) or 2e15:8e15:x2 (factors).

    Raises
    ------
    InputError
        The text is not a range, a value is out of bounds, or there are too many.
    """
    unit, least, most = _LIMITS[option]
    expected = f"{unit} from {least:g} to {most:g}, e.g. 4e12,8e12 or 4e12:12e12:1e12 (steps) or 2e12:8e12:x2 (times 2)"
    found: set[Decimal] = set()
    for piece in map(str.strip, text.split(",")):
        match = _RANGE.fullmatch(piece)
        if not match:
            raise InputError(f"{option}: {text or 'empty'}: expected {expected}")
        first, last, step = (Decimal(match[name] or match["first"]) for name in ("first", "last", "step"))
        is_range, times = match["last"] is not None, match["times"] == "x"
        if is_range and (first > last or step <= int(times)):
            raise InputError(f"{option}: {piece}: expected {expected}, the smaller number first")
        if not Decimal(least) <= first <= last <= Decimal(most):
            raise InputError(f"{option}: {piece}: expected {expected}")
        for value in _steps(first, last, step, times=times) if is_range else [first]:
            found.add(value)
            if len(found) > MOST_DEVICES:
                raise InputError(f"{option}: {piece}: expected at most {MOST_DEVICES:,} numbers")
    return sorted(map(float, found))


def _steps(first: Decimal, last: Decimal, step: Decimal, *, times: bool) -> Iterator[Decimal]:
    while first <= last:
        yield first
        following = first * step if times else first + step
        if following == first:  # below what a decimal can tell apart
            return
        first = following
