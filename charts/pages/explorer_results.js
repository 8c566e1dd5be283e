"use strict";

// The steps of the chosen models on the chosen devices.
explorer.results = (() => {
  const { choices } = explorer;
  // the palette of charts/style.py, which the style sheet has for both colour schemes, and the ink
  const COLOURS = ["blue", "vermilion", "green", "purple", "orange", "sky", "ink", "grey"].map((name) => `var(--${name})`);

  // The ops of a model at the setting, or why there are none.
  function takeModel(model) {
    const asked = choices.settingOf(model);
    const refused = costs.refuse(model.id, asked);
    if (refused) return { model, refused, ops: [], memory: null, setting: null };
    const { ops, memory, setting } = costs.step(model.id, asked);
    return {
      model, ops, memory, refused: ops.length ? null : `the convention ${asked.convention} counts no op there`,
      setting: {
        ...setting, precision_id: asked.precision, parts: choices.state.parts, ...(model.hasFormulas ? {} : WITHOUT_SIZES),
      },
    };
  }

  // Ops of a user's own file have no phase and no sizes.
  const WITHOUT_SIZES = { phase: null, batch_size: null, sequence_length: null, query_length: null };

  // The dtypes that a device needs: those of the precision, of which a step is all of its ops, and those of its parts.
  function neededDtypes({ ops, setting }) {
    const used = ops.filter(({ flops }) => flops).map(({ dtype }) => dtype);
    const all = Object.keys(setting.parts ?? {}).length ? ops.map(({ dtype }) => dtype) : explorer.dtypes.get(setting.precision_id);
    const main = explorer.dtypes.get(setting.precision_id)[0];
    return [...new Set([main, ...all, ...used])].filter((dtype) => all.includes(dtype) || used.includes(dtype));
  }

  function compute() {
    const devices = choices.chosenDevices().map((device, i) => ({ ...device, colour: COLOURS[i] }));
    return choices.chosenModels().map(takeModel).map((taken) => {
      if (taken.refused) return { ...taken, needed: [], steps: [] };
      const needed = neededDtypes(taken);
      const steps = devices.map((device) => takeDevice(taken, device, needed));
      return { ...taken, needed, steps };
    });
  }

  function takeDevice({ model, ops, setting, memory }, device, needed) {
    const lacking = needed.find((dtype) => !times.findRoof(device, "dram", dtype));
    const step = lacking ? { lacking } : times.takeStep(ops, device, setting, memory);
    if (step.lacking) return { model, device, ...step };
    const expected = setting.phase ? times.expectStep(step, device, setting) : null;
    return { model, device, setting, ...step, expected, memory, measured: findMeasured(model, device, setting, ops) };
  }

  // The fastest kernel that was measured of each op at exactly this setting.
  function findMeasured(model, device, setting, ops) {
    const kernels = (explorer.measured.get(model.id) ?? []).filter((kernel) =>
      kernel.hardware_id === device.id && kernel.phase === setting.phase && setting.convention === "engine" &&
      ["batch_size", "sequence_length", "query_length", "tensor_parallel"].every((name) => kernel[name] === setting[name]));
    return ops.map(({ op, dtype }) => kernels.find((kernel) => kernel.op === op && kernel.dtype === dtype) ?? null);
  }

  // The setting nearest to this one at which kernels of the model were measured on one of the devices, or null.
  function nearestMeasured(steps) {
    const found = steps.flatMap(({ model, device, setting }) => (explorer.measured.get(model.id) ?? [])
      .filter((kernel) => kernel.hardware_id === device.id && kernel.phase === setting.phase &&
        kernel.tensor_parallel === setting.tensor_parallel)
      .map((kernel) => {
        const far = (name) => Math.abs(Math.log(kernel[name] / setting[name]));
        return { model, device, kernel, far: far("batch_size") + far("sequence_length") + far("query_length") };
      }));
    return found.reduce((a, b) => (a && a.far <= b.far ? a : b), null);
  }

  const isDrawn = ({ lacking }) => !lacking;
  const share = (step, point) => (point.repeat * point.seconds) / step.lower_bound_s;
  const tokens = ({ expected, tokens_per_s: most }) => expected?.tokens_per_s ?? most;
  const best = ({ expected, lower_bound_s: least }) => expected?.predicted_s ?? least;

  // Alike is compared with alike: expected times count only if every device has one, and most of each is calibrated.
  const isExpected = (steps) => steps.every(({ expected }) => expected?.covered_share > 0.5);

  return { compute, takeModel, isDrawn, share, tokens, best, isExpected, nearestMeasured, COLOURS };
})();
