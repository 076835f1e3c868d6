/* Draws the charts of the page and switches its theme. Values arrive as JSON; text only ever enters as text.
   Colours are names from the stylesheet, so that a change of theme or a printer needs no new drawing. */
(() => {
  "use strict";
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const color = (name) => `var(--${name})`;
  const share = (v) => `${(100 * v).toFixed(1)} %`;
  const short = (v) => {
    if (v === null || v === undefined) return "not known";
    const size = Math.abs(v);
    if (size >= 1e6 || (size > 0 && size < 1e-4)) return v.toExponential(2);
    return size >= 1000 ? Math.round(v).toLocaleString("en") : String(Number(v.toPrecision(4)));
  };

  // ---- Pieces of Vega specifications -------------------------------------------------------------------------------
  const font = getComputedStyle(document.body).fontFamily;
  const axis = (scale, orient, more) => ({
    scale, orient, domain: orient === "bottom", domainColor: color("line"), ticks: false, labelPadding: 6,
    labelColor: color("muted"), titleColor: color("muted"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
    gridColor: color("grid"), labelOverlap: "greedy", labelSeparation: 4, ...more,
  });
  const base = (height, parts) => ({
    background: null, padding: { left: 2, right: 12, top: 6, bottom: 2 }, autosize: { type: "fit", contains: "padding" },
    height, width: 400, ...parts,
  });
  const tip = { signal: "datum.tip" };
  const value = (v) => ({ value: v });
  const at = (scale, field, more) => ({ scale, field, ...more });
  const round = { format: "~s", encode: { labels: { update: { text: { signal: "datum.value === 0 ? '0' : datum.label" } } } } };
  // Long names of columns often differ at their ends: cut them in the middle.
  const brief = (name) => (name.length > 20 ? `${name.slice(0, 10)}…${name.slice(-9)}` : name);
  const named = (scale) => ({ encode: { labels: { update: { text: { scale, field: "value" } } } } });

  // Ticks of a log axis: 1, 2, 5 in every decade while there are few decades, then powers of ten alone.
  const logTicks = ([low, high]) => {
    const steps = Math.log10(high / low) > 2.2 ? [1] : [1, 2, 5];
    const decades = Array.from({ length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 }, (_, i) => i + Math.floor(Math.log10(low)));
    return decades.flatMap((k) => steps.map((s) => Number(`${s}e${k}`))).filter((v) => v >= low && v <= high);
  };

  // ---- One function for each kind of chart: (values, height) to a Vega specification ---------------------------------
  const kinds = {
    // Two distributions over many bins: the reference as a grey ground, the candidate as a line over it.
    overlay(d, height) {
      const rows = d.bins.map((bin, i) => ({
        bin: i, name: bin, c: d.candidate[i], r: d.reference[i],
        tip: [bin, ["candidate", share(d.candidate[i])], ["reference", share(d.reference[i])]],
      }));
      const last = { ...rows[rows.length - 1], bin: rows.length };
      const area = { interpolate: value("step-after"), x: at("x", "bin") };
      return base(height, {
        data: [{ name: "rows", values: rows }, { name: "closed", values: [...rows, last] }],
        scales: [
          { name: "x", type: "linear", domain: [0, rows.length], range: "width", nice: false },
          { name: "band", type: "band", domain: d.bins.map((_, i) => i), range: "width" },
          { name: "label", type: "ordinal", domain: d.bins.map((_, i) => i), range: d.bins.map(brief) },
          { name: "edge", type: "ordinal", domain: d.edges.map((_, i) => i), range: d.edges },
          { name: "y", domain: { data: "rows", fields: ["c", "r"] }, range: "height", nice: true, zero: true },
        ],
        axes: [
          axis("y", "left", { grid: true, format: ".0%", tickCount: 4, title: "share of rows" }),
          d.edges.length
            ? axis("x", "bottom", { title: d.column, values: d.edges.map((_, i) => i), ticks: true, tickColor: color("line"), labelPadding: 2, ...named("edge") })
            : axis("band", "bottom", { title: d.column, labelAngle: -35, labelAlign: "right", labelBaseline: "middle", labelLimit: 110, ...named("label") }),
        ],
        marks: [
          { type: "area", from: { data: "closed" }, encode: { update: { ...area, y: at("y", "r"), y2: { scale: "y", value: 0 }, fill: value(color("ground")) } } },
          { type: "line", from: { data: "closed" }, encode: { update: { ...area, y: at("y", "c"), stroke: value(color("candidate")), strokeWidth: value(2) } } },
          { type: "rect", from: { data: "rows" }, encode: {
            update: { x: at("band", "bin"), width: { scale: "band", band: 1 }, y: value(0), y2: { signal: "height" }, fill: value(color("ink")), fillOpacity: value(0), tooltip: tip },
            hover: { fillOpacity: value(0.07) } } },
        ],
      });
    },

    // A few categories: a grey bar behind a blue one.
    "overlay-side"(d, height) {
      const rows = d.bins.map((bin, i) => ({
        bin: i, c: d.candidate[i], r: d.reference[i],
        tip: [bin, ["candidate", share(d.candidate[i])], ["reference", share(d.reference[i])]],
      }));
      const bar = (field, from, size, fill) => ({
        type: "rect", from: { data: "rows" }, encode: { update: {
          y: at("y", "bin", { band: from }), height: { scale: "y", band: size }, x: { scale: "x", value: 0 }, x2: at("x", field),
          fill: value(color(fill)) } },
      });
      return base(height, {
        data: [{ name: "rows", values: rows }],
        scales: [
          { name: "x", domain: { data: "rows", fields: ["c", "r"] }, range: "width", nice: true, zero: true },
          { name: "y", type: "band", domain: rows.map((row) => row.bin), range: "height", padding: 0.12 },
          { name: "label", type: "ordinal", domain: rows.map((row) => row.bin), range: d.bins.map(brief) },
        ],
        axes: [
          axis("x", "bottom", { grid: true, domain: false, format: ".0%", tickCount: 4, title: "share of rows" }),
          axis("y", "left", { labelLimit: 130, labelOverlap: false, ...named("label") }),
        ],
        marks: [
          bar("r", 0, 1, "ground"),
          bar("c", 0.28, 0.44, "candidate"),
          { type: "rect", from: { data: "rows" }, encode: {
            update: { y: at("y", "bin"), height: { scale: "y", band: 1 }, x: value(0), x2: { signal: "width" }, fill: value(color("ink")), fillOpacity: value(0), tooltip: tip },
            hover: { fillOpacity: value(0.07) } } },
        ],
      });
    },

    // Differences of dependence: blue up, orange down, stronger is fuller; what a real split gives stays faint.
    matrix(d, height) {
      const n = d.labels.length;
      const cells = [];
      let top = 0;
      d.values.forEach((row, i) => row.forEach((v, j) => { if (i !== j && v !== null) top = Math.max(top, Math.abs(v)); }));
      d.values.forEach((row, i) => row.forEach((v, j) => {
        if (i === j || v === null) return;
        const inside = d.null !== null && d.null !== undefined && Math.abs(v) <= d.null;
        const strength = top ? Math.abs(v) / top : 0;
        cells.push({
          i, j, fill: color(v < 0 ? "low" : "high"), opacity: inside ? 0.08 : 0.2 + 0.8 * strength,
          tip: [`${d.labels[i]}, ${d.labels[j]}`, ["difference", short(v)], ...(d.null === null ? [] : [["a real split gives up to", short(d.null)]])],
        });
      }));
      const names = { ...named("label"), labelOverlap: false, domain: false, labelFontSize: n > 22 ? 10 : 12, labelPadding: 3 };
      const domain = d.labels.map((_, i) => i);
      return base(height, {
        data: [{ name: "cells", values: cells }],
        scales: [
          { name: "x", type: "band", domain, range: "width", padding: 0.04 },
          { name: "y", type: "band", domain, range: "height", padding: 0.04 },
          { name: "label", type: "ordinal", domain, range: d.labels.map(brief) },
        ],
        axes: [
          axis("x", "bottom", { ...names, labelAngle: -90, labelAlign: "right", labelBaseline: "middle", labelLimit: 140 }),
          axis("y", "left", { ...names, labelLimit: 150 }),
        ],
        marks: [{ type: "rect", from: { data: "cells" }, encode: {
          update: { x: at("x", "j"), width: { scale: "x", band: 1 }, y: at("y", "i"), height: { scale: "y", band: 1 },
            fill: { field: "fill" }, fillOpacity: { field: "opacity" }, stroke: value(null), tooltip: tip },
          hover: { stroke: value(color("ink")), strokeWidth: value(1.5) } } }],
      });
    },

    // Series: lines, points, or an interval at one place; bands where bounds are given.
    lines(d, height) {
      const data = [], marks = [], hits = [];
      d.series.forEach((s, k) => {
        const rows = s.x.map((x, i) => {
          const bounds = s.lower && s.lower[i] !== null ? [["range", `${short(s.lower[i])} to ${short(s.upper[i])}`]] : [];
          return { x, y: s.y[i], lo: s.lower ? s.lower[i] : null, hi: s.upper ? s.upper[i] : null,
            tip: [s.name, [d.x_label, short(x)], [d.y_label, short(s.y[i])], ...bounds] };
        }).filter((row) => row.y !== null && row.x !== null);
        const from = { data: `s${k}` }, place = { x: at("x", "x"), y: at("y", "y") }, paint = color(s.color);
        data.push({ name: `s${k}`, values: rows });
        const banded = s.lower && s.upper;
        if (banded && s.mark === "line") {
          marks.push({ type: "area", from, encode: { update: { x: at("x", "x"), y: at("y", "lo"), y2: at("y", "hi"), fill: value(paint), fillOpacity: value(0.16) } } });
        } else if (banded) {
          marks.push({ type: "rule", from, encode: { update: { x: at("x", "x"), y: at("y", "lo"), y2: at("y", "hi"), stroke: value(paint), strokeWidth: value(2) } } });
        }
        if (s.mark === "line") {
          marks.push({ type: "line", from, encode: { update: { ...place, stroke: value(paint), strokeWidth: value(2), strokeDash: value(s.dash ? s.dash.split(" ").map(Number) : []) } } });
        } else {
          marks.push({ type: "symbol", from, encode: { update: { ...place, fill: value(paint), fillOpacity: value(0.75), size: value(s.mark === "interval" ? 80 : 44) } } });
        }
        // A generous invisible target for the pointer, above everything else.
        hits.push({ type: "symbol", from, encode: { update: { ...place, size: value(240), fill: value(paint), fillOpacity: value(0), tooltip: tip }, hover: { fillOpacity: value(0.35) } } });
      });
      const ends = data.flatMap((set) => set.values);
      const log = { x: d.x_scale === "log", y: d.y_scale === "log" };
      const domain = (keys) => {
        const all = ends.flatMap((row) => keys.map((key) => row[key])).filter((v) => v !== null);
        const low = Math.min(...all), high = Math.max(...all);
        return low < high ? [low, high] : [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
      };
      const scale = (name, keys, range) => ({ name, type: log[name] ? "log" : "linear", domain: domain(keys), range, zero: false, nice: name === "y", padding: name === "x" ? 8 : 0 });
      return base(height, {
        data, marks: [...marks, ...hits],
        scales: [scale("x", ["x"], "width"), scale("y", ["y", "lo", "hi"], "height")],
        axes: [
          axis("x", "bottom", { title: d.x_label, ...(log.x ? { values: logTicks(domain(["x"])) } : { tickCount: 5 }), ...round }),
          axis("y", "left", { title: d.y_label, grid: true, format: "~g", ...(log.y ? { values: logTicks(domain(["y", "lo", "hi"])) } : { tickCount: 5 }) }),
        ],
      });
    },

    // A dot on a stem from zero for each name, over the band that real data gives.
    bars(d, height) {
      const rows = d.labels.map((name, i) => {
        const mean = d.means.length ? d.means[i] : null, std = d.stds.length ? d.stds[i] : null;
        const spread = mean === null ? [] : [["real against real", std === null ? short(mean) : `${short(mean)} ± ${short(std)}`]];
        return { i, v: d.values[i], lo: mean === null ? null : mean - 2 * (std || 0), hi: mean === null ? null : mean + 2 * (std || 0), mean,
          tip: [name, ["here", `${short(d.values[i])} ${d.unit}`.trim()], ...spread] };
      });
      const nulls = rows.filter((row) => row.mean !== null);
      const domain = [0, ...rows.map((row) => row.v), ...nulls.flatMap((row) => [row.lo, row.hi])];
      return base(height, {
        data: [{ name: "rows", values: rows }, { name: "nulls", values: nulls }],
        scales: [
          { name: "x", domain: [Math.min(...domain), Math.max(...domain)], range: "width", nice: true },
          { name: "y", type: "band", domain: rows.map((row) => row.i), range: "height", padding: 0.15 },
          { name: "label", type: "ordinal", domain: rows.map((row) => row.i), range: d.labels.map(brief) },
        ],
        axes: [
          axis("x", "bottom", { grid: true, domain: false, tickCount: 5, format: "~g", title: d.unit }),
          axis("y", "left", { labelLimit: 150, labelOverlap: false, ...named("label") }),
        ],
        marks: [
          { type: "rect", from: { data: "nulls" }, encode: { update: { y: at("y", "i"), height: { scale: "y", band: 1 }, x: at("x", "lo"), x2: at("x", "hi"), fill: value(color("ground")) } } },
          { type: "rule", from: { data: "nulls" }, encode: { update: { y: at("y", "i"), y2: at("y", "i", { band: 1 }), x: at("x", "mean"), stroke: value(color("reference")), strokeWidth: value(1.5) } } },
          { type: "rule", from: { data: "rows" }, encode: { update: { y: at("y", "i", { band: 0.5 }), x: { scale: "x", value: 0 }, x2: at("x", "v"), stroke: value(color("candidate")), strokeWidth: value(2) } } },
          { type: "symbol", from: { data: "rows" }, encode: { update: { y: at("y", "i", { band: 0.5 }), x: at("x", "v"), fill: value(color("candidate")), size: value(80) } } },
          { type: "rect", from: { data: "rows" }, encode: {
            update: { y: at("y", "i"), height: { scale: "y", band: 1 }, x: value(0), x2: { signal: "width" }, fill: value(color("ink")), fillOpacity: value(0), tooltip: tip },
            hover: { fillOpacity: value(0.07) } } },
        ],
      });
    },

    // A score along the file, in the file's own order: grey up to what real rows give, blue beyond.
    strip(d, height) {
      const rows = d.start.map((a, i) => ({
        a, b: d.end[i], v: d.score[i], low: d.null === null ? 0 : Math.min(d.score[i], d.null),
        tip: [`rows ${a.toLocaleString("en")} to ${(d.end[i] - 1).toLocaleString("en")}`, ["score", short(d.score[i])], ...(d.null === null ? [] : [["expected", short(d.null)]])],
      }));
      const top = Math.max(...d.score, d.null || 0) || 1;
      // The hairline closes the seams that antialiasing leaves between neighbours.
      const solid = (name) => ({ fill: value(color(name)), stroke: value(color(name)), strokeWidth: value(0.6) });
      const known = d.null !== null && d.null !== undefined;
      return base(height, {
        data: [{ name: "rows", values: rows }],
        scales: [
          { name: "x", domain: [d.start[0], d.end[d.end.length - 1]], range: "width", zero: false, nice: false },
          { name: "y", domain: [0, top], range: "height", nice: true },
        ],
        axes: [
          axis("x", "bottom", { title: "row in the file", tickCount: 6, ...round }),
          axis("y", "left", { title: "score", grid: true, tickCount: 4, format: "~g" }),
        ],
        marks: [
          { type: "rect", from: { data: "rows" }, encode: { update: { x: at("x", "a"), x2: at("x", "b"), y: at("y", "low"), y2: { scale: "y", value: 0 }, ...solid("ground") } } },
          { type: "rect", from: { data: "rows" }, encode: { update: { x: at("x", "a"), x2: at("x", "b"), y: at("y", "v"), y2: at("y", "low"), ...solid("candidate") } } },
          { type: "rect", from: { data: "rows" }, encode: {
            update: { x: at("x", "a"), x2: at("x", "b"), y: value(0), y2: { signal: "height" }, fill: value(color("ink")), fillOpacity: value(0), tooltip: tip },
            hover: { fillOpacity: value(0.12) } } },
          ...(known ? [{ type: "rule", encode: { update: { x: value(0), x2: { signal: "width" }, y: { scale: "y", value: d.null }, stroke: value(color("ink")), strokeDash: value([5, 4]), strokeWidth: value(1.2) } } }] : []),
        ],
      });
    },
  };

  // ---- Values under the pointer --------------------------------------------------------------------------------------
  const box = document.getElementById("tip");
  const line = (tag, text) => { const e = document.createElement(tag); e.textContent = text; return e; };
  const show = (_, event, __, content) => {
    if (!Array.isArray(content)) { box.hidden = true; return; }
    box.replaceChildren(line("b", content[0]), ...content.slice(1).map(([key, text]) => {
      const row = document.createElement("span");
      row.append(line("i", key), line("b", text));
      return row;
    }));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = event.clientX + 14 + width > innerWidth ? event.clientX - 14 - width : event.clientX + 14;
    const above = event.clientY + 16 + height > innerHeight ? event.clientY - 12 - height : event.clientY + 16;
    box.style.left = `${Math.max(4, left)}px`;
    box.style.top = `${Math.max(4, above)}px`;
  };
  addEventListener("scroll", () => { box.hidden = true; }, { passive: true });

  // ---- Drawing ---------------------------------------------------------------------------------------------------------
  const draw = (holder) => {
    const { kind, data } = plots[holder.dataset.plot];
    const spec = kinds[kind](data, holder.clientHeight);
    spec.width = holder.clientWidth;
    // The interpreter stands in for eval, which the page's policy forbids.
    const view = new vega.View(vega.parse(spec, { font, axis: { labelFont: font, titleFont: font } }, { ast: true }), {
      container: holder, renderer: "svg", expr: vega.expressionInterpreter, hover: true, tooltip: show, logLevel: vega.Warn,
    });
    return view.runAsync().then(() => {
      let drawn = holder.clientWidth;
      new ResizeObserver(() => {
        if (!holder.clientWidth || holder.clientWidth === drawn) return;
        drawn = holder.clientWidth;
        view.width(drawn).runAsync();
      }).observe(holder);
    });
  };
  // One chart at a time, those in sight first: the page can be read and scrolled while the rest appear.
  const waiting = new Set(document.querySelectorAll("[data-plot]"));
  const inSight = (holder) => { const r = holder.getBoundingClientRect(); return r.bottom > -100 && r.top < innerHeight + 100; };
  const next = () => {
    const holder = [...waiting].find(inSight) || waiting.values().next().value;
    if (!holder) { document.documentElement.dataset.drawn = Math.round(performance.now()); return; }
    waiting.delete(holder);
    draw(holder).then(() => setTimeout(next, 0));
  };

  // ---- Theme and place -------------------------------------------------------------------------------------------------
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
  next();
})();
