"""Names and units of the metrics of Nsight Compute that are read.

A metric is a counter and a form: `dram__bytes.sum.per_second` is the counter `dram__bytes`, summed over its units, by
second. Names of counters differ by chip, so they are read by their grammar:

- `sm__sass_thread_inst_executed_op_OP_pred_on`, `smsp__…`: instructions of threads;
- `sm__ops_path_tensor_op_OP_src_FORMAT_dst_FORMAT_sparsity_off`: operations of tensor cores. Any part but the source
  may be missing; such a counter is the sum over what the part could be. OP is the family of instructions: hmma, imma,
  dmma; hgmma, igmma, qgmma … of Hopper; utchmma, utcqmma, utcomma, utcimma … of Blackwell;
- `sm__inst_executed_pipe_tensor…`, `sm__pipe_tensor…`: that tensor cores are busy, but not how many operations they do.
  FP16 instructions of threads (`hfma2`) run there too, among them those by which compilers set registers.
"""

import re
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from flows.ingest.document import format_value

# The second expression leaves out counters that end in `_realtime`.
COLLECT = (
    "ncu --csv --page raw --metrics 'gpu__time_duration.sum,dram__bytes.sum,lts__t_bytes.sum,l1tex__t_bytes.sum,"
    "device__attribute_display_name,"
    "regex:^sm__sass_thread_inst_executed_op_[dfh](add|mul|fma)2?_pred_on[.]sum$,"
    "regex:^sm__ops_path_tensor_src_.*[^e][.]sum$,sm__inst_executed_pipe_tensor.sum'"
)

