"use strict";

// The ops of one step of a model at any setting, and what a device holds: what core.op_shape, core.op_cost and
// mart.step_time hold of the settings of workloads. The formulas are those of flows/intensity, in formulas.js.
const costs = (() => {
  const models = new Map(); // by id: its kinds of layers, each with what the model has once; or the user's own ops
  const precisions = new Map(); // by id: bits, dtype of the arithmetic, and the parts that are set apart
  const elementwise = new Map(); // by kind: counts of an element
  const remembered = new Map(); // by what it depends on: what does not change from setting to setting

  const FIRST = { convention: "engine", phase: "decode", precision: "bf16", batch: 1, sequence: 1024 };
  const COSTS = ["weight_bytes", "activation_bytes", "kv_bytes", "state_bytes"];
  const OF_PART = ["weight_bits", "activation_bits", "compute_dtype", "row_scale_bits"];
  const FEED_FORWARD = ["up/gate/down", "router"]; // groups whose ops are told apart by the kind of their feed-forward part
  const BLANK = Object.assign(new formulas.Layer(), Object.fromEntries(formulas.columns.map((name) => [name, NaN])));
  const NO_BITS = Object.fromEntries(Object.entries(BLANK).filter(([name]) => /^(default|part)_/.test(name)));

  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const known = (value, other) => (value === value && value !== undefined && value !== null ? value : other);
  const has = (record, name) => Object.prototype.hasOwnProperty.call(record, name); // a name may be anything
  const value = (part, of) => (typeof part === "function" ? part(of) : part);
  const rename = (record, prefix) =>
    Object.fromEntries(Object.entries(record).map(([name, of]) => [prefix + name, known(of, NaN)]));
  // A record that has, besides its own, what another has.
  const extend = (base, own) => Object.assign(Object.create(base), own);

  function remember(of, compute) {
    const key = JSON.stringify(of);
    if (!remembered.has(key)) remembered.set(key, compute());
    return remembered.get(key);
  }

  function know(lists) {
    for (const row of lists.precisions) precisions.set(row.precision_id, row);
    for (const row of lists.elementwise) elementwise.set(row.kind, row);
  }

  function add(id, { model, layers, own: given }) {
    if (given) {
      models.set(id, { id, given });
      return;
    }
    const total = sum(layers.map((layer) => (layer.is_draft ? 0 : layer.num_layers)));
    const own = layers.map((layer) => extend(BLANK, { ...model, ...layer, model_layers: total }));
    models.set(id, { id, model, layers: own });
  }

  // A setting in the words of the warehouse, with what is not given.
  function complete(asked) {
    const { batch, sequence, query, precision, parts, ...others } = { ...FIRST, ...asked };
    const setting = { expert_load: 1, micro_batches: 1, ...others, batch_size: batch, sequence_length: sequence };
    for (const name of formulas.sharing) setting[name] = known(setting[name], 1);
    setting.query_length = known(query, askedQuery(setting));
    if (setting.phase === "decode") setting.query_length = 1;
    setting.batch_share = formulas.of_setting.batch_share(setting);
    setting.micro_batches = formulas.of_setting.micro_batches(setting);
    return { ...setting, precision: remember(["precision", precision, parts], () => choosePrecision(precision, parts)) };
  }

  // Tokens of a query, if nobody says how many: a whole prompt, a whole tree, or one.
  function askedQuery({ phase, tree, sequence_length: sequence }) {
    if (phase === "prefill") return sequence;
    return tree && phase === "speculative" ? sum(tree) : 1;
  }

  // A precision, by its id or as it is, with the parts that are set apart besides: each by a precision or a dtype.
  function choosePrecision(asked, parts = {}) {
    const chosen = typeof asked === "string" ? precisions.get(asked) : asked;
    const precision = { ...chosen, parts: { ...chosen.parts }, bits: new Map() };
    for (const [part, name] of Object.entries(parts)) {
      const of = typeof name === "string" ? precisions.get(name) || fromDtype(name) : name;
      if (part === "kv") precision.kv_bits = of.kv_bits;
      else precision.parts[part] = Object.fromEntries(OF_PART.map((column) => [column, known(of[column], NaN)]));
    }
    // as in a file: the products of queries with keys and values are as the attention around them unless it says otherwise
    const { scores, attention } = chosen.parts ?? {};
    const isFollowing = !scores || (attention && OF_PART.every((column) => Object.is(scores[column], attention[column])));
    if (parts.attention && !parts.scores && isFollowing) precision.parts.scores = precision.parts.attention;
    return precision;
  }

  function fromDtype(dtype) {
    const bits = formulas.bits_of[dtype];
    return { weight_bits: bits, activation_bits: bits, kv_bits: bits, compute_dtype: dtype, row_scale_bits: 0 };
  }

  // Why there is no such step, in one line; null if there is one.
  function refuse(id, asked) {
    if (!models.has(id)) return `model ${id} is not known`;
    const { precision, parts = {}, ...numbers } = { ...FIRST, ...asked };
    const wanted = [precision, ...Object.values(parts)].filter((name) => typeof name === "string");
    for (const [place, name] of wanted.entries()) {
      if (!precisions.has(name) && !(place && has(formulas.bits_of, name))) return `precision ${name} is not known`;
    }
    for (const part of Object.keys(parts)) {
      if (part !== "kv" && !formulas.parts.includes(part)) return `part ${part} is not known`;
    }
    const { given, layers } = models.get(id);
    if (given) {
      const { tensor_parallel: devices = 1 } = numbers;
      return chooseOwn(given, precision, devices).length ? null : `no op of ${id} runs in ${precision} on ${devices === 1 ? "one device" : `${devices} devices`}`;
    }
    if (!has(formulas.conventions, numbers.convention)) return `convention ${numbers.convention} is not known`;
    if (!formulas.phases.includes(numbers.phase)) return `phase ${numbers.phase} is not known`;
    for (const name of ["batch", "sequence", "query", "micro_batches", ...formulas.sharing]) {
      const number = numbers[name];
      if (number !== undefined && !(Number.isSafeInteger(number) && number > 0)) {
        return `${name} is ${number}; expected a whole number above 0`;
      }
    }
    if (numbers.expert_load !== undefined && !(numbers.expert_load >= 1 && numbers.expert_load < Infinity)) {
      return `expert_load is ${numbers.expert_load}; expected a number from 1`;
    }
    const isTree = (tree) => Array.isArray(tree) && tree.every((count) => Number.isSafeInteger(count) && count > 0);
    if (numbers.tree !== undefined && !(isTree(numbers.tree) && numbers.tree.length)) {
      return `tree is ${numbers.tree}; expected how many candidates stand at each depth`;
    }
    const { query_length: query, sequence_length: sequence, ...setting } = complete(asked);
    if (hasTree(setting) && sum(setting.tree) !== query) return `tree has ${sum(setting.tree)} candidates, query ${query}`;
    const inside = ["prefill", "mixed"].includes(setting.phase) || hasTree(setting);
    if (inside && query > sequence) return `query ${query} is longer than the context ${sequence}`;
    return refuseSharing(layers, setting);
  }

  function refuseSharing(layers, setting) {
    const {
      tensor_parallel: devices, expert_parallel: spread, data_parallel: replicas, pipeline_parallel: stages,
    } = setting;
    for (const name of ["num_heads", "state_heads"]) {
      const odd = layers.find((layer) => known(layer[name], 0) % devices !== 0);
      if (odd) return `${devices} devices cannot share ${odd[name]} heads evenly`;
    }
    const most = (name) => Math.max(...layers.map((layer) => known(layer[name], 0)));
    if (spread > 1 && !most("num_experts")) return `no experts to spread over ${spread} devices`;
    if (spread > 1 && (spread % devices || (devices * replicas) % spread)) {
      return `experts cannot be spread over ${spread} devices: expected a multiple of tensor parallelism, ${devices}, that ` +
        `divides tensor times data parallelism, ${devices * replicas}`;
    }
    if (spread > 1 && spread > most("num_experts")) return `${most("num_experts")} experts on ${spread} devices`;
    if (stages > 1 && stages > most("model_layers")) return `${most("model_layers")} layers in ${stages} stages`;
    return null;
  }

  // The ops of a convention, each with a kind of layer that it differs in, as `list_ops` of flows/intensity/shapes.py.
  function listOps({ id, layers }, convention) {
    return remember([id, convention], () => findOps(layers, convention));
  }

  function findOps(every, convention) {
    const layers = every.filter((layer) => layer.is_draft === (convention === "draft"));
    const found = [];
    for (const op of formulas.conventions[convention].map((number) => formulas.ops[number])) {
      let having = layers.filter((layer) => !op.of || op.of(layer) === true);
      if (op.once) having = having.slice(0, 1);
      const alike = new Map();
      for (const layer of having) {
        const key = JSON.stringify(op.apart_by.split(" ").map((name) => String(layer[name])));
        const first = alike.get(key);
        if (first) first.num_layers += layer.num_layers;
        else alike.set(key, extend(layer, { num_layers: layer.num_layers }));
      }
      const part = FEED_FORWARD.includes(op.op_group) ? "feed_forward" : "mixer";
      const times = new Map();
      for (const [number, layer] of [...alike.values()].entries()) {
        const name = number ? `${op.op}_${layer[part]}` : op.op;
        times.set(name, (times.get(name) || 0) + 1);
        found.push({ op, layer, name: times.get(name) > 1 ? `${name}_${times.get(name)}` : name });
      }
    }
    return found;
  }

  // The settings that an op sees: in a mixed step, those of the decoded rows and of the chunk if it runs once for each.
  function splitMixed(op, setting) {
    if (setting.phase !== "mixed" || !op.apart) return [["", setting]];
    return Object.entries(formulas.mixed).map(([suffix, of]) => [suffix, { ...setting, ...of }]);
  }

  function describe(op, name, layer, setting) {
    const l = extend(layer, setting);
    if (op.when && op.when(l) !== true) return null;
    const found = { op: name, op_group: op.op_group, part: op.part, pipe: "" };
    for (const [dimension, absent] of Object.entries(formulas.dimensions)) {
      found[dimension] = known(dimension in op ? value(op[dimension], l) : absent, NaN);
    }
    for (const dimension of ["kind", "repeat", "idle_repeat"]) found[dimension] = value(op[dimension], l);
    if (hasTree(setting) && "attended_tokens" in op) found.attended_tokens = attendInTree(op, layer, setting);
    return found;
  }

  function hasTree({ tree, phase, convention }) {
    return tree !== undefined && phase === "speculative" && formulas.masked.includes(convention);
  }

  // Tokens that a candidate of a tree attends to on average: its ancestors, as decode would.
  function attendInTree(op, layer, setting) {
    const before = setting.sequence_length - setting.query_length;
    const seen = setting.tree.map((count, depth) => {
      const own = { ...setting, sequence_length: before + depth + 1, query_length: 1 };
      return count * value(op.attended_tokens, extend(layer, own));
    });
    return sum(seen) / sum(setting.tree);
  }

  // Bits of what an op reads and writes: of a part and kind, in a convention, with those of its state if it has its own.
  function chooseBits({ parts, bits, ...others }, convention, kind, part, own) {
    const key = `${convention} ${kind} ${part} ${own}`;
    if (!bits.has(key)) {
      const apart = rename(parts[part] || {}, "part_");
      const of = { ...NO_BITS, ...rename(others, "default_"), ...apart, convention, kind, part, state_bits: own };
      const chosen = Object.entries(formulas.chosen).map(([name, choose]) => [name, choose(of)]);
      bits.set(key, Object.fromEntries(chosen));
    }
    return bits.get(key);
  }

  function addCost(found, { convention, precision, tensor_parallel }) {
    const { kind, part } = found;
    if (!has(formulas.costs, kind) && !elementwise.has(kind)) throw new RangeError(`kind ${kind} has no cost`);
    const bits = chooseBits(precision, convention, kind, part, found.state_bits);
    const formula = formulas.costs[kind] || formulas.costs.elementwise;
    const of = { ...found, ...bits, ...elementwise.get(kind), tensor_parallel };
    const cost = { flops: value(formula.flops, of) };
    for (const name of COSTS) cost[name] = value(formula[name], of);
    const bytes = sum(COSTS.map((name) => cost[name]));
    const op = { ...found, dtype: bits.compute_dtype, ...cost, bytes, switch_bytes: sendOnce(kind, bytes, tensor_parallel) };
    for (const name of Object.keys(formulas.dimensions)) op[name] = known(op[name], null);
    return op;
  }

  // Bytes that a device sends in an all-reduce if the switch adds, as mart.switch_bytes; null of other ops.
  function sendOnce(kind, ringBytes, devices) {
    return kind === "all_reduce" ? ((ringBytes / 2) * devices) / (devices - 1) : null;
  }

  function step(id, asked) {
    const trouble = refuse(id, asked);
    if (trouble) throw new RangeError(trouble);
    const setting = complete(asked);
    const model = models.get(id);
    if (model.given) return listOwn(model.given, setting);
    const { precision, ...seen } = setting;
    const ops = [];
    for (const { op, layer, name } of listOps(model, setting.convention)) {
      for (const [suffix, own] of splitMixed(op, seen)) {
        const found = describe(op, name + suffix, layer, own);
        if (found) ops.push(addCost(found, setting));
      }
    }
    return { ops, memory: hold(model, setting, ops), setting };
  }

  // The user's own ops: those given by FLOP and bytes as they are, and GEMMs.
  const chooseOwn = (given, precision, devices) =>
    given.filter((op) => op.tensor_parallel === devices && op.precisions.includes(precision));

  function listOwn(given, setting) {
    const { precision, tensor_parallel } = setting;
    const own = { ...setting, convention: "custom" };
    const ops = chooseOwn(given, precision.precision_id, tensor_parallel).map(({ precisions: ids, flops, bytes, ...op }) => {
      const found = { ...formulas.dimensions, part: null, idle_repeat: 0, ...op };
      if (op.kind !== "given") return addCost(found, own);
      const place = ids.indexOf(precision.precision_id);
      const cost = { flops: flops[place], bytes: bytes[place], activation_bytes: bytes[place] };
      const others = { weight_bytes: 0, kv_bytes: 0, state_bytes: 0, switch_bytes: null };
      return { ...found, dtype: precision.compute_dtype, ...cost, ...others };
    });
    return { ops, memory: null, setting: own };
  }

  // Bytes that a device holds, as mart.step_times adds them up.
  function hold({ id, model, layers }, setting, ops) {
    const { precision, phase, sequence_length: context } = setting;
    const share = Math.ceil(setting.batch_size / setting.data_parallel);
    const isMixed = phase === "mixed"; // which keeps the sequence of its chunk, too
    const sequences = isMixed ? share + 1 : share;
    const rows = isMixed ? share + setting.query_length : share * setting.query_length;
    const sharing = Object.fromEntries(formulas.sharing.map((name) => [name, setting[name]]));
    const shard = remember([id, sharing], () => describeShard(layers, sharing));
    const live = Math.max(0, ...ops.map((op) => (op.level === "dram" ? op.activation_bytes : 0)));
    const state = known((shard.state_elements * known(precision.state_bits, NaN)) / 8, shard.state_bytes);
    const kv = (shard.kv + shard.compressed) * context + shard.local_kv * Math.min(context, known(model.longest_window, 0));
    const held = {
      ...weigh(shard, precision),
      kv: sequences * (precision.kv_bits / 8) * kv,
      indexer: sequences * (precision.kv_bits / 8) * context * (shard.indexer + shard.compressed_indexer),
      state: sequences * (state + (shard.recent * precision.activation_bits) / 8),
    };
    const activations = live + (rows * model.hidden_size * precision.residual_bits) / 8;
    return { ...held, activations, total: sum(Object.values(held)) };
  }

  // What a device holds of a model, in elements, as `model_shards` and `weights_by_part` of flows/intensity.
  function describeShard(layers, sharing) {
    const one = { phase: "prefill", batch_size: 1, query_length: 1, sequence_length: 1, batch_share: 1 };
    const kinds = layers.map((layer) => extend(layer, { ...one, micro_batches: 1, expert_load: 1, ...sharing }));
    const main = kinds.filter((l) => !l.is_draft);
    const [first] = kinds;
    const round = (elements) => Math.ceil((elements * first.STAGE_LAYERS) / first.model_layers);
    const add = (count) => round(sum(main.map((l) => count(l) * l.num_layers)));
    const addParts = (count) => sum(main.map((l) => count(l) * l.num_layers * l.IN_STAGE));
    const isBounded = (l) => l.sliding_window === l.sliding_window || l.attention_chunk === l.attention_chunk;
    return {
      kv: add((l) => (isBounded(l) ? 0 : l.KV_ELEMENTS)),
      local_kv: add((l) => (isBounded(l) ? l.KV_ELEMENTS : 0)),
      compressed: addParts((l) => l.COMPRESSED_ELEMENTS),
      indexer: add((l) => l.INDEXER_ELEMENTS),
      compressed_indexer: addParts((l) => l.COMPRESSED_INDEXER_ELEMENTS),
      recent: add((l) => l.RECENT_ELEMENTS),
      state_elements: add((l) => l.STATE_ELEMENTS),
      state_bytes: addParts((l) => (l.STATE_ELEMENTS * known(l.state_bits, 0)) / 8),
      weights: countWeights(main, first, round),
      others: add((l) => l.other_parameters) + first.model_other_parameters,
      towers: first.tower_parameters,
      tied: first.ONE_EMBEDDING,
      has_stages: sharing.pipeline_parallel > 1,
    };
  }

  // Weights of each part: those in matrices, the others, and output rows.
  function countWeights(main, first, round) {
    const count = (op, name, l) => (!op.of || op.of(l) === true ? known(value(op[name] || 0, l), 0) : 0);
    const ops = formulas.conventions.engine.map((place, number) => ({ ...formulas.ops[place], ...formulas.held[number] }));
    return Object.fromEntries(formulas.parts.map((part) => {
      const [repeated, once] = [false, true].map((isOnce) => ops.filter((op) => op.part === part && !!op.once === isOnce));
      const add = (of) => round(sum(main.flatMap((l) => repeated.map((op) => of(op, l))))) +
        sum(once.map((op) => of(op, first)));
      return [part, {
        in_matrices: add((op, l) => count(op, "in_matrices", l)),
        in_vectors: add((op, l) => count(op, "held", l) - count(op, "in_matrices", l)),
        rows: add((op, l) => count(op, "rows", l)),
      }];
    }));
  }

  // Weights and towers, each part in its own bits, as `weight_memory`.
  function weigh(shard, precision) {
    const bitsOf = (part) => chooseBits(precision, "engine", "", part, NaN);
    let bits = shard.others * bitsOf(null).vector_bits;
    for (const [part, { in_matrices, in_vectors, rows }] of Object.entries(shard.weights)) {
      const { weight_bits, vector_bits, row_scale_bits } = bitsOf(part);
      bits += in_matrices * weight_bits + in_vectors * vector_bits + rows * row_scale_bits;
    }
    const [embedding, head] = ["embedding", "lm_head"].map((part) => bitsOf(part).weight_bits);
    if (embedding === head || shard.has_stages) bits -= shard.tied * Math.min(embedding, head);
    return { weights: bits / 8, towers: (shard.towers * bitsOf("tower").weight_bits) / 8 };
  }

  const isOwn = (id) => Boolean(models.get(id).given); // whether an id is that of a file of the user's ops

  return { know, add, refuse, step, isOwn, choosePrecision };
})();
