"""Published figures, read through SQL from a finished run, to the digits that they are given in."""

import duckdb
import pytest

OPS = {
    "qkv mlp": {"q_proj", "k_proj", "v_proj"},
    "up/gate/down": {"up_proj", "gate_proj", "down_proj"},
    "qk/pv": {"qk", "pv"},
}


def read_row(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: object) -> tuple[object, ...]:
    rows = connection.execute(sql, parameters or None).fetchall()
    assert len(rows) == 1, rows
    return tuple(rows[0])


@pytest.mark.parametrize(
    ("hardware_id", "basis", "bandwidth_gb_per_s", "peak_tflops", "ridge", "is_default"),
    [
        ("a40", "datasheet", 696, 149.7, 215.086, True),
        ("a6000", "as_printed", 768, 181, 235.677, False),
        ("a6000", "datasheet", 768, 154.8, 201.563, True),
        ("a100-80gb-pcie", "datasheet", 1935, 312, 161.240, True),
    ],
)
def test_roofs_of_the_papers_devices(
    snapshot: duckdb.DuckDBPyConnection,
    hardware_id: str,
    basis: str,
    bandwidth_gb_per_s: float,
    peak_tflops: float,
    ridge: float,
    is_default: bool,
) -> None:
    """Cai et al. 2024 (arXiv 2401.10774), figures 9 to 17, and the datasheets."""
    row = read_row(
        snapshot,
        "select bandwidth_bytes_per_s / 1e9, peak_flops_per_s / 1e12, round(ridge_flops_per_byte, 3), is_default"
        " from mart.roof where hardware_id = $hardware_id and dtype = 'fp16' and basis = $basis",
        hardware_id=hardware_id,
        basis=basis,
    )
    assert row == (bandwidth_gb_per_s, peak_tflops, ridge, is_default)


@pytest.mark.parametrize(
    ("op", "phase", "batch_size", "sequence_length", "query_length", "digits", "intensity"),
    [
        ("up_proj", "speculative", 64, 1024, 112, 3, 2893.913),
        ("gate_proj", "speculative", 64, 1024, 112, 3, 2893.913),
        ("down_proj", "speculative", 64, 1024, 112, 3, 2893.913),
        ("qk", "speculative", 16, 1024, 64, 3, 40.960),
        ("pv", "speculative", 16, 1024, 64, 3, 40.960),
        ("qk", "decode", 16, 1024, 1, 5, 0.99129),
    ],
)
def test_intensities_of_speculative_decoding(
    snapshot: duckdb.DuckDBPyConnection,
    op: str,
    phase: str,
    batch_size: int,
    sequence_length: int,
    query_length: int,
    digits: int,
    intensity: float,
) -> None:
    """Cai et al. 2024 (arXiv 2401.10774), tables 6 to 8: Llama 33B."""
    (found,) = read_row(
        snapshot,
        "select distinct intensity_flops_per_byte from mart.roofline_point where model_id = 'llama-33b'"
        " and convention = 'paper' and precision_id = 'fp16' and op = $op and phase = $phase"
        " and batch_size = $b and sequence_length = $s and query_length = $q",
        op=op,
        phase=phase,
        b=batch_size,
        s=sequence_length,
        q=query_length,
    )
    assert round(float(str(found)), digits) == intensity


