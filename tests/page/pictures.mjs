// SPDX-License-Identifier: Apache-2.0
// Takes the pictures of docs/page.md. Arguments: the page's address, the folder of the
// pictures, the folder of the modules.

import { createRequire } from "node:module";

const [address, folder, modules] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const browser = await chromium.launch({
  executablePath: process.env.AIMETER_TEST_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"],
});

async function picture(name, options, path = "/") {
  const context = await browser.newContext({ viewport: { width: 1040, height: 900 }, ...options });
  const page = await context.newPage();
  await page.goto(address + path);
  await page.locator("#power canvas").waitFor();
  if (path === "/") {
    await page.locator("#grid canvas").waitFor();
    await page.locator("#jobs tbody a").first().waitFor();
  }
  // The second event fills what the first did not know.
  await page.waitForTimeout(2500);
  // The whole of it, unless a height is given.
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: !options.viewport });
  await context.close();
}

await picture("page-desktop", {});
await picture("page-dark", { colorScheme: "dark", viewport: { width: 1040, height: 1000 } });
await picture("page-phone", { viewport: { width: 360, height: 1440 }, isMobile: true, hasTouch: true, deviceScaleFactor: 1.5 });
const { jobs } = await (await fetch(`${address}/api/v1/jobs`)).json();
const job = jobs.find((job) => job.name === "llama-finetune") ?? jobs[0];
await picture("page-job", {}, `/jobs/${job.id}`);
await browser.close();
