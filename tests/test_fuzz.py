"""Hostile files: whatever stands in one, its reader returns, or refuses it in one line that names it."""

import gzip
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.cli.options import read_statement
from flows.ingest.catalog import SHIPPED
from flows.ingest.kinds import INGESTED_KINDS, PROFILE_KINDS, read_kind, recognize_kind
from flows.ingest.user_catalog import add_files
from tests.support.files import ROOT
from tests.support.inputs import (
    ATTENTION,
    CONFIG,
    DEVICE,
    EXCHANGE,
    KERNELS,
    LATENT,
    MIXTURE,
    MLP,
    PRODUCT,
    TABLE,
    WORKLOAD,
    make_profile,
    make_source,
)
from tests.support.other_tools import ADVISOR, ERT, GEMMS, LIKWID, NCCL, PMC
from tests.support.tiers import keep_fast
from warehouse.errors import InputError, RunError
from warehouse.home import Home

MANY_EXAMPLES = int(os.environ.get("ROOFLINES_FUZZ_EXAMPLES", "30"))  # of each reader
few = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=MANY_EXAMPLES)
LONGEST_S = 5.0  # of the processor, for a file of some kilobytes or a bomb
MOST_BYTES = 500e6  # that reading a bomb takes beside what the program takes anyway
MEASUREMENT = """\
hardware_id,op,op_group,kind,m,k,n,dtype,flops,bytes,latency_s,method,measured_at
mine,gemm,products,linear,16,32,64,fp16,65536,7168,1e-5,by hand,2026-01-31T12:00:00Z
mine,copy,products,copy,,,,fp16,0,1e8,1e-3,by hand,
"""
STEPS = """\
hardware_id,model_id,precision_id,phase,batch_size,sequence_length,launch,fusion,latency_s,method,measured_at
a40,llama-3-8b,fp16,decode,8,1024,graph,none,1e-2,by hand,2026-01-31T12:00:00Z
"""
NSIGHT = """\
==PROF== Connected
"ID","Process ID","Kernel Name","Block Size","Grid Size","CC","Metric Name","Metric Unit","Metric Value"
"0","7","void gemm<float>(int)","(256, 1, 1)","(9, 1, 1)","8.0","gpu__time_duration.sum","usecond","12.5"
"0","7","void gemm<float>(int)","(256, 1, 1)","(9, 1, 1)","8.0","dram__bytes.sum","Mbyte","1,024.5"
"0","7","void gemm<float>(int)","(256, 1, 1)","(9, 1, 1)","8.0","smsp__sass_thread_inst_executed_op_ffma_pred_on.sum","","9"
"""  # noqa: E501
RAW_NSIGHT = """\
"ID","Process ID","Kernel Name","Block Size","Grid Size","CC","gpu__time_duration.sum","dram__bytes.sum.per_second",\
"smsp__sass_thread_inst_executed_op_hfma_pred_on.sum"
"","","","","","","ns","Gbyte/s","inst"
"0","7","gemm","(256, 1, 1)","(9, 1, 1)","9.0","1,250","700.5","4096"
"""
TRACE = {
    "schemaVersion": 1,
    "deviceProperties": [{"name": "NVIDIA H100 80GB HBM3"}],
    "traceEvents": [
        {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 2, "ts": 10.5, "dur": 9, "args": {
            "External id": 1, "Input Dims": [[4, 8], [8, 16]], "Input type": ["c10::Half", "c10::Half"]}},
        {"ph": "X", "cat": "cpu_op", "name": "aten::_scaled_dot_product_flash_attention", "ts": 30, "dur": 9, "args": {
            "External id": 2, "Input Dims": [[1, 4, 8, 16], [1, 4, 8, 16], [1, 4, 8, 16], [], []],
            "Input type": ["float"], "Concrete Inputs": ["", "", "", "0.", "True"]}},
        {"ph": "X", "cat": "kernel", "name": "gemm_tf32", "ts": 12, "dur": 7.25, "args": {"External id": 1}},
        {"ph": "X", "cat": "kernel", "name": "flash", "ts": 32, "dur": 7, "args": {"External id": 2}},
    ],
}  # fmt: skip


