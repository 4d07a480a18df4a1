// SPDX-License-Identifier: Apache-2.0
// Looks at the page with a real Chromium, as a person would: with a mouse, with a
// keyboard, on a phone, in the dark, and while the daemon is away. Driven by
// tests/page/browser.rs, which does to the machine what is asked on standard output and
// answers on standard input. Arguments: the page's address, the folder of the modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";

const [address, modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const PATIENCE = 60_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Has the machine changed; what it answers.
async function machine(wish) {
  console.log(wish);
  const { value, done } = await answers.next();
  assert(!done, `nobody does: ${wish}`);
  return value;
}

const browser = await chromium.launch({
  executablePath: process.env.AIMETER_TEST_CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});

// Where the energy of the first domain stands.
const BOOKED = "#domains tbody tr:first-child td:nth-child(3)";

const complaints = [];

// A page whose every complaint and every request to elsewhere is noted.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "data:" && origin !== address) complaints.push(`asks ${request.url()}`);
  });
  page.on("response", (answer) => {
    if (answer.status() >= 400) complaints.push(`${answer.status()} of ${answer.url()}`);
  });
  return page;
}

const link = (page, word) => page.locator(`#link[data-link="${word}"]`).waitFor();
const text = (page, selector) => page.locator(selector).innerText();

// Waits until a text is another one than it was.
function another(page, selector, was) {
  const different = ([selector, was]) => document.querySelector(selector).innerText !== was;
  return page.waitForFunction(different, [selector, was]);
}

