// SPDX-License-Identifier: Apache-2.0
// A job's page.

import { chart, points, stepped, variable } from "./charts.js";
import { ask, connect, say } from "./live.js";
import * as text from "./text.js";

const { element, make, put, row } = text;
const id = decodeURIComponent(location.pathname.split("/").pop());
const path = `/api/v1/jobs/${encodeURIComponent(id)}`;

let power = [];
let leave = null;
let asked = 0;
let names = new Map();

const drawPower = chart(element("power"), () => {
  if (power.length === 0) return null;
  const line = {
    stroke: variable("--accent"),
    fill: variable("--accent-soft"),
    width: 1.5,
    paths: stepped(),
    points: { show: false },
  };
  return {
    shape: "power",
    data: points(power.map((one) => [one.from, one.to]), [power.map((one) => one.watts)]),
    options: {
      series: [{}, line],
      scales: { y: { range: (_, __, most) => [0, Math.max(1, most) * 1.1] } },
      hooks: { setCursor: [readOut] },
    },
  };
});

function readOut(plot) {
  const { left } = plot.cursor;
  const time = left >= 0 ? plot.posToVal(left, "x") : null;
  const one = time === null ? null : power.find((one) => one.from <= time && time < one.to);
  put("readout", one ? `${text.clock(new Date(one.from * 1000))} · ${text.power(one.watts)}` : "");
}

function show({ job, power: curve, record }) {
  element("body").hidden = false;
  element("trouble").hidden = true;
  document.title = `${job.name || job.id} · aimeter`;
  put("name", job.name || job.id);
  const facts = [job.state, job.user, job.project, job.id];
  put("facts", facts.filter(Boolean).join(" · "));
  const runs = job.state === "running";
  const seconds = runs ? (Date.now() - Date.parse(job.started_at)) / 1000 : job.duration_seconds;
  put("energy", text.energy(job.joules));
  const more = [text.wattHours(job.joules)];
  if (record.energy.uncertainty_joules !== null) more.push(`± ${text.uncertainty(record.energy.uncertainty_joules)}`);
  more.push(record.energy.provenance ?? "");
  put("energy-more", more.filter(Boolean).join(" · "));
  put("grams", text.emissions(job.emissions_grams));
  put("like", job.like ? `CO₂e, as ${text.like(job.like)}` : "CO₂e");
  const mean = seconds > 0 && job.joules !== null ? job.joules / seconds : null;
  put("watts-title", runs ? "Power now" : "Mean power");
  put("watts", text.power(runs ? job.watts : mean));
  put("watts-more", runs && mean !== null ? `mean ${text.power(mean)}` : mostOf(curve));
  put("duration", text.duration(seconds));
  put("since", `from ${text.moment(new Date(job.started_at))}`);
  power = curve;
  element("no-power").hidden = power.length > 0;
  element("power").hidden = power.length === 0;
  drawPower();
  const label = `Power over time: mean ${text.power(mean)}, ${mostOf(curve)}. The table below has the figures.`;
  element("power").setAttribute("aria-label", label);
  if (element("curve").open) showTable();
  showPhases(record);
  showWork(record);
  showDomains(record);
  showOrigin(record);
  const link = element("record");
  link.href = `${path}/record`;
}

function mostOf(curve) {
  return curve.length ? `most ${text.power(Math.max(...curve.map((one) => one.watts)))}` : "";
}

function showTable() {
  const each = Math.max(1, Math.ceil(power.length / 60));
  const rows = [];
  for (let first = 0; first < power.length; first += each) {
    const part = power.slice(first, first + each);
    const time = part.reduce((sum, one) => sum + one.to - one.from, 0);
    const joules = part.reduce((sum, one) => sum + one.watts * (one.to - one.from), 0);
    rows.push(
      row([
        [text.clock(new Date(part[0].from * 1000))],
        [text.duration(time), "n"],
        [text.power(joules / time), "n"],
      ]),
    );
  }
  element("curve").querySelector("tbody").replaceChildren(...rows);
}

// A device that is not here any more, or not yet.
function gone({ id, kind }) {
  return kind === "gpu" ? id.replace(/^nvml:(GPU-[^-]*).*/, "$1…") : text.domainNames([{ id, kind }]).get(id);
}

