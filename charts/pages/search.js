"use strict";

// The search in the head of every page: over charts, devices, models, tables and views.
(() => {
  const MOST = 12; // results shown
  const form = document.getElementById("find");
  const field = form.elements.find;
  const list = document.getElementById("found");
  const root = form.dataset.root;
  let entries = null; // [kind, name, path, words]
  let loading = null;

  // The list of pages is a script, since a page from disk may not fetch; it is loaded when it is first needed.
  const load = () =>
    (loading ??= new Promise((resolve) => {
      window.knowPages = (pages) => {
        entries = pages.map((page) => [...page, `${page[0]} ${page[1]} ${page[3]}`.toLowerCase()]);
        resolve();
      };
      const script = document.createElement("script");
      script.src = `${root}assets/pages.js`;
      document.head.append(script);
    }));

  // Pages that have all words: first those whose name begins with the text, then those whose name has it; charts, which
  // have whole sentences as names, come after others.
  const find = (text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const match = (name) => (name.startsWith(words.join(" ")) ? 0 : words.every((word) => name.includes(word)) ? 1 : 2);
    const rank = ([kind, name]) => match(name.toLowerCase()) + (kind === "chart" ? 1.5 : 0);
    return entries
      .filter(([, , , , all]) => words.every((word) => all.includes(word)))
      .map((entry, place) => [rank(entry), place, entry])
      .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      .map(([, , entry]) => entry);
  };

  const write = (target, found, text) => {
    const items = found.slice(0, MOST).map(([kind, name, path]) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      const tag = document.createElement("span");
      link.href = root + path;
      link.textContent = name;
      tag.className = "small";
      tag.textContent = kind;
      item.append(link, " ", tag);
      return item;
    });
    if (!items.length && text) items.push(Object.assign(document.createElement("li"), { textContent: "Nothing found." }));
    if (found.length > MOST) {
      items.push(Object.assign(document.createElement("li"), { className: "small", textContent: `and ${found.length - MOST} more` }));
    }
    target.replaceChildren(...items);
    target.hidden = !items.length;
  };

  const show = async () => {
    await load();
    write(list, find(field.value), field.value.trim());
  };
  const close = () => {
    list.hidden = true;
  };
  field.addEventListener("focus", () => (field.value ? show() : load()));
  field.addEventListener("input", show);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await show();
    list.querySelector("a")?.click();
  });
  form.addEventListener("focusout", (event) => form.contains(event.relatedTarget) || close());
  form.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      close();
      field.focus();
    } else if (step && links.length && !list.hidden) {
      event.preventDefault();
      const next = links.indexOf(document.activeElement) + step;
      (links[next] ?? (next < 0 ? field : links.at(-1))).focus();
    }
  });
  form.hidden = false;

  // Other pages than charts, for the search of the index.
  window.findOtherPages = async (text, target) => {
    await load();
    write(target, find(text).filter(([kind]) => kind !== "chart"), "");
  };
})();
