// SPDX-License-Identifier: Apache-2.0
// Charts, drawn by uPlot. A slot's power holds from its start to its end: steps, so that
// the area is the energy.

import { clock, moment, power } from "./text.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const HUES = { gpu: [205, -9], cpu: [32, 14], dram: [285, 22], node: [0, 0], core: [0, 0], uncore: [0, 0] };

// The colour of the n-th domain of a kind.
export function colour(kind, place) {
  const [hue, turn] = HUES[kind] ?? HUES.node;
  const light = (dark.matches ? 58 : 50) + (place % 2 ? 9 : 0);
  const full = kind in HUES && HUES[kind][1] !== 0 ? (dark.matches ? 52 : 58) : 0;
  return `hsl(${hue + turn * place} ${full}% ${light}%)`;
}

export function colours(domains) {
  const seen = {};
  return domains.map((domain) => {
    seen[domain.kind] = (seen[domain.kind] ?? -1) + 1;
    return colour(domain.kind, seen[domain.kind]);
  });
}

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Makes a chart that follows its box and the colour scheme. `plan` gives options and data.
export function chart(box, plan) {
  let plot = null;
  let drawn = "";

  function size() {
    return { width: Math.max(200, box.clientWidth), height: box.clientHeight };
  }

  function draw() {
    const made = plan();
    if (!made) {
      plot?.destroy();
      plot = null;
      drawn = "";
      return;
    }
    const { options, data, shape } = made;
    const look = `${shape} ${dark.matches}`;
    if (plot && drawn === look) {
      plot.setData(data);
      return;
    }
    plot?.destroy();
    plot = new uPlot({ ...frame(), ...options, ...size() }, data, box);
    // A picture of what its label says; nothing in it is read.
    plot.root.setAttribute("aria-hidden", "true");
    drawn = look;
  }

  new ResizeObserver(() => plot?.setSize(size())).observe(box);
  dark.addEventListener("change", draw);
  return draw;
}

function frame() {
  const font = "12px system-ui, sans-serif";
  const axis = {
    font,
    stroke: variable("--quiet"),
    grid: { stroke: variable("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    axes: [
      { ...axis, size: 30, grid: { show: false }, values: (_, times) => times.map(timeLabel), space: 70 },
      { ...axis, size: 58, values: (_, values) => values.map((value) => axisPower(value)), space: 36 },
    ],
  };
}

export const axisOf = (values) => {
  const { axes } = frame();
  return [axes[0], { ...axes[1], values: (_, all) => all.map(values) }];
};

function timeLabel(seconds) {
  const date = new Date(seconds * 1000);
  return seconds % 60 === 0 ? moment(date).slice(-5) : clock(date);
}

function axisPower(watts) {
  return watts === 0 ? "0" : power(watts).replace(/\.0+(?=\D)/, "").replace(/(\.\d*[1-9])0+(?=\D)/, "$1");
}

export const stepped = () => uPlot.paths.stepped({ align: 1 });

// Steps as points: the value at a stretch's start holds to its end; a gap is empty.
export function points(stretches, lines) {
  const data = [[], ...lines.map(() => [])];
  const put = (time, values) => [time, ...values].forEach((value, place) => data[place].push(value));
  stretches.forEach(([from, to], place) => {
    const values = lines.map((line) => line[place]);
    put(from, values);
    const next = stretches[place + 1];
    if (!next || next[0] - to > 1.5) {
      put(to - 0.001, values);
      put(to, lines.map(() => null));
    }
  });
  return data;
}

export const verticalLine = (time) => (plot) => {
  const x = Math.round(plot.valToPos(time(), "x", true));
  if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) return;
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = variable("--ink");
  ctx.setLineDash([4, 4]);
  ctx.beginPath();
  ctx.moveTo(x, plot.bbox.top);
  ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
  ctx.stroke();
  ctx.restore();
};

export { variable };