@pytest.mark.parametrize(
    ("series", "distinct", "digits", "least", "greatest", "compute_bound"),
    [
        ("qkv mlp init", 13, 4, 120.4706, 2040.0311, (48, 46, 48, 48)),
        ("qkv mlp ar", 7, 6, 0.999512, 62.060606, (0, 0, 0, 0)),
        ("up/gate/down init", 13, 4, 122.7373, 2968.3192, (48, 48, 48, 48)),
        ("up/gate/down ar", 7, 6, 0.999665, 62.656706, (0, 0, 0, 0)),
        ("qk/pv init", 7, 6, 42.666667, 124.121212, (0, 0, 0, 0)),
        ("qk/pv ar", 7, 6, 0.984615, 0.992128, (0, 0, 0, 0)),
    ],
)
def test_series_of_llama_7b(
    snapshot: duckdb.DuckDBPyConnection,
    series: str,
    distinct: int,
    digits: int,
    least: float,
    greatest: float,
    compute_bound: tuple[int, ...],
) -> None:
    """Closed forms of Cai et al. 2024 (arXiv 2401.10774), appendix G, over its 49 settings."""
    roofs = [("a40", "datasheet"), ("a6000", "as_printed"), ("a6000", "datasheet"), ("a100-80gb-pcie", "datasheet")]
    for (hardware_id, basis), expected in zip(roofs, compute_bound, strict=True):
        rows = snapshot.execute(
            "select op, count(*), count(distinct round(intensity_flops_per_byte, 9)),"
            " round(min(intensity_flops_per_byte), $digits), round(max(intensity_flops_per_byte), $digits),"
            " count(*) filter (bound = 'compute') from mart.roofline_point_by_basis"
            " where model_id = 'llama-7b' and convention = 'paper' and precision_id = 'fp16'"
            " and series = $series and hardware_id = $hardware_id and basis = $basis group by op",
            {"digits": digits, "series": series, "hardware_id": hardware_id, "basis": basis},
        ).fetchall()
        assert {op for op, *_ in rows} == OPS[series.rpartition(" ")[0]]
        assert {tuple(figures) for _, *figures in rows} == {(49, distinct, least, greatest, expected)}


@pytest.mark.parametrize(
    ("hardware_id", "basis", "qkv", "up_gate_down"),
    [
        ("a40", "datasheet", 241, 232),
        ("a6000", "as_printed", 267, 256),
        ("a6000", "datasheet", 224, 217),
        ("a100-80gb-pcie", "datasheet", 176, 171),
    ],
)
def test_critical_rows(
    snapshot: duckdb.DuckDBPyConnection, hardware_id: str, basis: str, qkv: int, up_gate_down: int
) -> None:
    """Rows from which Llama 7B's products are compute-bound, from their closed forms; attention never is."""
    rows = snapshot.execute(
        "select op_group, list_sort(list(distinct critical_tokens)), count(*) - count(critical_tokens)"
        " from mart.crossover_by_basis where model_id = 'llama-7b' and convention = 'paper'"
        " and precision_id = 'fp16' and hardware_id = ? and basis = ? group by op_group",
        [hardware_id, basis],
    ).fetchall()
    found = {group: (critical, never) for group, critical, never in rows}
    assert found["qkv mlp"] == ([qkv], 0)
    assert found["up/gate/down"] == ([up_gate_down], 0)
    assert found["qk/pv"] == ([None], 2)


def test_default_crossover_is_the_datasheets(snapshot: duckdb.DuckDBPyConnection) -> None:
    row = read_row(
        snapshot,
        "select critical_tokens from mart.crossover where hardware_id = 'a6000' and model_id = 'llama-7b'"
        " and convention = 'paper' and precision_id = 'fp16' and op = 'q_proj'",
    )
    assert row == (224,)


SI = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def round_like(value: float, printed: str) -> str:
    """Write a value with the unit and as many digits as a printed figure has."""
    number, _, unit = printed.partition(" ")
    digits = len(number.partition(".")[2])
    return f"{value / SI[unit]:.{digits}f}{f' {unit}' if unit else ''}"


TABLE_1 = [
    ("q_proj k_proj v_proj o_proj", "prefill", "68.7 G", "67.1 M", "1024", "compute"),
    ("q_proj k_proj v_proj o_proj", "decode", "33.6 M", "33.6 M", "0.9995", "memory"),
    ("gate_proj up_proj down_proj", "prefill", "184.7 G", "152 M", "1214.7", "compute"),
    ("gate_proj up_proj down_proj", "decode", "90.2 M", "90.2 M", "0.9997", "memory"),
    ("qk pv", "prefill", "34.36 G", "302 M", "113.78", "memory"),
    ("qk pv", "decode", "16.78 M", "16.92 M", "0.99177", "memory"),
    ("softmax", "prefill", "671 M", "537 M", "1.25", "memory"),
    ("softmax", "decode", "328 k", "262 k", "1.25", "memory"),
    ("attn_norm mlp_norm", "prefill", "58.7 M", "33.6 M", "1.75", "memory"),
    ("attn_norm mlp_norm", "decode", "28.7 k", "16.4 k", "1.75", "memory"),
    ("attn_add mlp_add", "prefill", "8.4 M", "33.6 M", "0.25", "memory"),
    ("attn_add mlp_add", "decode", "4.1 k", "16.4 k", "0.25", "memory"),
]


