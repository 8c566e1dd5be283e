"use strict";

// What a device makes of the ops of a step: the roof, least and expected time, what limits, and whether it fits. The
// formulas are those of sql/functions/mart, whose names they have here; the tests compare all of them with the views.
//
// A device: { id, name, memory_bytes, multiprocessors, roofs, calibration }, whose roofs are by level, dtype and pipe, and
// whose calibration is by kind of op, dtype and launch, or null. An op has the columns of core.op_shape and core.op_cost,
// with its arithmetic as `dtype`. NaN stands for null: both make each result that needs them unknown.
window.times = (() => {
  const TILES = [[256, 128], [128, 256], [128, 128], [128, 64], [64, 128], [64, 64], [64, 32], [32, 64]];
  const ROWWISE = new Set(["norm", "rms_norm", "layer_norm", "softmax", "add_rms_norm"]);
  const COLLECTIVE = new Set(["all_reduce", "all_gather", "all_to_all", "send"]);
  const MOST_BLEND = 64;
  const kernels = new Map(); // what runs for an op besides, by fusion, kind, phase and dtype

  const known = (value) => (value === null || value === undefined ? NaN : value);
  const or = (value, other) => (value === null || Number.isNaN(value) ? other : value);
  const sum = (rows, of) => rows.reduce((total, row) => total + of(row), 0);
  const roofKey = (level, dtype, pipe) => `${level}|${dtype}|${pipe}`;
  const calibrationKey = (kind, dtype, launch) => `${kind}|${dtype}|${launch}`;
  const kernelKey = (fusion, kind, phase, dtype) => `${fusion}|${kind}|${phase}|${dtype}`;
  const kernelKinds = new Set();

  function makeDevice(facts, roofs) {
    const byKey = new Map(roofs.map((roof) => [roofKey(roof.level, roof.dtype, roof.pipe), roof]));
    return { ...facts, multiprocessors: known(facts.multiprocessors), roofs: byKey, calibration: null };
  }

  // A reader's own device has the roofs of the dtypes that it has a peak of: pairs of dtype and FLOP/s.
  function makeOwnDevice(facts, { bandwidth_bytes_per_s, link_bytes_per_s }, peaks) {
    const origins = { basis: "own", peak_origin: "your figure", bandwidth_origin: "your figure" };
    const roof = (level, bandwidth, [dtype, peak]) => ({
      level, dtype, pipe: "", peak_flops_per_s: peak, bandwidth_bytes_per_s: bandwidth,
      ridge_flops_per_byte: peak / bandwidth, reduces_in_switch: false, ...origins,
    });
    const roofs = peaks.map((peak) => roof("dram", bandwidth_bytes_per_s, peak));
    if (link_bytes_per_s > 0) roofs.push(...peaks.map((peak) => roof("interconnect", link_bytes_per_s, peak)));
    return makeDevice(facts, roofs);
  }

  // The same device with another peak, bandwidth, memory or link; factors of 1 leave it as it is.
  function scaleDevice(device, { peak = 1, bandwidth = 1, memory = 1, link = 1 }) {
    const roofs = [...device.roofs].map(([key, roof]) => {
      const of = roof.level === "interconnect" ? link : bandwidth;
      const [flops, bytes] = [roof.peak_flops_per_s * peak, roof.bandwidth_bytes_per_s * of];
      return [key, {
        ...roof, peak_flops_per_s: flops, bandwidth_bytes_per_s: bytes, ridge_flops_per_byte: flops / bytes,
      }];
    });
    return { ...device, memory_bytes: device.memory_bytes * memory, roofs: new Map(roofs) };
  }

  function knowKernels(rows) {
    for (const { phases, dtypes, ...row } of rows) {
      kernelKinds.add(row.kind);
      for (const phase of phases) {
        for (const dtype of dtypes) {
          const key = kernelKey(row.fusion, row.kind, phase, dtype);
          if (!kernels.has(key)) kernels.set(key, []);
          kernels.get(key).push({ ...row, dtype });
        }
      }
    }
  }

  function makeCalibration(rows) {
    return new Map(rows.map(({ op_kind: kind, dtype, launch, ...coefficients }) => {
      const numbers = Object.entries(coefficients).map(([name, value]) => [name, known(value)]);
      return [calibrationKey(kind, dtype, launch), Object.fromEntries(numbers)];
    }));
  }

  const findRoof = (device, level, dtype, pipe = "") => device.roofs.get(roofKey(level, dtype, pipe));

  const attainable = (roof, intensity) => Math.min(roof.peak_flops_per_s, intensity * roof.bandwidth_bytes_per_s);

  // One execution of an op on the roof of its arithmetic; null if the device has none. Costs count the ring of an all-reduce.
  function place(op, device, { tensor_parallel: devices }) {
    const roof = findRoof(device, op.level, op.dtype, op.pipe);
    if (!roof) return null;
    const isReduced = op.kind === "all_reduce";
    const algorithm = isReduced ? (roof.reduces_in_switch ? "switch" : "ring") : null;
    const isSwitched = algorithm === "switch";
    const bytes = isSwitched ? (op.bytes / 2) * (devices / (devices - 1)) : op.bytes;
    const intensity = op.flops / bytes;
    const below = op.level === "dram" ? "memory" : op.level;
    return {
      ...op,
      bytes,
      activation_bytes: isSwitched ? bytes : op.activation_bytes,
      roof,
      algorithm,
      intensity,
      attainable: attainable(roof, intensity),
      seconds: Math.max(op.flops / roof.peak_flops_per_s, bytes / roof.bandwidth_bytes_per_s),
      bound: intensity >= roof.ridge_flops_per_byte ? "compute" : below,
    };
  }

  const stepTokens = ({ phase, batch_size: batch, query_length: query }) =>
    ({ prefill: batch * query, mixed: batch + query })[phase] ?? batch;

  // A whole step at the roof, one op after the other. `lacking` says what the device does not have: a dtype, or "link".
  function takeStep(ops, device, setting, memory = null) {
    const points = ops.map((op) => place(op, device, setting));
    const lacking = ops.find((op, i) => !points[i] && op.level === "dram")?.dtype ?? null;
    if (lacking) return { lacking };
    const placed = points.filter(Boolean);
    const total = (of, points = placed) => sum(points, (point) => point.repeat * of(point));
    const bounded = (test) => total(({ seconds }) => seconds, placed.filter(({ bound }) => test(bound)));
    const shared = setting.tensor_parallel * setting.expert_parallel * setting.pipeline_parallel > 1;
    const interconnect_s = bounded((bound) => bound === "interconnect");
    if (shared && !interconnect_s && setting.convention === "engine") return { lacking: "link" };
    const memory_s = bounded((bound) => bound !== "compute" && bound !== "interconnect");
    const compute_s = bounded((bound) => bound === "compute");
    const bubble_s = Math.max(sum(placed, ({ seconds, idle_repeat: idle }) => seconds * (idle ?? 0)), 0);
    const lower_bound_s = total(({ seconds }) => seconds) + bubble_s;
    const most = Math.max(memory_s, compute_s, interconnect_s);
    const level = (name) => placed.filter((point) => point.level === name);
    return {
      lacking: null,
      points,
      flops: total(({ flops }) => flops),
      bytes: total(({ bytes }) => bytes, level("dram")),
      interconnect_bytes: total(({ bytes }) => bytes, level("interconnect")),
      lower_bound_s,
      memory_s,
      compute_s,
      interconnect_s,
      bubble_s,
      bound: memory_s === most ? "memory" : compute_s === most ? "compute" : "interconnect",
      tokens_per_s: stepTokens(setting) / lower_bound_s,
      memory_bytes: memory?.total ?? null,
      fits: memory && Number.isFinite(device.memory_bytes) ? memory.total <= device.memory_bytes : null,
    };
  }

  function calibratedKind({ kind, op, matrices, kv_heads: heads, head_dim: size }) {
    if (kind === "linear") return matrices !== 1 && op.startsWith("expert_") ? "grouped_linear" : kind;
    if (kind !== "attention" || size === null || size === undefined) return kind;
    if (heads === 1 && size >= 512) return "latent_attention";
    if (size <= 64) return "attention_64";
    return size > 128 ? "attention_256" : kind;
  }

  function serialSteps({ kind, n }, { tensor_parallel, query_length, sequence_length }) {
    if (ROWWISE.has(kind)) return known(n);
    if (kind === "attention" && query_length >= 128) return known(sequence_length);
    return COLLECTIVE.has(kind) ? tensor_parallel - 1 : 0;
  }

  function tileCosts(rows, columns, matrices, multiprocessors, reached, fit) {
    const { tile_limit: limit, wave_exponent, partial_wave_exponent, tile_overhead_s } = fit;
    if (Number.isNaN(limit)) return [];
    return TILES.map(([height, width]) => {
      const waves = (Math.ceil(rows / height) * Math.ceil(columns / width) * matrices) / multiprocessors;
      const rounded = waves >= 1 ? (Math.ceil(waves) / waves) ** wave_exponent : waves ** -partial_wave_exponent;
      const share = (height * width * multiprocessors) / (rows * columns * matrices);
      const reuse = (1 + limit * (1 / height + 1 / width)) / (1 + limit * (1 / 256 + 1 / 128));
      return rounded * waves * (share * reuse + or(tile_overhead_s, 0) / reached);
    });
  }

  function leastCost(costs, exponent) {
    if (!costs.length) return 1;
    const least = Math.min(...costs);
    const power = Math.min(or(exponent, MOST_BLEND), MOST_BLEND);
    const mean = sum(costs, (cost) => (cost / least) ** -power) / costs.length;
    return or(least * mean ** (-1 / power), 1);
  }

  function streamCost(rows, columns, matrices, multiprocessors, { stream_limit, stream_exponent }) {
    const tiles = Math.ceil(rows / 128) * Math.ceil(columns / 64) * matrices;
    return or(1 + stream_limit * (multiprocessors / tiles) ** stream_exponent, 1);
  }

  function reachedMemory(seconds, bytes, { bandwidth_efficiency, cached_bytes, cached_cost }) {
    const cost = or(cached_cost, 1);
    const cached = (or(cached_bytes, 0) / bytes) ** (cached_cost > 1 ? 1 : 8);
    return (seconds / bandwidth_efficiency) * (cost + (1 - cost) / (1 + cached));
  }

  function blend(parts, exponent) {
    const [most, power] = [Math.max(...parts), Math.min(exponent, MOST_BLEND)];
    return most * sum(parts, (part) => (part / most) ** power) ** (1 / power);
  }

  // Seconds that a kernel is expected to take, by mart.kernel_times; NaN if no calibration covers it.
  function predict(point, device, setting) {
    const fit = device.calibration.get(calibrationKey(calibratedKind(point), point.dtype, "graph"));
    if (!fit) return NaN;
    const { multiprocessors } = device;
    const [n, matrices] = [known(point.n), known(point.matrices)];
    const rows = known(point.m) / matrices;
    const devices = setting.tensor_parallel;
    const compute = point.flops / point.roof.peak_flops_per_s;
    const sent = point.algorithm === "switch" ? (point.bytes * 2 * (devices - 1)) / devices : point.bytes;
    const reached = compute / fit.compute_efficiency;
    const isRowwise = Number.isNaN(fit.tile_limit) && !Number.isNaN(fit.tile_overhead_s);
    const computing = isRowwise
      ? (rows / multiprocessors) * fit.tile_overhead_s
      : reached *
        leastCost(tileCosts(rows, n, matrices, multiprocessors, reached, fit), fit.tile_blend) *
        (1 + compute / 1e-3) ** or(fit.sustained_exponent, 0);
    const moving =
      reachedMemory(sent / point.roof.bandwidth_bytes_per_s, point.bytes, fit) *
      streamCost(rows, n, matrices, multiprocessors, fit);
    const serial = serialSteps(point, setting) * or(fit.serial_s, 0);
    return fit.overhead_s + blend([computing, moving, serial], fit.blend);
  }

  const WIDENING = { fp8: 2, int8: 2, fp4: 4, fp6: 4 };

  // Seconds of the kernels that run for an op besides, or in its place; NaN if the device has no calibration of their kind.
  function predictPiece(piece, point, device, { query_length, sequence_length }) {
    const fit = device.calibration.get(calibrationKey(piece.runs, piece.dtype, "graph"));
    if (!fit) return NaN;
    const bytes =
      (piece.bytes_factor * point.bytes + piece.activation_factor * point.activation_bytes) *
        (WIDENING[point.dtype] ?? 1) +
      (piece.token_factor * point.kv_bytes * query_length) / sequence_length +
      piece.input_factor * or(known(point.m) * known(point.k), 0);
    const each = bytes / Math.max(piece.times, 1);
    const moved = reachedMemory(each / point.roof.bandwidth_bytes_per_s, Math.max(each, 1), fit);
    return piece.times * fit.overhead_s + Math.max(piece.times, 1) * moved;
  }

  // An op of a step with all that runs for it, by mart.step_ops.
  function expectOp(point, device, setting, fusion) {
    const kind = kernelKinds.has(point.op) ? point.op : point.kind;
    const pieces = (kernels.get(kernelKey(fusion, kind, setting.phase, point.dtype)) ?? [])
      .map((piece) => ({ ...piece, seconds: predictPiece(piece, point, device, setting) }))
      .filter(({ runs, dtype }) => device.calibration.has(calibrationKey(runs, dtype, "graph")));
    const isOp = pieces.find(({ place }) => place === 1)?.is_op ?? true;
    const own = isOp ? predict(point, device, setting) : 0;
    const expected = own + sum(pieces, ({ seconds }) => or(seconds, 0));
    const times = point.repeat + (point.idle_repeat ?? 0);
    const started = (Number(isOp) + sum(pieces, ({ times: runs, kernels: each }) => runs * each)) * times;
    const host = (name, launch) => device.calibration.get(calibrationKey(name, point.dtype, launch))?.overhead_s;
    const alone = host("dispatch", "eager") ?? 0;
    const shared = setting.tensor_parallel * setting.expert_parallel * setting.pipeline_parallel > 1;
    return {
      seconds: or(expected, point.seconds) * times,
      lower_bound_s: point.seconds * times,
      start_s: started * (shared ? (host("dispatch_shared", "eager") ?? alone) : alone),
      gap_s: started * (host("gap", "eager") ?? 0),
      graph_gap_s: started * (host("gap", "graph") ?? 0),
      isCovered: !Number.isNaN(expected),
    };
  }

  const defaultLaunch = (phase) => (["decode", "speculative"].includes(phase) ? "graph" : "eager");

  // The time that a step is expected to take, by mart.expected_steps; null without a calibration, which is never guessed.
  function expectStep({ points }, device, setting, { fusion = "engine", launch = defaultLaunch(setting.phase) } = {}) {
    if (!device.calibration || !points) return null;
    const ops = points.map((point) => point && expectOp(point, device, setting, fusion));
    const counted = ops.filter(Boolean);
    const total = (name) => sum(counted, (op) => op[name]);
    const covered_s = sum(counted.filter(({ isCovered }) => isCovered), ({ lower_bound_s }) => lower_bound_s);
    const seconds = total("seconds");
    const predicted_s =
      launch === "graph" ? seconds + total("graph_gap_s") : Math.max(seconds + total("gap_s"), total("start_s"));
    if (!covered_s) return null;
    return {
      ops,
      launch,
      fusion,
      predicted_s,
      tokens_per_s: stepTokens(setting) / predicted_s,
      host_wait_s: predicted_s - seconds,
      covered_share: covered_s / total("lower_bound_s"),
    };
  }

  return {
    makeDevice, makeOwnDevice, scaleDevice, makeCalibration, knowKernels, findRoof, attainable, place, takeStep, expectStep,
    stepTokens,
  };
})();
