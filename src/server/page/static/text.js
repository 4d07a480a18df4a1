// SPDX-License-Identifier: Apache-2.0
// Figures as people read them: three significant figures and the unit that keeps them
// between 1 and 1000, as src/record/text.rs writes them on a terminal.

const round = (value, digits) => Number(value.toPrecision(digits));

function figures(value, digits) {
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value) * (1 + 1e-9)));
  return value.toFixed(Math.max(0, digits - 1 - magnitude));
}

function scaled(value, digits, units) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not known";
  const rounded = round(value, digits);
  const fitting = units.filter(([size]) => rounded >= size).pop();
  const [size, unit] = rounded === 0 ? units.find(([size]) => size === 1) : fitting ?? units[0];
  // A narrow no-break space: a figure and its unit stay on one line.
  return `${figures(rounded / size, digits)}\u202f${unit}`;
}

const JOULES = [[1e-6, "µJ"], [1e-3, "mJ"], [1, "J"], [1e3, "kJ"], [1e6, "MJ"], [1e9, "GJ"]];
const WATTS = [[1e-3, "mW"], [1, "W"], [1e3, "kW"], [1e6, "MW"]];
const GRAMS = [[1e-6, "µg"], [1e-3, "mg"], [1, "g"], [1e3, "kg"], [1e6, "t"]];
const WATT_HOURS = [[1, "Wh"], [1e3, "kWh"], [1e6, "MWh"], [1e9, "GWh"]];

export const energy = (joules) => scaled(joules, 3, JOULES);
export const uncertainty = (joules) => scaled(joules, 2, JOULES);
export const power = (watts) => scaled(watts, 3, WATTS);
export const emissions = (grams) => scaled(grams, 3, GRAMS);
export const wattHours = (joules) => (joules >= 3600 ? scaled(joules / 3600, 3, WATT_HOURS) : "");
export const number = (value) => figures(round(value, 3), 3);
export const percent = (part) => `${figures(round(part * 100, 2), 2)}\u202f%`;

const SOURCES = { nvml: "NVML", rapl: "RAPL", estimate: "estimated" };
export const source = (word) => SOURCES[word] ?? word;
export const like = (like) => (like ? `${number(like.count)} ${like.of}` : "");

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "not known";
  const whole = Math.round(seconds);
  const two = (one, few, oneUnit, fewUnit) => `${one}\u202f${oneUnit} ${few}\u202f${fewUnit}`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1e3)}\u202fms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)}\u202fs`;
  if (whole < 3600) return two(Math.floor(whole / 60), whole % 60, "min", "s");
  if (whole < 86400) return two(Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), "h", "min");
  return two(Math.floor(whole / 86400), Math.floor((whole % 86400) / 3600), "d", "h");
}

const padded = (number) => String(number).padStart(2, "0");

// The time of day where the reader is; with the date unless it is today.
export function moment(date) {
  const time = `${padded(date.getHours())}:${padded(date.getMinutes())}`;
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())} ${time}`;
}

export const clock = (date) =>
  [date.getHours(), date.getMinutes(), date.getSeconds()].map(padded).join(":");

// What changes least stands first: at the bottom of a stack.
const KINDS = ["cpu", "dram", "gpu"];
const rank = (domain) => (KINDS.indexOf(domain.kind) + KINDS.length + 1) % (KINDS.length + 1);
export const ordered = (domains) => [...domains].sort((one, other) => rank(one) - rank(other));

// Domains' names for people: a GPU by its place among all, others by their device.
export function domainNames(domains) {
  const names = new Map();
  let gpus = 0;
  for (const domain of domains) {
    const [, part] = domain.id.split("/");
    if (domain.kind === "gpu") names.set(domain.id, `GPU ${gpus++}`);
    else if (domain.kind === "cpu" || part === undefined) {
      names.set(domain.id, domain.id.replace(/^\w+:/, "").replace(/^package-/, "CPU "));
    } else names.set(domain.id, `${part.toUpperCase()} ${domain.id.replace(/.*package-(\d+).*/, "$1")}`);
  }
  return names;
}

export const element = (id) => document.getElementById(id);

// Sets a text only where it changes: what did not change is not read out again.
export function put(node, text) {
  const found = typeof node === "string" ? element(node) : node;
  if (found.textContent !== text) found.textContent = text;
}

export function make(tag, text = "", name = "") {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (name) node.className = name;
  return node;
}

export function row(cells) {
  const line = make("tr");
  cells.forEach(([text, name], place) => {
    const cell = make(place === 0 ? "th" : "td", text, name ?? "");
    if (place === 0) cell.scope = "row";
    line.append(cell);
  });
  return line;
}
