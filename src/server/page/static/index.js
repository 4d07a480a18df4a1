// SPDX-License-Identifier: Apache-2.0
// The machine's page.

import { axisOf, chart, colours, points, stepped, variable, verticalLine } from "./charts.js";
import { ask, connect, say } from "./live.js";
import * as text from "./text.js";

const { element, make, put, row } = text;
const HOUR = 3600;

// --- Power of the last hour --------------------------------------------------------

let hour = { slots: [], domains: [], unattributed_watts: [] };

function counted() {
  return text.ordered(hour.domains.filter((domain) => domain.counted));
}

// Sums from the bottom up: each area is drawn over the larger ones behind it.
function powerPlan() {
  const { slots } = hour;
  if (slots.length === 0) return null;
  const domains = counted();
  const sums = [];
  domains.forEach((domain, place) => {
    const below = sums[place - 1];
    sums.push(domain.watts.map((watts, slot) => (below ? below[slot] : 0) + (watts ?? 0)));
  });
  const paint = colours(domains);
  const areas = sums
    .map((_, place) => ({ fill: paint[place], width: 0, paths: stepped(), points: { show: false } }))
    .reverse();
  const line = {
    stroke: variable("--ink"),
    width: 1.5,
    dash: [5, 4],
    paths: stepped(),
    points: { show: false },
  };
  const end = slots.at(-1)[1];
  return {
    shape: domains.map((domain) => domain.id).join(),
    data: points(slots, [...sums.reverse(), hour.unattributed_watts]),
    options: {
      series: [{}, ...areas, line],
      scales: {
        x: { time: true, range: () => [Math.max(hourStart(), latest() - HOUR), latest()] },
        y: { range: (_, __, most) => [0, Math.max(1, most) * 1.08] },
      },
      hooks: { setCursor: [readOut] },
    },
    end,
  };
}

const latest = () => hour.slots.at(-1)?.[1] ?? Date.now() / 1000;
// A daemon that has just started does not leave the chart empty: five minutes at least.
const hourStart = () => Math.min(hour.slots[0]?.[0] ?? latest(), latest() - 300);

const drawPower = chart(element("power"), powerPlan);

function readOut(plot) {
  const { left } = plot.cursor;
  const time = left >= 0 ? plot.posToVal(left, "x") : null;
  const place = time === null ? -1 : hour.slots.findIndex(([from, to]) => from <= time && time < to);
  if (place < 0) return put("readout", "");
  const total = sumOf(counted().map((domain) => domain.watts[place]));
  const free = hour.unattributed_watts[place];
  put(
    "readout",
    `${text.clock(new Date(hour.slots[place][0] * 1000))} · ${text.power(total)}, unattributed ${text.power(free)}`,
  );
}

