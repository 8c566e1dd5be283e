"use strict";

// A result as text: cells of the table, and CSV.
window.consoleTable = (() => {
  const BEGINS_A_FORMULA = /^[=+\-@\t\r]/; // what spreadsheets would take for one
  const NUMBERS = [2, 3, 7]; // Arrow's types: integers, floats, decimals
  const [FLOAT, DATE, TIMESTAMP] = [3, 8, 10];

  const isNumber = ({ typeId }) => NUMBERS.includes(typeId);

  function plain(value) {
    if (value === null || value === undefined) return null;
    if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (ArrayBuffer.isView(value)) return Array.from(value, plain);
    if (typeof value.toJSON === "function") return plain(value.toJSON());
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
    return value;
  }

  // Every digit of a value, as CSV has it; null stays null.
  function exact(value, type) {
    if (value === null || value === undefined) return null;
    if (type.typeId === DATE) return new Date(Number(value)).toISOString().slice(0, 10);
    if (type.typeId === TIMESTAMP) return new Date(Number(value)).toISOString().replace("T", " ").replace("Z", "");
    const made = plain(value);
    return typeof made === "object" ? JSON.stringify(made) : String(made);
  }

  // Floats are written as in every table of the site, and their tooltip has all digits; integers can be years or ids.
  function short(value, type) {
    const isFloat = type.typeId === FLOAT && typeof value === "number" && Number.isFinite(value);
    return isFloat ? window.legible(value) : exact(value, type);
  }

  function quote(text) {
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  // Text that begins like a formula gets an apostrophe, as in `rooflines query --format csv`.
  function csvCell(value, type) {
    const text = exact(value, type);
    if (text === null) return "";
    return quote(!isNumber(type) && BEGINS_A_FORMULA.test(text) ? `'${text}` : text);
  }

  function show(table, fields, rows) {
    const head = document.createElement("thead");
    const line = head.insertRow();
    for (const { name, type } of fields) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      cell.title = String(type);
      if (isNumber(type)) cell.className = "number";
      line.append(cell);
    }
    const body = document.createElement("tbody");
    for (const row of rows) {
      const made = body.insertRow();
      row.forEach((value, i) => {
        const { type } = fields[i];
        const cell = made.insertCell();
        const text = short(value, type);
        if (isNumber(type)) cell.className = "number";
        if (text === null) cell.className += " null";
        else if (text !== exact(value, type)) cell.title = exact(value, type);
        cell.textContent = text ?? "null";
      });
    }
    table.replaceChildren(head, body);
  }

  return { show, csvCell, quote, plain, isNumber };
})();
