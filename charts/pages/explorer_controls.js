"use strict";

// Parts of the page that people operate: groups that are one stop of the Tab key, number boxes, buttons that copy.
explorer.controls = (() => {
  const { choices, tables } = explorer;

  // What the search hides. A layout would say it too, but takes longer than all that a control changes.
  const isShown = (item) => !item.disabled && !item.closest("[hidden]");

  // Arrow keys move among the parts of a group, which is one stop of the Tab key.
  function rove(group, items) {
    const shown = () => items().filter(isShown);
    const mark = (chosen) => {
      for (const item of items()) item.tabIndex = -1;
      const found = shown();
      const one = found.includes(chosen) ? chosen : found[0];
      if (one) one.tabIndex = 0;
    };
    const keys = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    group.addEventListener("keydown", (event) => {
      const found = shown();
      const place = found.indexOf(document.activeElement);
      if (place < 0) return;
      const ends = { Home: found[0], End: found.at(-1) };
      const next = ends[event.key] ?? found[place + (keys[event.key] ?? NaN)];
      if (!next) return;
      event.preventDefault();
      mark(next);
      next.focus();
    });
    group.addEventListener("focusin", ({ target }) => items().includes(target) && mark(target));
    mark();
    return mark;
  }

  // A number is taken as soon as it is one, and what is not is said and left as it was.
  function listenToNumber(name, take) {
    const field = document.getElementById("controls").elements[name];
    const read = () => {
      const notes = [];
      const number = choices.readNumber(name, field.value, notes);
      const isEmpty = field.value.trim() === "" && name !== "query";
      if (isEmpty) notes.push(`${name} has no number`);
      field.setAttribute("aria-invalid", String(notes.length > 0));
      take(number, notes);
    };
    const scale = (factor) => {
      const least = 1;
      const from = Number(field.value) || least;
      field.value = Math.min(choices.MOST[name], Math.max(least, factor > 1 ? from * 2 : Math.floor(from / 2)));
      read();
    };
    field.addEventListener("input", read);
    field.addEventListener("keydown", (event) => {
      if (event.key !== "PageUp" && event.key !== "PageDown") return;
      event.preventDefault();
      scale(event.key === "PageUp" ? 2 : 0.5);
    });
    for (const button of field.closest(".number-box").querySelectorAll("button")) {
      button.addEventListener("click", () => scale(Number(button.dataset.factor)));
    }
  }

  async function copy(button, copied) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(copied);
    } catch { // not allowed, or not served over https
      const area = document.body.appendChild(tables.element("textarea", { value: copied }));
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  }

  return { rove, listenToNumber, copy };
})();