@pytest.mark.parametrize(("ops", "phase", "flops", "moved", "intensity", "bound"), TABLE_1)
def test_llm_viewers_table_1(
    snapshot: duckdb.DuckDBPyConnection, ops: str, phase: str, flops: str, moved: str, intensity: str, bound: str
) -> None:
    """Yuan et al. 2024 (arXiv 2402.16363), table 1: Llama-2 7B on an A6000, batch 1, sequence 2048, per layer."""
    for op in ops.split():
        row = read_row(
            snapshot,
            "select flops, bytes, intensity_flops_per_byte, bound from mart.roofline_point"
            " where hardware_id = 'a6000' and model_id = 'llama-7b' and convention = 'llm-viewer'"
            " and precision_id = 'fp16' and phase = $phase and batch_size = 1 and sequence_length = 2048 and op = $op",
            phase=phase,
            op=op,
        )
        printed = [round_like(float(str(v)), text) for v, text in zip(row, (flops, moved, intensity), strict=False)]
        assert (*printed, row[3]) == (flops, moved, intensity, bound)


WHOLE_MODEL = (
    "from mart.roofline_point where hardware_id = 'a40' and model_id = 'llama-7b' and convention = 'paper'"
    " and precision_id = 'fp16' and batch_size = 8 and sequence_length = 1024 and phase = "
)


@pytest.mark.parametrize(("phase", "flops"), [("prefill", "110.50 T"), ("decode", "107.9 G")])
def test_whole_model_flops(snapshot: duckdb.DuckDBPyConnection, phase: str, flops: str) -> None:
    """Llama-2 7B, batch 8, sequence 1024, attention unfused, layers only."""
    (total,) = read_row(snapshot, f"select sum(flops * repeat) {WHOLE_MODEL} '{phase}' and op <> 'lm_head'")
    assert round_like(float(str(total)), flops) == flops


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_lm_head_adds_the_last_token_only(snapshot: duckdb.DuckDBPyConnection, phase: str) -> None:
    (total,) = read_row(snapshot, f"select sum(flops * repeat) {WHOLE_MODEL} '{phase}' and op = 'lm_head'")
    assert round_like(float(str(total)), "2.1 G") == "2.1 G"


def test_whole_model_traffic_of_decode(snapshot: duckdb.DuckDBPyConnection) -> None:
    """The published 17.5 GB and 25.2 ms are weights with lm_head and KV cache, without activations."""
    weights, cache, seconds = read_row(
        snapshot,
        "select sum(weight_bytes * repeat), sum(kv_bytes * repeat),"
        " sum((weight_bytes + kv_bytes) / bytes * lower_bound_s * repeat)"
        f" {WHOLE_MODEL} 'decode'",
    )
    total = float(str(weights)) + float(str(cache))
    assert round_like(float(str(weights)), "13.2 G") == "13.2 G"
    assert round_like(float(str(cache)), "4.3 G") == "4.3 G"
    assert round_like(total, "17.5 G") == "17.5 G"
    assert round_like(float(str(seconds)) * 1e3, "25.2") == "25.2"


@pytest.mark.parametrize(
    ("model_id", "parameters"),
    [("llama-7b", 6_738_415_616), ("llama-13b", 13_015_864_320), ("llama-33b", 32_528_943_616)],
)
def test_parameters(snapshot: duckdb.DuckDBPyConnection, model_id: str, parameters: int) -> None:
    """Touvron et al. 2023 (arXiv 2302.13971), table 2: 6.7, 13.0 and 32.5 billion."""
    assert read_row(snapshot, "select parameters from core.model where model_id = $id", id=model_id) == (parameters,)
