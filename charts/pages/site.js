"use strict";

// A scope of its own: the names of the Vega bundle are global.
(() => {
// The index: show the cards that match the filters, and keep the filters in the address, so that it can be shared.
function filterCards(form) {
  const cards = [...document.querySelectorAll("#cards > li")];
  const names = ["text", "device", "model", "phase", "kind"];
  const show = () => {
    const chosen = Object.fromEntries(names.map((name) => [name, form.elements[name].value.trim()]));
    const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const { kind, devices, model, phases, text } = card.dataset;
      const fits =
        words.every((word) => text.includes(word)) &&
        (!chosen.device || devices.split(" ").includes(chosen.device)) &&
        (!chosen.model || model === chosen.model) &&
        (!chosen.phase || phases.split(" ").includes(chosen.phase)) &&
        (!chosen.kind || kind === chosen.kind);
      card.hidden = !fits;
      shown += fits;
    }
    document.getElementById("count").textContent = `${shown} of ${cards.length} charts`;
    document.getElementById("none").hidden = shown > 0;
    const address = new URLSearchParams(names.filter((name) => chosen[name]).map((name) => [name, chosen[name]]));
    history.replaceState(null, "", String(address) ? `#${address}` : location.pathname + location.search);
  };
  const read = () => {
    const address = new URLSearchParams(location.hash.slice(1));
    for (const name of names) form.elements[name].value = address.get(name) ?? "";
    show();
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  // #content is the target of the skip link, not a filter
  addEventListener("hashchange", () => (location.hash === "#content" ? show() : read()));
  form.hidden = false;
  read();
}

function offerCopies() {
  if (!navigator.clipboard) return; // e.g. over plain http
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const source = document.getElementById(button.dataset.copies);
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    });
  }
}

// If the site is served, a page elsewhere needs the whole address to embed a picture.
function nameSource() {
  const embed = document.getElementById("embed");
  if (!embed || !location.protocol.startsWith("http")) return;
  embed.value = embed.value.replace(/src="([^"]*)"/, (_, file) => `src="${new URL(file, location)}"`);
}

const filters = document.getElementById("filters");
if (filters) filterCards(filters);
nameSource();
offerCopies();
})();
