"use strict";

// What the marks of the picture mean: the key below it, and the tooltip of a mark with all of its ops.
explorer.key = (() => {
  const { results, plot, tables } = explorer;
  const { element } = tables;
  const byId = (id) => document.getElementById(id);

  // What the shapes and lines mean.
  function show(taken) {
    const drawn = taken.flatMap(({ steps }) => steps.filter(results.isDrawn));
    const groups = [...new Set(drawn.flatMap((step) => plot.drawnOps(step).map(({ op_group: group }) => group)))];
    groups.sort((a, b) => plot.GROUPS.indexOf(a) - plot.GROUPS.indexOf(b));
    const sign = (path, style) => {
      const made = plot.svg("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" });
      made.append(plot.svg("path", { d: path, style }));
      return made;
    };
    const ink = "fill:none;stroke:var(--ink);stroke-width:1.5";
    const rows = groups.map((group) => {
      const made = sign(plot.shapeOf(group), "fill:none;stroke:var(--ink);stroke-width:.35");
      made.firstChild.setAttribute("transform", "scale(4.5)");
      return element("li", {}, made, group);
    });
    const dtypes = plot.listDtypes(taken);
    if (dtypes.length > 1) {
      for (const dtype of dtypes) {
        const made = sign("M-8,0H8", `${ink};stroke-width:2;stroke-dasharray:${plot.dashOf(dtype, dtypes).replaceAll(" ", ",")}`);
        rows.push(element("li", {}, made, `${dtype} roof`));
      }
    }
    if (drawn.some(({ measured }) => measured.some((kernel) => kernel?.flops))) {
      rows.push(element("li", {}, sign("M-3.5,-3.5l7,7m0,-7l-7,7", ink), "measured, with its headroom"));
    }
    if (rows.length) rows.push(element("li", {}, "area: share of the step's time"));
    byId("key").replaceChildren(...rows);
  }

  function openTooltip(spot, event) {
    const tip = byId("tip");
    tip.hidden = !spot;
    if (!spot) return;
    const { step, points, share } = spot;
    const shown = points.slice(0, 8).map((point) => element("tr", {}, tables.heading(point.op),
      tables.number(legible(point.repeat * point.seconds, "s")), tables.number(tables.percent(results.share(step, point))),
      tables.number(legible(point.flops, "FLOP")), tables.number(legible(point.bytes, "B"))));
    const [first] = points;
    const where = `${legible(first.intensity)} FLOP/byte, ${legible(first.attainable, "FLOP/s")} in ${first.dtype}, ${first.bound}-bound`;
    const kernels = points.map((point) => step.measured[step.points.indexOf(point)]).filter(Boolean);
    const headroom = kernels.map((kernel) => `${kernel.op} measured ${legible(kernel.seconds, "s")}, headroom ×${legible(kernel.seconds / kernel.lower_bound_s)}`);
    tip.replaceChildren(
      element("strong", {}, `${step.device.name}: ${points.length > 1 ? `${points.length} ops, ` : ""}${tables.percent(share)} of the step`),
      element("div", {}, where),
      element("table", {}, tables.head(["op", "#of a step", "#share", "#FLOP", "#bytes"]), element("tbody", {}, ...shown)),
      points.length > 8 ? element("div", {}, `and ${points.length - 8} more`) : "",
      ...headroom.map((line) => element("div", {}, line)),
    );
    const margin = 14;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = event.clientX + margin + width > innerWidth ? event.clientX - margin - width : event.clientX + margin;
    const top = Math.min(event.clientY + margin, innerHeight - height - 4);
    Object.assign(tip.style, { left: `${Math.max(4, left)}px`, top: `${Math.max(4, top)}px` });
  }

  return { show, openTooltip };
})();