CHUNKS = make_profile(
    "n_q_head,n_kv_head,n_embd,batch_size,prefill_chunk_size,kv_cache_size,num_tensor_parallel_workers,is_prefill",
    "attn_prefill attn_decode",
    "32,8,4096,4,64,128,1,True",
)
PRECISION = """\
[[precision]]
precision_id = "w4a16-kv8"
weight_bits = 4
activation_bits = 16
kv_bits = 8
compute_dtype = "fp16"
origin = "me"
"""
ELEMENTWISE = """\
[[elementwise]]
kind = "softmax"
flops_per_element = 5
reads_per_element = 1
writes_per_element = 1.5
origin = "me"
"""
CALIBRATION = """\
[[calibration]]
hardware_id = "mine"
op_kind = "linear"
dtype = "fp16"
compute_efficiency = 0.8
bandwidth_efficiency = 0.9
overhead_s = 5e-6
blend = 2.5
tile_limit = 1
n_points = 100
fit_mape = 0.05
origin = "a fit"
"""
GALLERY = """\
[[chart]]
name = "mine-{model_id}"
template = "house"
model_id = ["llama-3-8b", "llama-13b"]
hardware_id = "a40"
precision_id = "bf16"
convention = "engine"
batch_size = 8
sequence_length = 1024

[[chart]]
name = "kernels"
template = "house"
precision_id = "bf16"
sql = "select 1"
"""


TRACE_OPS = b"""
[[op]]
names = ["mine::gemm", "mine::*"]
formula = "product"
left = 1
right = 2
n_from = [2, -1]
origin = "me"
[[op]]
names = ["mine::attend"]
formula = "attention"
causal = [3]
causal_values = ["1"]
origin = "me"
"""


def to_parquet(rows: Any) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(rows).write_parquet(file)
    return file.getvalue()


@dataclass(frozen=True)
class Reader:
    """A kind of file, the entrance that it comes in by, and a small one that is good."""

    kind: str
    name: str
    seed: bytes

    def read(self, path: Path, home: Home) -> None:
        """Read a file as a command would."""
        if self.kind == "statement":
            read_statement(None, path)
        elif self.kind in INGESTED_KINDS:
            device = "a40" if self.kind in PROFILE_KINDS and self.kind != "aiconfigurator" else None
            shipped = home.path.parent / "shipped"
            add_files(home, self.kind, [str(path)], replace=True, hardware_id=device, anyway=True, shipped=shipped)
        else:
            for frame in read_kind(self.kind, [make_source(path, self.kind)]).values():
                frame.collect()


def to_bytes(content: object) -> bytes:
    return (content if isinstance(content, str) else json.dumps(content)).encode()


