// SPDX-License-Identifier: Apache-2.0
// Looks at HTML reports with a real Chromium: from the file, without a script, on a wide
// and a narrow window, on paper, for who does not see them. Leaves a picture and a PDF of
// each. Arguments: the folder for these, the files, the folder of the modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(`${files.pop()}/`);
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
// A4 less its margins, at 96 dots an inch.
const PAPER = Math.floor((180 / 25.4) * 96);

const browser = await chromium.launch({
  executablePath: process.env.AIMETER_TEST_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"],
});

async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  assert(passes.length > 10, `axe looked at ${what}`);
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html)}`);
  assert.deepEqual(told, [], what);
}

// What stands out of the window to the right, or is cut by what is around it.
const cut = (width) =>
  [...document.querySelectorAll("h1, h2, h3, p, li, dt, dd, th, td, caption, figcaption, svg, svg text")]
    .filter((one) => one.checkVisibility())
    .filter((one) => one.getBoundingClientRect().right > width + 0.5 || one.getBoundingClientRect().left < -0.5)
    .map((one) => `${one.localName} ${one.textContent.trim().slice(0, 40)}: ${one.getBoundingClientRect().right}`);

// Words of a plot that stand on each other, or leave it.
const crowded = () => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map((one) => [one.textContent.trim(), one.getBoundingClientRect()]);
    boxes.forEach(([words, box], place) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) found.push(`${words} leaves the plot`);
      for (const [others, other] of boxes.slice(place + 1)) {
        if (box.left < other.right && other.left < box.right && box.top + 2 < other.bottom && other.top + 2 < box.bottom) found.push(`${words} on ${others}`);
      }
    });
  }
  return found;
};

for (const file of files) {
  const name = basename(file, ".html");
  const address = pathToFileURL(file).href;
  const complaints = [];
  const open = async (options) => {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("dialog", (dialog) => complaints.push(`says ${dialog.message()}`));
    page.on("request", (request) => {
      if (request.url() !== address) complaints.push(`asks for ${request.url()}`);
    });
    await page.goto(address);
    return page;
  };

  // Without any script: what it shows is in the file.
  const page = await open({ viewport: { width: 1000, height: 900 }, javaScriptEnabled: false });
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  await page.setViewportSize({ width: 1000, height: 1640 });
  await page.screenshot({ path: `${folder}/${name}-top.png` });
  const pdf = await page.pdf({ path: `${folder}/${name}.pdf`, preferCSSPageSize: true });
  assert.match(pdf.toString("latin1"), /\/MediaBox \[0 0 59[45](\.\d+)? 84[12](\.\d+)?\]/, "A4");

  for (const width of [1280, 360]) {
    const page = await open({ viewport: { width, height: 800 } });
    await accessible(page, `${name} at ${width}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(wide <= width, `${name} is ${wide} wide in ${width}`);
    assert.deepEqual(await page.evaluate(crowded), [], name);
    assert.equal(await page.locator("script, iframe, object, embed, img, link, [onerror], [onload]").count(), 0);
    // Each plot says what it shows, and has its figures in a table.
    for (const figure of await page.locator("figure").all()) {
      for (const word of ["figcaption", "svg > title", "svg > desc"]) {
        const text = await figure.locator(word).textContent();
        assert(text.trim().length > 3, `${name}: ${word}`);
      }
      assert((await figure.locator("table tbody tr").count()) > 0, `${name}: a table behind each plot`);
    }
  }

  const paper = await open({ viewport: { width: PAPER, height: 970 } });
  await paper.emulateMedia({ media: "print" });
  assert.deepEqual(await paper.evaluate(cut, PAPER), [], `${name} on paper`);
  assert.deepEqual(complaints, [], name);
}

await browser.close();
