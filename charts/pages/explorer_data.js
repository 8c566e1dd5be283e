"use strict";

// What the page knows: devices with their roofs, precisions, and what scripts bring when they are first needed.
window.explorer = (() => {
  const devices = new Map(); // by id, as times.js has them, in the order of the list
  const dtypes = new Map(); // by precision, in the order of the list: those of its arithmetic, the main one first
  const files = new Map(); // by id of a model or device: the name of its scripts, if it differs from the id
  const withMeasured = new Set(); // models
  const measured = new Map(); // by model: kernels
  const loading = new Map(); // by address of a script

  function know({ devices: facts, roofs, precisions, kernels, files: named, measured: models }) {
    for (const [id, file] of Object.entries(named)) files.set(id, file);
    for (const { precision_id: id, dtype } of decode(precisions)) {
      if (!dtypes.has(id)) dtypes.set(id, []);
      dtypes.get(id).push(dtype);
    }
    const byDevice = Map.groupBy(decode(roofs), (roof) => roof.hardware_id);
    for (const { hardware_id: id, short_name: name, ...device } of decode(facts)) {
      devices.set(id, times.makeDevice({ id, name, ...device }, byDevice.get(id) ?? []));
    }
    times.knowKernels(kernels);
    for (const model of models) withMeasured.add(model);
  }

  function decode(columns) {
    const names = Object.keys(columns);
    return columns[names[0]].codes.map((_, i) =>
      Object.fromEntries(names.map((name) => {
        const { values, codes } = columns[name];
        return [name, values ? values[codes[i]] : codes[i]];
      })),
    );
  }

  function calibrate(id, columns) {
    devices.get(id).calibration = times.makeCalibration(decode(columns));
  }

  function measure(id, columns) {
    measured.set(id, decode(columns));
  }

  // A script is loaded once, when it is first needed.
  function load(folder, id) {
    const address = `../assets/${folder}/${encodeURIComponent(files.get(id) ?? id)}.js`;
    if (!loading.has(address)) {
      const loaded = new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = address;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`The data of ${id} could not be loaded.`));
        document.head.append(script);
      });
      loading.set(address, loaded);
      loaded.catch(() => loading.delete(address));
    }
    return loading.get(address);
  }

  // What models and devices need, or null if all of it is here.
  function loadAll(models, chosen) {
    const needed = [];
    for (const { id } of models) {
      needed.push(["models", id]);
      if (withMeasured.has(id)) needed.push(["measured", id]);
    }
    for (const { id, is_calibrated: isCalibrated } of chosen) if (isCalibrated) needed.push(["calibrations", id]);
    const missing = needed.filter(([folder, id]) => !ready.has(`${folder} ${id}`));
    if (!missing.length) return null;
    return Promise.all(missing.map(async ([folder, id]) => {
      await load(folder, id);
      ready.add(`${folder} ${id}`);
    }));
  }
  const ready = new Set();

  const hold = (columns) => explorer.sql.hold(decode(columns));

  return { know, hold, calibrate, measure, loadAll, devices, dtypes, measured };
})();