function sumOf(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

function addSlot(slot) {
  const [last] = slot.slots;
  const known = hour.slots.at(-1)?.[1];
  if (!last || last[1] <= (known ?? 0)) return;
  // One was told while the connection was made anew.
  if (known !== undefined && last[0] > known + 1) return loadHour();
  hour.slots.push(last);
  hour.unattributed_watts.push(slot.unattributed_watts[0]);
  for (const domain of slot.domains) {
    let known = hour.domains.find((other) => other.id === domain.id);
    if (!known) {
      known = { ...domain, watts: [] };
      hour.domains.push(known);
    }
    while (known.watts.length < hour.slots.length - 1) known.watts.push(null);
    known.watts.push(domain.watts[0]);
  }
  for (const domain of hour.domains) {
    while (domain.watts.length < hour.slots.length) domain.watts.push(null);
  }
  while (hour.slots[0][1] < last[1] - HOUR) {
    hour.slots.shift();
    hour.unattributed_watts.shift();
    for (const domain of hour.domains) domain.watts.shift();
  }
  showHour();
}

function showHour() {
  drawPower();
  showLegend();
  showSummary();
  if (element("hour").open) showHourTable();
}

function showLegend() {
  const domains = counted();
  const names = text.domainNames(domains);
  const key = domains.map((domain) => domain.id).join() + colours(domains).join();
  const legend = element("legend");
  if (legend.dataset.key === key) return;
  legend.dataset.key = key;
  const paint = colours(domains);
  legend.replaceChildren(
    ...domains.map((domain, place) => {
      const item = make("li", names.get(domain.id));
      const swatch = make("span", "", "swatch");
      swatch.style.backgroundColor = paint[place];
      item.prepend(swatch);
      return item;
    }),
  );
  const free = make("li", "unattributed, of all");
  free.prepend(make("span", "", "swatch dashed"));
  legend.append(free);
}

function showSummary() {
  const totals = hour.slots.map((_, slot) => sumOf(counted().map((domain) => domain.watts[slot])));
  const known = totals.filter((total) => total !== null);
  if (known.length === 0) return;
  const mean = known.reduce((sum, total) => sum + total, 0) / known.length;
  element("power").setAttribute(
    "aria-label",
    `Power by domain over the last hour, stacked: now ${text.power(known.at(-1))}, ` +
      `mean ${text.power(mean)}, most ${text.power(Math.max(...known))}. The table below has the figures.`,
  );
}

function showHourTable() {
  const table = element("hour").querySelector("table");
  const domains = counted();
  const names = text.domainNames(domains);
  const head = make("tr");
  for (const [place, word] of ["From", "Sum", "Unattributed", ...names.values()].entries()) {
    const cell = make("th", word, place ? "n" : "");
    cell.scope = "col";
    head.append(cell);
  }
  table.tHead.replaceChildren(head);
  const rows = new Map();
  hour.slots.forEach(([from, to], slot) => {
    const key = Math.floor(from / 300) * 300;
    const sums = rows.get(key) ?? { time: 0, free: 0, domains: domains.map(() => 0) };
    sums.time += to - from;
    sums.free += (hour.unattributed_watts[slot] ?? 0) * (to - from);
    domains.forEach((domain, place) => (sums.domains[place] += (domain.watts[slot] ?? 0) * (to - from)));
    rows.set(key, sums);
  });
  table.tBodies[0].replaceChildren(
    ...[...rows].reverse().map(([from, sums]) =>
      row([
        [text.moment(new Date(from * 1000))],
        [text.power(sumOf(sums.domains) / sums.time), "n"],
        [text.power(sums.free / sums.time), "n"],
        ...sums.domains.map((joules) => [text.power(joules / sums.time), "n"]),
      ]),
    ),
  );
}

element("hour").addEventListener("toggle", () => element("hour").open && showHourTable());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showLegend);

// --- Now ---------------------------------------------------------------------------

function showNow(now) {
  put("host", now.host);
  document.title = `${text.power(now.watts)} · ${now.host} · aimeter`;
  put("release", `aimeter ${now.release}`);
  const trouble = element("trouble");
  trouble.hidden = !now.trouble;
  put(trouble, now.trouble ? `The figures may be old: ${now.trouble}.` : "");
  put("watts", now.watts === null ? "–" : text.power(now.watts));
  const share = now.watts > 0 ? ` (${text.percent(Math.min(1, now.unattributed_watts / now.watts))})` : "";
  put(
    "unattributed",
    now.unattributed_watts === null ? "" : `${text.power(now.unattributed_watts)}${share} unattributed`,
  );
  put("grams", now.grams_per_hour === null ? "–" : `${text.emissions(now.grams_per_hour)}/h`);
  put("per-hour", "CO₂e, if it goes on like this");
  showIntensity(now.intensity);
  const running = now.jobs.filter((job) => job.state === "running");
  put("running", String(now.jobs_running));
  put("jobs-watts", lastStarted(running));
  showDomains(text.ordered(now.domains));
  takeJobs(now);
}

function lastStarted(running) {
  const last = running.map((job) => job.started_at).sort().pop();
  return last ? `last started ${text.moment(new Date(last))}` : "";
}

function showIntensity(intensity) {
  if (!intensity) return;
  put("intensity", `${text.number(intensity.grams_per_kwh)}\u202fg/kWh`);
  const of = intensity.quality === "table" ? "yearly mean" : intensity.quality;
  const from = intensity.from ? `, from ${text.moment(new Date(intensity.from))}` : "";
  put("intensity-from", `${intensity.zone}: ${of}${from}`);
}