OPS: list[dict[str, Any]] = [
    {"op": "a", "group": "g", "m": 1, "k": 2, "n": 3},
    {"op": "b", "flops": 1e9, "bytes": 2.5, "precision": "fp16"},
]
READERS = {
    "hardware": Reader("hardware", "mine.toml", to_bytes(DEVICE)),
    "devices": Reader("hardware", "mine.csv", to_bytes(TABLE)),
    "model": Reader("model", "mine.json", to_bytes(CONFIG)),
    "workload": Reader("workload", "mine.toml", to_bytes(WORKLOAD)),
    "ops.csv": Reader("ops", "mine.csv", to_bytes(KERNELS)),
    "ops.json": Reader("ops", "mine.json", to_bytes(OPS)),
    "ops.parquet": Reader("ops", "mine.parquet", to_parquet(pl.read_csv(to_bytes(KERNELS)))),
    "measurement.csv": Reader("measurement", "mine.csv", to_bytes(MEASUREMENT)),
    "measurement.parquet": Reader("measurement", "mine.parquet", to_parquet(pl.read_csv(to_bytes(MEASUREMENT)))),
    "measurement.own": Reader("measurement", "own.csv", b"hardware_id,m,k,n,dtype,time_us\na40,64,64,64,half,1.5\n"),
    "step": Reader("step", "mine.csv", to_bytes(STEPS)),
    "vidur.mlp": Reader("vidur", "mlp.csv", MLP),
    "vidur.attention": Reader("vidur", "attention.csv", CHUNKS),
    "aiconfigurator.gemm": Reader("aiconfigurator", "gemm_perf.parquet", to_parquet([PRODUCT] * 2)),
    "aiconfigurator.attention": Reader("aiconfigurator", "context_attention_perf.parquet", to_parquet([ATTENTION] * 2)),
    "aiconfigurator.mla": Reader("aiconfigurator", "context_mla_perf.parquet", to_parquet([LATENT] * 2)),
    "aiconfigurator.moe": Reader("aiconfigurator", "moe_perf.parquet", to_parquet([MIXTURE] * 2)),
    "aiconfigurator.exchange": Reader("aiconfigurator", "nccl_perf.parquet", to_parquet([EXCHANGE] * 2)),
    "nsight": Reader("nsight", "mine.csv", to_bytes(NSIGHT)),
    "nsight.raw": Reader("nsight", "raw.csv", to_bytes(RAW_NSIGHT)),
    "torch-profiler": Reader("torch-profiler", "mine.json", to_bytes(TRACE)),
    "likwid": Reader("likwid", "mem_dp.csv", to_bytes(LIKWID)),
    "advisor": Reader("advisor", "survey.csv", to_bytes(ADVISOR)),
    "ert": Reader("ert", "ert.sum", to_bytes(ERT.replace("7818", "500"))),
    "nccl-tests": Reader("nccl-tests", "nccl.txt", to_bytes(NCCL)),
    "rocprof-compute": Reader("rocprof-compute", "pmc_perf.csv", to_bytes(PMC)),
    "rocprof-compute.ceilings": Reader(
        "rocprof-compute", "roofline.csv", b"device,HBMBw,L2Bw,MFMAF16Flops\n0,600,1500.5,N/A\n"
    ),
    "tracelens": Reader("tracelens", "GEMM.csv", to_bytes(GEMMS)),
    "torch-profiler.gz": Reader("torch-profiler", "mine.json.gz", gzip.compress(to_bytes(TRACE), mtime=0)),
    "precision": Reader("precision", "precisions.toml", to_bytes(PRECISION)),
    "elementwise": Reader("elementwise", "elementwise.toml", to_bytes(ELEMENTWISE)),
    "trace_ops": Reader("trace_ops", "trace_ops.toml", TRACE_OPS),
    "calibration": Reader("calibration", "calibrations.toml", to_bytes(CALIBRATION)),
    "gallery": Reader("gallery", "gallery.toml", to_bytes(GALLERY)),
    "statement": Reader("statement", "mine.sql", b"select 1"),
}


