// SPDX-License-Identifier: Apache-2.0
// Draws the dashboards with what a Prometheus knows, as Grafana would:
// `node render.mjs URL SECONDS JOB_NAME` writes docs/pictures/dashboard-NAME.png of
// the last SECONDS; the dashboard of jobs shows the job of that name. The queries are
// the panels' own; @grafana/ui draws them in Chromium. See page.jsx for what it lacks.

import { build } from 'esbuild';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const [url, seconds, jobName] = process.argv.slice(2);
const pictures = join(here, '../../docs/pictures');
const [WIDTH, ROW, GAP] = [1480, 30, 8];

async function ask(page, parameters) {
  const answer = await fetch(`${url}/api/v1/${page}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(`${JSON.stringify(parameters)}: ${body.error}`);
  return body.data;
}

const to = Math.floor((await ask('query', { query: 'time()' })).result[0]);
const from = to - Number(seconds);
const step = 2;
const [job] = (await ask('query', { query: `aimeter_job_running{job_name="${jobName}"}` })).result;

// What Grafana fills in: "All", and the one job.
function filled(expression, dashboard) {
  const fixed = { __rate_interval: '60s', __interval: `${step}s`, __range: `${seconds}s` };
  for (const variable of dashboard.templating.list) {
    fixed[variable.name] = variable.allValue ?? job.metric.job_id;
  }
  return expression.replaceAll(/\$(\w+)/g, (_, name) => fixed[name]);
}

async function answers(dashboard) {
  const ask_ = (target) => {
    const query = filled(target.expr, dashboard);
    return target.instant
      ? ask('query', { query, time: to })
      : ask('query_range', { query, start: from, end: to, step });
  };
  const panels = {};
  for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) {
    panels[panel.id] = await Promise.all(panel.targets.map(ask_));
  }
  return { panels, marks: await Promise.all(dashboard.annotations.list.map(ask_)) };
}

// A module of the old kind, of which the bundler takes the whole for its default.
const scrollbars = {
  name: 'scrollbars',
  setup(build) {
    const filter = /^react-custom-scrollbars-2$/;
    build.onResolve({ filter }, ({ path, namespace }) => (namespace === 'file' ? { path, namespace: 'wrapped' } : undefined));
    build.onLoad({ filter, namespace: 'wrapped' }, ({ path }) => ({
      contents: `export { Scrollbars as default } from '${path}'`,
      resolveDir: here,
    }));
  },
};

const bundle = await build({
  plugins: [scrollbars],
  entryPoints: [join(here, 'page.jsx')],
  bundle: true,
  write: false,
  outdir: here,
  format: 'iife',
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.ttf': 'dataurl', '.woff2': 'dataurl', '.svg': 'text' },
  logLevel: 'error',
});

const part = (end) => bundle.outputFiles.find(({ path }) => path.endsWith(end)).text;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
mkdirSync(pictures, { recursive: true });
try {
  for (const name of ['fleet', 'host', 'job', 'carbon', 'health']) {
    const dashboard = JSON.parse(readFileSync(join(here, `../${name}.json`), 'utf8'));
    const rows = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
    const data = { dashboard, answers: await answers(dashboard), from, to, width: WIDTH, row: ROW, gap: GAP };
    const page = await browser.newPage({ viewport: { width: WIDTH, height: rows * (ROW + GAP) + 60 } });
    page.on('console', (message) => message.type() === 'error' && console.error(`${name}: ${message.text()}`));
    page.on('pageerror', (error) => {
      throw error;
    });
    // A place of its own, without which there is no local storage; nothing else is served.
    const body = '<!doctype html><meta charset="utf-8"><div id="root"></div>';
    await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body }));
    await page.goto('http://aimeter.invalid/');
    await page.evaluate((data) => (window.data = data), data);
    await page.addStyleTag({ content: part('.css') });
    await page.addScriptTag({ content: part('.js') });
    await page.waitForSelector('#ready', { state: 'attached' });
    const file = join(pictures, `dashboard-${name}.png`);
    const raw = `${file}.raw`;
    writeFileSync(raw, await page.screenshot());
    const small = spawnSync('pngquant', ['--force', '--strip', '--speed', '1', '--output', file, '64', raw]);
    if (small.error) throw new Error('pngquant is missing (Debian package pngquant)');
    rmSync(raw);
    await page.close();
  }
} finally {
  await browser.close();
}