async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  assert(passes.length > 10, `axe looked at ${what}`);
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html)}`);
  assert.deepEqual(told, [], what);
}

async function fits(page, what) {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(wide <= room, `${what} is ${wide} wide in ${room}`);
}

// How much of a chart is painted, 0 to 1.
function painted(page, selector) {
  return page.locator(`${selector} canvas`).evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let filled = 0;
    for (let place = 3; place < data.length; place += 4) filled += data[place] > 0;
    return filled / (data.length / 4);
  });
}

async function front() {
  const page = await open();
  await page.goto(address);
  await link(page, "live");
  assert.match(await text(page, "#watts"), /^\d[\d.]*\sW$/);
  assert.match(await text(page, "#intensity"), /^164\sg\/kWh$/);
  assert.match(await text(page, "#intensity-from"), /^GB: /);
  const domains = await page.locator("#domains tbody tr").allInnerTexts();
  assert.equal(domains.length, 3, String(domains));
  assert.equal(await page.locator("#jobs").isHidden(), true);
  await page.locator("#power canvas").waitFor();
  await page.locator("#grid canvas").waitFor();
  assert(await painted(page, "#power") > 0.02, "power is drawn");

  // A job that starts is there without a reload, and its figures move.
  const name = await machine("start");
  const row = page.locator("#jobs tbody tr", { hasText: name });
  await row.waitFor();
  assert.equal(await text(page, "#running"), "1");
  assert.match(await page.locator("#say").textContent(), /^Job .* started\.$/);
  const energy = "#jobs tbody tr:first-child td:nth-child(4) span";
  await another(page, energy, await text(page, energy));
  assert.match(await text(page, energy), /J$/);
  await another(page, BOOKED, await text(page, BOOKED));

  for (const details of ["#hour", "#grid-hours"]) await page.locator(`${details} summary`).click();
  assert(await page.locator("#hour tbody tr").count() > 0);
  assert(await page.locator("#grid-hours tbody tr").count() > 10);
  await accessible(page, "the page");
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await accessible(page, "the page in the dark");
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await page.emulateMedia({ colorScheme: "light" });

  // The mouse over the chart tells what was then.
  await page.locator("#power").hover({ position: { x: 1100, y: 100 } });
  await page.waitForFunction(() => /\d W, unattributed/.test(document.querySelector("#readout").textContent.replace(/\s/g, " ")));

  await keyboard(page);
  return page;
}

// By Tab alone to a job: everything that takes the focus shows it, in the order in which
// it stands.
async function keyboard(page) {
  await page.reload();
  await page.locator("#jobs tbody a").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  const box = await page.locator(".skip").boundingBox();
  assert(box.y >= 0, "the way past the head is seen");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  const seen = [];
  for (let steps = 0; steps < 40; steps += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const { activeElement: node } = document;
      const { top } = node.getBoundingClientRect();
      return { what: node.getAttribute("href") ?? node.tagName, outline: getComputedStyle(node).outlineStyle, top: top + scrollY };
    });
    assert.notEqual(focus.outline, "none", `${focus.what} shows its focus`);
    assert(focus.top >= (seen.at(-1)?.top ?? 0) - 1 || focus.what === "SUMMARY", `${focus.what} comes in order`);
    seen.push(focus);
    if (focus.what.startsWith("/jobs/")) break;
  }
  assert.match(seen.at(-1).what, /^\/jobs\//);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/jobs/*");
}

async function job(page) {
  await page.locator("#body").waitFor();
  assert.match(await text(page, "#facts"), /^running · /);
  await page.locator("#power canvas").waitFor();
  const shown = await text(page, "#energy");
  await another(page, "#energy", shown);
  await page.locator("#domains tbody tr").nth(2).waitFor();
  await busy(page);
  await page.locator("#curve summary").click();
  // A slot of the curve is whole after five seconds.
  await page.locator("#curve tbody tr").first().waitFor();
  await accessible(page, "the job's page");
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "the job's page in the dark");
  await page.emulateMedia({ colorScheme: "light" });

  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#record").click()]);
  assert.match(download.suggestedFilename(), /^aimeter-.*\.json$/);
  const record = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.equal(record.schema, "aimeter-record/1");
  assert.deepEqual(record.job.command, []);

  await machine("end");
  await page.waitForFunction(() => document.querySelector("#facts").innerText.startsWith("finished"));
  assert.match(await text(page, "#duration"), /s$/);
  await page.locator(".back a").click();
  await page.locator("#jobs tbody tr", { hasText: "finished" }).waitFor();
  assert.equal(await text(page, "#running"), "0");
  const ended = page.url();
  await page.context().close();
  return ended;
}

// A moment in which the daemon cannot tell of the job is not its end.
async function busy(page) {
  let asked = 0;
  const once = (route) => {
    asked += 1;
    return asked > 1 ? route.continue() : route.fulfill({ status: 503, json: { error: "busy" } });
  };
  await page.route("**/api/v1/jobs/*", once);
  await page.locator("#trouble", { hasText: "busy" }).waitFor();
  await page.locator("#trouble").waitFor({ state: "hidden" });
  await page.unroute("**/api/v1/jobs/*", once);
  assert(await page.locator("#link").isVisible());
  assert(complaints.splice(0).every((one) => /503/.test(one)));
}

async function phone() {
  const page = await open({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  await page.goto(address);
  await link(page, "live");
  await page.locator("#jobs tbody a").waitFor();
  await page.locator("#power canvas").waitFor();
  await fits(page, "the page on a phone");
  await accessible(page, "the page on a phone");
  await page.locator("#jobs tbody a").first().tap();
  await page.locator("#body").waitFor();
  await page.locator("#power canvas").waitFor();
  await fits(page, "the job's page on a phone");
  await page.context().close();
}

async function unknown() {
  const page = await open();
  await page.goto(`${address}/jobs/no-such-job`);
  await page.locator("#trouble").waitFor();
  assert.match(await text(page, "#trouble"), /no job `no-such-job`/);
  assert(complaints.splice(0).every((one) => /404/.test(one)));
  await page.context().close();
}

// Of many jobs the page is told the most powerful: one that falls out of them has not
// ended, and one that was out has not started.
async function many() {
  const page = await open();
  const now = await (await fetch(`${address}/api/v1/now`)).json();
  const { jobs: [model] } = await (await fetch(`${address}/api/v1/jobs`)).json();
  const job = (id) => ({ ...model, id, name: id, state: "running", watts: 1 });
  const told = (watts, ids) => {
    const jobs = ids.map(job);
    return `event: now\ndata: ${JSON.stringify({ ...now, watts, jobs, jobs_running: 67, jobs_left_out: 500 })}\n\n`;
  };
  const list = { jobs: ["a", "b", "c"].map(job), trouble: null };
  const listed = page.waitForResponse("**/api/v1/jobs");
  await page.route("**/api/v1/jobs", (route) => route.fulfill({ json: list }));
  let connections = 0;
  await page.route("**/api/v1/events", async (route) => {
    connections += 1;
    if (connections > 1) await listed;
    const events = connections > 1 ? [told(2, ["a", "c"]), told(3, ["b", "c"])] : [told(1, ["a", "b"])];
    await route.fulfill({ contentType: "text/event-stream", body: `retry: 200\n\n${events.join("")}` });
  });
  await page.goto(address);
  await page.waitForFunction(() => document.querySelector("#watts").textContent.startsWith("3"));
  assert.equal(await text(page, "#running"), "67");
  assert.equal(await page.locator("#say").textContent(), "");
  assert.equal(await page.locator("#jobs tbody tr").count(), 3);
  await page.context().close();
}

async function away() {
  const page = await open();
  await page.goto(address);
  await link(page, "live");
  await machine("kill");
  await link(page, "lost");
  assert.match(await page.locator("#say").textContent(), /Not connected/);
  assert.match(await text(page, "#watts"), /W$/);
  await machine("again");
  await link(page, "live");
  assert.match(await page.locator("#say").textContent(), /Connected again/);
  await another(page, BOOKED, await text(page, BOOKED));
  await page.context().close();

  // Where many listen already, one asks.
  await machine("crowd");
  const late = await open();
  await late.goto(address);
  await link(late, "poll");
  await another(late, BOOKED, await text(late, BOOKED));
  await late.context().close();
}

try {
  const page = await front();
  await job(page);
  await phone();
  assert.deepEqual(complaints, []);
  await unknown();
  await many();
  await away();
  console.log("done");
} finally {
  await browser.close();
}
process.exit(0);
