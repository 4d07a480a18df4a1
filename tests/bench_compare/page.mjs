// SPDX-License-Identifier: Apache-2.0
// Looks at a leaderboard's file with a real Chromium: on a desk, on a phone and on paper.
// Arguments: the file, what it must show (JSON), a folder for pictures (- for none), the
// folder of the modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [file, wanted, folder, modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const address = pathToFileURL(file).href;
const { names, bars } = JSON.parse(wanted);

const browser = await chromium.launch({
  executablePath: process.env.AIMETER_TEST_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--font-render-hinting=none", "--disable-background-networking"],
});

const complaints = [];

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => complaints.push(`asks: ${dialog.message()}`));
  page.on("request", (request) => {
    if (request.url() !== address) complaints.push(`requests ${request.url()}`);
  });
  await page.goto(address);
  return page;
}

// The document's policy lets no script in; axe is put in past it, by the debugger.
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

async function picture(page, name) {
  if (folder !== "-") await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

try {
  const desk = await open({ viewport: { width: 1040, height: 900 } });
  assert.equal(await desk.locator("script, link, img, iframe, object, a[href^=http]").count(), 0);
  assert.equal(await desk.locator("h1").innerText(), "Energy per unit of work");
  const group = desk.locator("section", { has: desk.locator("h2", { hasText: "(tokens, training)" }) });
  const shown = await group.locator("table").first().locator("tbody th").allInnerTexts();
  for (const name of names) assert(shown.includes(name), `${name} is not in ${shown}`);
  // A bar is a filled rectangle; each has a length.
  const lengths = await group.locator("svg rect").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().width));
  assert.equal(lengths.filter((length) => length > 20).length, bars, String(lengths));
  await accessible(desk, "the table");
  await fits(desk, "the table");
  if (folder !== "-") await group.screenshot({ path: `${folder}/bench-table.png` });
  await picture(desk, "bench-table-desk");
  const phone = await open({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  await accessible(phone, "the table on a phone");
  await fits(phone, "the table on a phone");
  await picture(phone, "bench-table-phone");
  const paper = await open({ viewport: { width: 680, height: 960 } });
  await paper.emulateMedia({ media: "print" });
  await fits(paper, "the table on paper");
  await picture(paper, "bench-table-paper");
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