const STATES = {
  no_data: "asleep",
  failed: "cannot be read",
  not_permitted: "may not be read",
  lost: "lost",
  stalled: "does not answer",
  dead: "counter stands still",
};

let domainKey = "";

function showDomains(domains) {
  const body = element("domains").tBodies[0];
  const key = domains.map((domain) => domain.id).join();
  const names = text.domainNames(domains);
  if (key !== domainKey) {
    domainKey = key;
    body.replaceChildren(
      ...domains.map((domain) => {
        const line = row([["", ""], ["", "n"], ["", "n"], ["", "n wide"]]);
        line.cells[0].append(make("span", names.get(domain.id)), make("small"));
        return line;
      }),
    );
  }
  domains.forEach((domain, place) => {
    const { cells } = body.rows[place];
    const remarks = [text.source(domain.source)];
    if (domain.kind === "gpu") remarks.unshift(domain.device);
    if (!domain.counted) remarks.push("overlaps others, not in the sum");
    if (domain.state !== "ok") remarks.push(STATES[domain.state] ?? domain.state);
    put(cells[0].lastChild, remarks.join(" · "));
    put(cells[1], domain.watts === null ? "–" : text.power(domain.watts));
    put(cells[2], text.energy(domain.joules));
    put(cells[3], text.energy(domain.unattributed_joules));
  });
}

// --- Jobs --------------------------------------------------------------------------

let jobs = [];
let listed = 0;
// Whether `jobs` has all that run.
let known = false;

// Of many jobs `now` has the most powerful: one that is not among them has not ended for
// that, nor has one that comes up just started.
function takeJobs(now) {
  const live = new Map(now.jobs.map((job) => [job.id, job]));
  const running = new Set(jobs.filter((job) => job.state === "running").map((job) => job.id));
  const runs = (id) => (live.has(id) ? live.get(id).state === "running" : now.jobs_left_out > 0);
  const changed = [...new Set([...running, ...live.keys()])].find((id) => running.has(id) !== runs(id));
  if (known && changed !== undefined) {
    const word = live.get(changed);
    if (word) say(`Job ${word.name} ${runs(changed) ? "started" : "ended"}.`);
    setTimeout(loadJobs, 1500);
  }
  jobs = jobs.map((job) => {
    const newer = live.get(job.id);
    live.delete(job.id);
    // The list knows which of those that ended were lost.
    if (newer && newer.state !== "running" && job.state !== "running") return { ...newer, state: job.state };
    return newer ?? job;
  });
  jobs = [...live.values(), ...jobs];
  showJobs(now);
  // Those that `now` leaves out are in the list.
  const told = new Set(now.jobs.map((job) => job.id));
  const open = jobs.some((job) => job.state === "running" && !told.has(job.id));
  if (open && performance.now() - listed > 5000) loadJobs();
}

async function loadJobs() {
  listed = performance.now();
  try {
    const list = await ask("/api/v1/jobs");
    jobs = list.jobs;
    known = true;
    put("no-jobs", list.trouble ?? element("no-jobs").textContent);
    showJobs(null);
  } catch {
    // The connection says so itself.
  }
}

const lines = new Map();

function jobLine(id) {
  const line = row([["", ""], ["", "wide"], ["", "n"], ["", "n"], ["", "n"]]);
  const link = make("a");
  link.href = `/jobs/${encodeURIComponent(id)}`;
  line.cells[0].append(make("span", "", "dot"), link, make("small"));
  for (const cell of [...line.cells].slice(1)) cell.append(make("span"), make("small"));
  lines.set(id, line);
  return line;
}