function showDomains({ energy, quality }) {
  element("domains").tBodies[0].replaceChildren(
    ...text.ordered(energy.domains).map((domain) => {
      const line = row([
        [""],
        [text.energy(domain.joules), "n"],
        [text.uncertainty(domain.uncertainty_joules), "n"],
        [domain.share === null ? "–" : text.percent(domain.share), "n wide"],
        [`${domain.provenance}, ${text.source(domain.source)}`],
      ]);
      line.cells[0].append(make("span", names.get(domain.id) ?? gone(domain)));
      if (!quality.coverage.includes(domain.kind)) {
        line.cells[0].append(make("small", "overlaps others, not in the sum"));
      }
      return line;
    }),
  );
}

// What a job says of itself (aimeter mark); nothing where it says nothing.
function fill(section, rows) {
  element(section).hidden = rows.length === 0;
  element(section).querySelector("tbody").replaceChildren(...rows);
}

function showPhases({ phases }) {
  fill(
    "phases",
    phases.map(({ name, times, seconds, joules, grams }) =>
      row([
        [name ?? "outside any phase"],
        [times === null ? "–" : times.toLocaleString("en"), "n"],
        [seconds === null ? "–" : text.duration(seconds), "n"],
        [text.energy(joules), "n"],
        [text.emissions(grams), "n wide"],
      ]),
    ),
  );
}

function showWork({ work }) {
  fill(
    "work",
    work.map(({ unit, count, joules_per_unit: joules, grams_per_unit: grams }) =>
      row([
        [unit],
        [count.toLocaleString("en"), "n"],
        [joules === null ? "–" : text.energy(joules), "n"],
        [grams === null ? "–" : text.emissions(grams), "n wide"],
      ]),
    ),
  );
}

function showOrigin({ energy, emissions, host, quality }) {
  const pairs = [];
  const { intensity } = emissions;
  if (intensity) {
    const sources = [...new Set(intensity.parts.map((part) => `${part.source} (${part.kind})`))];
    const mean = `${text.number(intensity.mean_grams_per_kwh)} g/kWh in ${intensity.zone}, ${intensity.signal}, ${intensity.boundary}`;
    pairs.push(["Carbon intensity", `${mean}; by ${sources.join(", ")}`]);
  }
  if (energy.pue) pairs.push(["PUE", `${energy.pue.value} (${energy.pue.source})`]);
  if (energy.sensor_gain_percent !== null) {
    pairs.push(["Sensors' own error", `± ${energy.sensor_gain_percent}\u202f% at 95\u202f%, not in the ± above`]);
  }
  const devices = [...host.cpus.map((cpu) => cpu.model), ...new Set(host.gpus.map((gpu) => gpu.model))];
  if (devices.length) pairs.push(["Hardware", devices.filter(Boolean).join(", ")]);
  element("origin").replaceChildren(
    ...pairs.map(([name, value]) => {
      const pair = make("div");
      pair.append(make("dt", name), make("dd", value));
      return pair;
    }),
  );
  element("notes").replaceChildren(...quality.notes.map((note) => make("li", note)));
}

let runs = null;

async function load() {
  asked = Date.now();
  try {
    const one = await ask(path);
    if (names.size === 0) names = text.domainNames((await ask("/api/v1/now")).domains);
    if (runs && one.job.state !== "running") {
      say(`Job ${one.job.name} ended.`);
      // Its last readings come a moment later.
      setTimeout(load, 2000);
    }
    runs = one.job.state === "running";
    show(one);
  } catch (error) {
    if (!error.status) return;
    const trouble = element("trouble");
    trouble.hidden = false;
    put(trouble, error.message);
    // Else the daemon cannot tell just now.
    if (error.status === 404) runs = false;
  }
  if (runs === false) {
    leave?.();
    leave = () => {};
    element("link").hidden = true;
  }
}

element("curve").addEventListener("toggle", () => element("curve").open && showTable());

leave = connect({
  now: (now) => {
    put("release", `aimeter ${now.release}`);
    names = text.domainNames(now.domains);
    if (runs !== false && Date.now() - asked >= 5000) load();
  },
  begin: load,
});