NUMBERS = [
    "1e400", "-1e400", "nan", "inf", "-inf", "Infinity", "-0", "0", "-1", "1.5", str(2**31), str(2**53 + 1),
    str(2**63), str(2**70), "9" * 400, "9" * 5000, f"0.{'0' * 400}1", "1e-320", "1_000", "0x10", "1,5", "٣",
]  # fmt: skip
VALUES = [
    *NUMBERS, "null", "true", "[]", "{}", "[[]]", '""', '"\\u0000"', '"\\ud800"', '"\\n"', '"\x1b[2J"', "2026-01-31",
    f'"{"x" * 3000}"', '[1, "a", null, {"b": []}]', "[" * 2000, '{"a":' * 2000, "{a=" * 2000, '"../../x"', '"""',
    "a." * 300, '"a\x85b\u2028c"',
]  # fmt: skip
PIECES = [
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xff", b"\r", b"\n", b'"', b",", b";", b"\t", b"[", b"{", b"}", b"]", b"#",
    b"\\", b"=", b".", b"*", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\x80\x04\x95", b"PAR1", b"(\xb5/\xfd", b"\x1b[2J",
]  # fmt: skip
TOKEN = re.compile(rb'"[^"\n]{0,80}"|[-+]?\d[\d.e+-]*|\w+')
CODES = ["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig"]

Change = Callable[[bytes, int, int], bytes]
Changes = list[tuple[Change, float, float]]


def cut(content: bytes, at: int, end: int) -> bytes:
    return content[:at] + content[end:]


def end_early(content: bytes, at: int, _: int) -> bytes:
    return content[:at]


def flip(content: bytes, at: int, end: int) -> bytes:
    return content[:at] + bytes(255 - byte for byte in content[at : at + 1 + end % 3]) + content[at + 1 + end % 3 :]


def repeat(content: bytes, at: int, end: int) -> bytes:
    return content[:at] + content[at:end] * (2 + at % 20) + content[end:]


def insert(content: bytes, at: int, end: int) -> bytes:
    return content[:at] + PIECES[end % len(PIECES)] + content[at:]


def put_value(content: bytes, at: int, end: int) -> bytes:
    """Put another value, or one that stands elsewhere, in the place of one."""
    found = list(TOKEN.finditer(content))
    if not found:
        return content
    there, values = found[at % len(found)], [*map(str.encode, VALUES), *(token[0] for token in found[:9])]
    return content[: there.start()] + values[end % len(values)] + content[there.end() :]


def put_delimiter(content: bytes, at: int, end: int) -> bytes:
    return content.replace([b",", b"\n"][at % 2], [b";", b"\t", b"|", b"\r\n", b"\r", b":", b"="][end % 7])


def encode(content: bytes, at: int, _: int) -> bytes:
    return content.decode("latin-1").encode(CODES[at % len(CODES)], "replace")


def put_line(content: bytes, at: int, end: int) -> bytes:
    """Let a line stand where it does not belong, or not where it does."""
    lines = content.split(b"\n")
    line = lines[at % len(lines)] if end % 3 else lines.pop(at % len(lines))
    place = end % (len(lines) + 1)
    return b"\n".join([*lines[:place], *[line] * (end % 3), *lines[place:]])


CHANGES = (cut, end_early, flip, repeat, insert, put_value, put_value, put_delimiter, encode, put_line)
changes = st.lists(st.tuples(st.sampled_from(CHANGES), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home over a small shipped catalog, so that files are checked against it in milliseconds."""
    folder = tmp_path_factory.mktemp("fuzz")
    names = [
        "hardware/a40.toml",
        "hardware/h100-sxm.toml",
        "architectures/llama.toml",
        "models/llama-3-8b.json",
        "workloads/decode-batches.toml",
    ]
    for name in ["precisions.toml", "elementwise.toml", *names]:
        (folder / "shipped" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / name, folder / "shipped" / name)
    (folder / "home").mkdir()
    (folder / "given").mkdir()
    return Home(folder / "home")


@contextmanager
def expect_silence() -> Iterator[None]:
    """Fail where anything is written to the process's standard error, as polars does where it panics."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        assert file.read() == b""


def read_and_judge(reader: Reader, content: bytes, home: Home) -> str | None:
    """Read a file of this content; return what it is refused with, and fail where the rule does not hold."""
    path = home.path.parent / "given" / reader.name
    path.write_bytes(content)
    shutil.rmtree(home.catalog, ignore_errors=True)
    if reader.kind == "measurement":
        (home.catalog / "hardware").mkdir(parents=True)
        (home.catalog / "hardware" / "mine.toml").write_text(DEVICE)
    said: list[str | None] = []
    started = time.process_time()
    for read in (lambda: reader.read(path, home), lambda: recognize_kind(path)):
        try:
            with expect_silence():
                read()
            said.append(None)
        except (InputError, RunError) as error:
            said.append(str(error))
    assert time.process_time() - started < LONGEST_S
    for message in filter(None, said):
        assert path.name in message
        assert len(message.splitlines()) == 1
        assert message.isprintable()
        assert len(message) < 2000
    return said[0]


@pytest.mark.parametrize("name", READERS)
def test_the_seeds_are_good(name: str, small: Home) -> None:
    assert read_and_judge(READERS[name], READERS[name].seed, small) is None


@pytest.mark.parametrize("name", READERS)
@few
@given(changes=changes)
def test_no_file_ends_in_a_traceback(name: str, changes: Changes, small: Home) -> None:
    change_and_read(name, changes, small)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@many
@given(changes=changes)
def test_none_of_many_files_ends_in_a_traceback(name: str, changes: Changes, small: Home) -> None:
    change_and_read(name, changes, small)


def change_and_read(name: str, changes: Changes, small: Home) -> None:
    """Read a good file after a few changes."""
    content = READERS[name].seed
    for change, one, other in changes:
        at, end = sorted((int(one * len(content)), int(other * len(content))))
        content = change(content, at, end)[:100_000]
    read_and_judge(READERS[name], content, small)


def break_parquet(seed: bytes) -> bytes:
    """Let the footer say that columns lie beyond the file: the rows of the middle are gone."""
    return seed[:4] + seed[len(seed) // 2 :]


# what was found by hand and by long runs, each once a traceback, a panic, a hang, several lines or gigabytes
FOUND: dict[str, tuple[str, bytes]] = {
    "a key with a line break": ("precision", b'[[precision]]\n"a\\nb" = 1\n'),
    "a key of thousands of letters": ("workload", b"x" * 3000 + b" = 1\n"),
    "an escape sequence": ("ops.csv", b"\x1b[2J,op\n1,2\n"),
    "separators of lines that are letters": ("measurement.csv", "measured\x85_\u2028at\n1\n".encode()),
    "a cell of thousands of letters": ("devices", to_bytes(TABLE).replace(b"one,", b"9" * 3000 + b",", 1)),
    "brackets in TOML": ("elementwise", b"a = " + b"[" * 100_000),
    "tables in TOML": ("hardware", b"a = " + b"{a=" * 100_000),
    "a key of parts": ("hardware", b".".join([b"a"] * 200_000) + b" = 1"),
    "a header of parts": ("calibration", b"[" + b".".join([b"a"] * 200_000) + b"]"),
    "brackets in JSON": ("ops.json", b'[{"op":' + b"[" * 100_000),
    "objects of other names": ("ops.json", b"[" + b",".join(b'{"k%d":1}' % i for i in range(50_000)) + b"]"),
    "very many objects": ("ops.json", b"[" + b",".join([b"{}"] * 200_000) + b"]"),
    "a device a line": ("devices", b"hardware_id\n" + b"".join(b"d%d\n" % i for i in range(40_000))),
    "a footer that lies": ("aiconfigurator.gemm", break_parquet(READERS["aiconfigurator.gemm"].seed)),
    "a footer that lies of ops": ("ops.parquet", break_parquet(READERS["ops.parquet"].seed)),
    "a footer that lies of times": ("measurement.parquet", break_parquet(READERS["measurement.parquet"].seed)),
    "rows that are all the same": ("aiconfigurator.gemm", to_parquet(pl.concat([pl.DataFrame([PRODUCT])] * 100_000))),
    "a long line": ("measurement.csv", b"a" * 40_000_000),
    "a long line after the header": ("nsight", b'"ID","Kernel Name"\n' + b"a" * 40_000_000),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_is_refused(what: str, small: Home) -> None:
    name, content = FOUND[what]
    assert read_and_judge(READERS[name], content, small) is not None


OTHER_TYPES = [
    "1.5::decimal(20, 3)", "interval 1 day", "{'a': {'b': [1]}}", "'\\xFF'::blob", "2::hugeint", "time '12:00:00'",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in READERS if "parquet" in name or "aiconfigurator" in name])
@pytest.mark.parametrize("first", keep_fast(1, range(len(OTHER_TYPES))))
def test_columns_of_other_types(name: str, first: int, small: Home, tmp_path: Path) -> None:
    """Each column in turn has one of the types; with each type as the `first`, every column has had every type."""
    reader = READERS[name]
    (tmp_path / "seed.parquet").write_bytes(reader.seed)
    for number, column in enumerate(pl.read_parquet_schema(tmp_path / "seed.parquet"), first):
        value = OTHER_TYPES[number % len(OTHER_TYPES)]
        table = f"select * replace ({value} as \"{column}\") from '{tmp_path}/seed.parquet'"
        duckdb.sql(f"copy ({table}) to '{tmp_path}/other.parquet'")
        read_and_judge(reader, (tmp_path / "other.parquet").read_bytes(), small)


def gzip_parts(*parts: tuple[bytes, int]) -> bytes:
    """Return a gzip of parts, each so often."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
        for part, times in parts:
            for _ in range(times):
                packed.write(part)
    return file.getvalue()


BOMBS = {
    "zeros": lambda: gzip_parts((b"\0" * 10**6, 300)),
    "a text": lambda: gzip_parts((b'{"traceEvents":["', 1), (b"a" * 10**6, 300)),
}
READ = """
import re, sys, time
from pathlib import Path
from flows.ingest.profiles.torch_profiler import read_torch_profiler
from tests.support.inputs import make_source
from warehouse.errors import InputError
def most_bytes():  # getrusage would count what the process took that began this one
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
path = Path(sys.argv[1])
before, started = most_bytes(), time.process_time()
try:
    read_torch_profiler(make_source(path, "measurement"), "a40", None)
except InputError as error:
    print(error)
print(time.process_time() - started, most_bytes() - before)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_neither_time_nor_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(BOMBS[name]())
    limit = (8 * 2**30, 8 * 2**30)  # of addresses: a bomb that goes off takes this process alone
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )  # fmt: skip
    assert done.stderr == ""
    refused, figures = done.stdout.splitlines()
    seconds, taken = map(float, figures.split())
    assert path.name in refused
    assert seconds < LONGEST_S
    assert taken < MOST_BYTES