function showJobs(now) {
  const order = (job) => (job.state === "running" ? 0 : 1);
  jobs.sort((one, other) => order(one) - order(other) || other.started_at.localeCompare(one.started_at));
  const body = element("jobs").tBodies[0];
  const wanted = jobs.map((job) => lines.get(job.id) ?? jobLine(job.id));
  // Only what moved is moved: the focus stays where it is.
  wanted.forEach((line, place) => {
    if (body.rows[place] !== line) body.insertBefore(line, body.rows[place] ?? null);
  });
  while (body.rows.length > wanted.length) body.lastChild.remove();
  for (const id of lines.keys()) if (!jobs.some((job) => job.id === id)) lines.delete(id);
  jobs.forEach((job) => fillJob(lines.get(job.id).cells, job));
  element("no-jobs").hidden = jobs.length > 0;
  element("jobs").hidden = jobs.length === 0;
  if (now) {
    element("jobs-left").hidden = now.jobs_left_out === 0;
    put("jobs-left", `${now.jobs_left_out} more are not shown; /metrics and aimeter jobs have them.`);
  }
}

function fillJob(cells, job) {
  const runs = job.state === "running";
  const [dot, link, who] = cells[0].children;
  dot.classList.toggle("on", runs);
  put(link, job.name || job.id);
  put(who, [job.user, job.project].filter(Boolean).join(" · "));
  put(cells[1].children[0], job.state);
  const seconds = runs ? (Date.now() - Date.parse(job.started_at)) / 1000 : job.duration_seconds;
  const at = `since ${text.moment(new Date(job.started_at))}`;
  put(cells[1].children[1], runs ? at : seconds === null ? "" : text.duration(seconds));
  put(cells[2].children[0], runs ? text.power(job.watts) : "–");
  put(cells[3].children[0], text.energy(job.joules));
  put(cells[3].children[1], text.wattHours(job.joules));
  put(cells[4].children[0], text.emissions(job.emissions_grams));
  put(cells[4].children[1], text.like(job.like));
}

// --- The day of the grid -----------------------------------------------------------

let day = [];

const seconds = (time) => Date.parse(time) / 1000;

const drawGrid = chart(element("grid"), () => {
  if (day.length === 0) return null;
  const times = day.map((one) => [seconds(one.from), seconds(one.to)]);
  const of = (forecast) =>
    day.map((one) => ((one.quality === "forecast") === forecast ? one.grams_per_kwh : null));
  const area = (colour, fill, dash) => ({
    stroke: colour,
    fill,
    dash,
    width: 1.5,
    paths: stepped(),
    points: { show: false },
    spanGaps: false,
  });
  const accent = variable("--accent");
  return {
    shape: "grid",
    data: points(times, [of(false), of(true)]),
    options: {
      series: [{}, area(accent, variable("--accent-soft")), area(accent, null, [5, 4])],
      axes: axisOf((value) => String(value)),
      scales: { y: { range: (_, __, most) => [0, most * 1.1] } },
      hooks: { draw: [verticalLine(() => Date.now() / 1000)] },
    },
  };
});

async function loadDay() {
  let answer;
  try {
    answer = await ask("/api/v1/intensity");
  } catch {
    return;
  }
  day = answer.stretches;
  element("grid").hidden = day.length === 0;
  element("grid-hours").hidden = day.length === 0;
  put("grid-text", dayText(answer));
  drawGrid();
  if (day.length === 0) return;
  element("grid").setAttribute("aria-label", `Carbon intensity. ${dayText(answer)}`);
  element("grid-hours").querySelector("tbody").replaceChildren(
    ...day.map((one) =>
      row([
        [text.moment(new Date(one.from))],
        [text.number(one.grams_per_kwh), "n"],
        [one.quality],
        [one.source],
      ]),
    ),
  );
}

function dayText({ now, stretches }) {
  if (!now) return "";
  const says = `${now.zone}: ${text.number(now.grams_per_kwh)} g/kWh, ${now.signal}, by ${now.source}.`;
  if (stretches.length === 0) {
    return `${says} A yearly mean: no feed has told of this day.`;
  }
  const all = stretches.map((one) => one.grams_per_kwh);
  return `${says} From ${text.number(Math.min(...all))} to ${text.number(Math.max(...all))} g/kWh; dashed: forecast.`;
}

// --- Begin -------------------------------------------------------------------------

async function loadHour() {
  try {
    hour = await ask("/api/v1/history");
    showHour();
  } catch {
    // The connection says so itself.
  }
}

function begin() {
  loadHour();
  loadJobs();
  loadDay();
}

setInterval(loadDay, 300000);
connect({ now: showNow, slot: addSlot, begin });