DEVICE = "device__attribute_display_name"
TIME = (  # the last is the label on the details page
    *(f"gpu__time_duration{form}" for form in (".sum", ".avg", ".max", "")), "Duration",
)  # fmt: skip
CYCLES = {f"{unit}__cycles_elapsed.avg": f"{unit}__cycles_elapsed.avg.per_second" for unit in ("sm", "smsp")}
# level -> counters of its bytes, the best first
LEVELS: Mapping[str, tuple[str, ...]] = {
    "dram": ("dram__bytes",),
    "l2": ("lts__t_bytes", "derived__lts__lts2xbar_bytes"),
    "l1": (
        "l1tex__t_bytes",
        "derived__l1tex__lsu_writeback_bytes_mem_lgds",
        "derived__l1tex__lsu_writeback_bytes_mem_lg",
    ),
}
# counters of bytes read and written; Blackwell has others
READ_AND_WRITTEN = (("dram__bytes_read", "dram__bytes_write"), ("dram__bytes_op_read", "dram__bytes_op_write"))
INTEGER = "sm__sass_thread_inst_executed_op_integer_pred_on"
# dtype -> thread instruction -> its FLOP
THREAD: Mapping[str, Mapping[str, int]] = {
    "fp64": {"dadd": 1, "dmul": 1, "dfma": 2},
    "fp32": {"fadd": 1, "fmul": 1, "ffma": 2, "fadd2": 2, "fmul2": 2, "ffma2": 4},
    "fp16": {"hadd": 2, "hmul": 2, "hfma": 4},
}
# What a unit does in a cycle. Times its clock, that is a ceiling. L1 has none: `derived__l1tex__lsu_writeback_bytes` is
# what the load-store unit alone returns, not what TMA and asynchronous copies move.
PEAK = ".sum.peak_sustained"
CLOCKS = {unit: f"{unit}__cycles_elapsed.avg.per_second" for unit in ("sm", "lts", "dram")}
# level -> the counter of its bytes, and the unit whose clock counts the cycles
PEAK_BYTES: Mapping[str, tuple[str, str]] = {
    "dram": ("dram__bytes", "dram"),
    "l2": ("derived__lts__lts2xbar_bytes", "lts"),
}
# dtype -> the thread instruction that does the most, and its FLOP
PEAK_INSTRUCTIONS = {
    dtype: (f"sm__sass_thread_inst_executed_op_{op}_pred_on", THREAD[dtype][op])
    for dtype, op in {"fp64": "dfma", "fp32": "ffma", "fp16": "hfma"}.items()
}
# formats of factors, the widest first: the dtype of a counter that covers several
FORMATS = ("fp64", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8", "int4")
DTYPES = tuple(dict.fromkeys((*FORMATS, *THREAD)))
# compute capability -> formats that some counters of all instructions cover, if a file has all those of the device
_ALL_FORMATS: Mapping[str, Set[str]] = {
    "7.0": {"fp16"},
    "7.5": {"fp16", "int8"},
    "8.0": {"fp16", "int8", "bf16", "tf32"},
    "8.9": {"fp16", "int8", "bf16", "tf32", "fp8"},
    "10.0": {"fp16", "int8", "bf16", "tf32", "fp8", "fp4"},
}
GENERATIONS = tuple(_ALL_FORMATS)  # compute capabilities, each the first with its formats
WARP_LEVEL = ("hmma", "imma", "dmma", "bmma")  # instructions whose factors come from registers, not by TMA
_ONLY_FP16 = ("fp16", "bf16", "tf32")  # one counter on Turing, whose tensor cores have none of the others

FORMS = (".sum", ".sum.per_second", ".sum.per_cycle_elapsed")

_THREAD = re.compile(r"smsp__sass_thread_inst_executed_op_[a-z0-9]+_pred_on|" + INTEGER.replace("integer", "[a-z0-9]+"))
_TENSOR = re.compile(
    r"sm__ops_path_tensor(?:_op_(?P<op>[a-z0-9]+))?_src_(?P<source>[a-z0-9]+(?:_(?!dst_|sparsity_|realtime)[a-z0-9]+)*)"
    r"(?:_dst_(?P<result>[a-z0-9]+))?(?:_sparsity_(?P<sparsity>on|off))?"
)
_BUSY = re.compile(
    r"(?:sm|smsp)__(?:inst_executed_pipe_tensor|pipe_tensor)\w*[.](?:sum|avg|max)"
    r"(?:[.](?:per_second|per_cycle_\w+|pct_of_peak_sustained_\w+))?"
)
_INSTRUCTIONS = re.compile(r"(?:sm|smsp)__inst_executed_pipe_tensor(?:_op_[hid]mma)?")
_NAMED = {
    DEVICE, *TIME, *CYCLES, *CYCLES.values(), *CLOCKS.values(),
    *(name + form for names in (*LEVELS.values(), *READ_AND_WRITTEN) for name in names for form in FORMS),
}  # fmt: skip

_PEAKED = {name for name, _ in (*PEAK_BYTES.values(), *PEAK_INSTRUCTIONS.values())}

_LARGE = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SMALL = {"": 1.0, "m": 1e-3, "u": 1e-6, "\N{MICRO SIGN}": 1e-6, "n": 1e-9}
_SCALES = {
    "time": {prefix + unit: scale for prefix, scale in _SMALL.items() for unit in ("s", "second")},
    "bytes": {prefix + unit: scale for prefix, scale in _LARGE.items() for unit in ("byte", "B")},
    "count": {prefix + unit: scale for prefix, scale in _LARGE.items() for unit in ("", "inst", "cycle")} | {"1": 1.0},
}
_EXAMPLES = {"time": "ns, usecond", "bytes": "byte, Mbyte, Gbyte/s", "count": "inst, inst/cycle, Ghz, cycle/nsecond"}


class TensorCounter(NamedTuple):
    """What a counter of tensor cores covers; empty parts are all that the part can be."""

    name: str
    op: str
    source: tuple[str, ...]
    result: str
    sparsity: str


def split_form(metric: str) -> tuple[str, str]:
    """Return the counter and the form of a metric."""
    counter, dot, form = metric.partition(".")
    return counter, dot + form


def is_used(metric: str) -> bool:
    """Return whether a metric is read."""
    counter, form = split_form(metric)
    return (
        metric in _NAMED
        or is_busy(metric)
        or is_peak(metric)
        or (form in FORMS and bool(_THREAD.fullmatch(counter) or _TENSOR.fullmatch(counter)))
    )


def is_peak(metric: str) -> bool:
    """Return whether a metric is read that says what a unit does in a cycle, at best."""
    counter = metric.removesuffix(PEAK)
    return counter != metric and (counter in _PEAKED or bool(_TENSOR.fullmatch(counter)))


def is_busy(metric: str) -> bool:
    """Return whether a metric is more than 0 if something runs on tensor cores."""
    return bool(_BUSY.fullmatch(metric))


def is_of_threads(metric: str) -> bool:
    """Return whether a metric that says so counts FP16 instructions of threads alone."""
    return "hfma2" in metric


def is_instruction_count(counter: str) -> bool:
    """Return whether a counter counts instructions of tensor cores, of any kind or of one."""
    return bool(_INSTRUCTIONS.fullmatch(counter))


def parse_tensor_counter(counter: str) -> TensorCounter | None:
    """Return what a counter of tensor cores covers; None if it is another counter."""
    found = _TENSOR.fullmatch(counter)
    if not found:
        return None
    parts = {name: value or "" for name, value in found.groupdict().items()}
    return TensorCounter(counter, parts["op"], tuple(parts["source"].split("_")), parts["result"], parts["sparsity"])


def covers_everything(found: Iterable[TensorCounter], since: str) -> bool:
    """Return whether counters cover all that tensor cores do, on devices since a compute capability."""
    formats = {name for each in found if not each.op for name in each.source}
    return _ALL_FORMATS[since] <= formats


def find_dtype(source: tuple[str, ...]) -> str | None:
    """Return the dtype of a counter's factors, the widest of several; None if one is not known."""
    if not set(source) <= set(FORMATS):
        return None
    return "fp16" if source == _ONLY_FP16 else min(source, key=FORMATS.index)


def find_scale(metric: str, unit: str) -> float:
    """Return the factor that converts a metric to seconds, bytes or counts, or to a rate per second or cycle.

    Raises
    ------
    ValueError
        It has another unit; the message says what was expected.
    """
    if is_busy(metric):
        return 1.0  # only whether it is 0 matters
    what = "time" if metric in TIME else "bytes" if "bytes" in metric else "count"
    scales = _SCALES[what]
    if what == "bytes" and metric.startswith("derived__"):
        scales = scales | {"": 1.0}  # the sections of 2025.3 state no unit
    amount, per, divisor = re.sub("[hH]z$", "cycle/s", unit.strip()).partition("/")
    divisors = {"": 1.0}
    if per and metric.endswith(".per_second"):
        divisors = _SCALES["time"]
    elif per and metric.endswith((".per_cycle_elapsed", PEAK)):
        divisors = {"cycle": 1.0}
    if amount not in scales or divisor not in divisors:
        raise ValueError(f"{metric}: unit {format_value(unit)}: expected a unit, e.g. {_EXAMPLES[what]}")
    return scales[amount] / divisors[divisor]


def is_whole(metric: str, unit: str) -> bool:
    """Return whether a metric in this unit has no fractions: bytes and instructions of a launch."""
    counter, form = split_form(metric)
    is_count = "bytes" in counter or "_inst_executed" in counter or "_ops_path_" in counter
    return is_count and form == ".sum" and unit.strip() in ("byte", "B", "inst", "")
