"use strict";

// How a person writes a number: flows/site/legible.py is the same for the tables of pages.
window.legible = (() => {
  const PREFIXES = ["p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E"];
  const [LEAST, MOST] = [1e-4, 1e15]; // numbers outside this range have an exponent

  // made once: toLocaleString makes one anew for each number, which took most of the time of a table
  const [WHOLE, FOUR_DIGITS] = [{ maximumFractionDigits: 0 }, { maximumSignificantDigits: 4 }]
    .map((options) => new Intl.NumberFormat("en-US", options));

  function plain(value) {
    const size = Math.abs(value);
    if (size >= 1000 && size < MOST) return WHOLE.format(Math.round(value));
    if (value === 0 || (size >= LEAST && size < 1000)) return FOUR_DIGITS.format(value);
    const [mantissa, exponent] = value.toExponential(3).split("e");
    return `${Number(mantissa)}e${Number(exponent)}`;
  }

  // `unit`: "" or none, "%" of a share, or a unit that takes the prefixes of SI, e.g. "FLOP/s".
  return (value, unit = "") => {
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (typeof value !== "number" || !Number.isFinite(value)) return value ?? undefined;
    if (unit === "") return plain(value);
    if (unit === "%") return `${plain(100 * value)}%`;
    const shown = Math.abs(Number(value.toPrecision(4)));
    const most = unit === "s" ? 0 : 6; // nobody writes kiloseconds
    const step = shown ? Math.max(-4, Math.min(most, Math.floor(Math.log10(shown) / 3 + 1e-9))) : 0;
    return `${plain(value / 1000 ** step)} ${PREFIXES[step + 4]}${unit}`;
  };
})();
