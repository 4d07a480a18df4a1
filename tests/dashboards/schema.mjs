// SPDX-License-Identifier: Apache-2.0
// Checks dashboards against Grafana's own types: `node schema.mjs FILE.json…`.
//
// Each file is written as a literal into a TypeScript file, so that the compiler
// sees words that it would forget of an imported one, and checked as a whole, and
// panel by panel with the options and field settings of its type. It says what is
// wrong and ends with 1.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
if (!existsSync(join(here, 'node_modules/@grafana/schema'))) {
  console.error(`Grafana's types are missing: npm ci --ignore-scripts --prefix ${here}`);
  process.exit(2);
}

// Which panels there are, by Grafana's name, and whether they have field settings.
const KINDS = {
  bargauge: ['bargauge', 'BarGauge', false],
  stat: ['stat', 'Stat', false],
  'state-timeline': ['statetimeline', 'StateTimeline', true],
  table: ['table', 'Table', true],
  timeseries: ['timeseries', 'TimeSeries', true],
};

const HEAD = `
import type { AnnotationQuery, Dashboard, DataSourceRef, Panel, RowPanel, VariableModel } from '@grafana/schema';
${Object.values(KINDS)
  .map(([folder, name, fields]) => {
    const module = `@grafana/schema/dist/esm/raw/composable/${folder}/panelcfg/x/${name}PanelCfg_types.gen`;
    const field = fields ? `, FieldConfig as F_${folder}` : '';
    return `import type { Options as O_${folder}${field} } from '${module}';`;
  })
  .join('\n')}
// JSON has the words of an enumeration, not its members.
type Json<T> = T extends string ? \`\${T}\`
  : T extends number ? T
  : T extends (infer U)[] ? Json<U>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
// What the Prometheus data source adds; Grafana publishes no types of it.
type Marks = Omit<AnnotationQuery, 'target'> & {
  expr: string; step: string; titleFormat: string; textFormat: string; tagKeys: string;
  useValueForTime: 'on';
};
type Choice = Omit<VariableModel, 'query'> & {
  query: string | { query: string; refId: string }; definition?: string;
};
type Query = {
  refId: string; datasource: DataSourceRef; expr: string; editorMode: 'code';
  format: 'time_series' | 'table'; range: boolean; instant?: boolean; legendFormat?: string;
};
`;

function source(dashboard) {
  const { panels, annotations, templating, ...rest } = dashboard;
  const parts = [HEAD];
  const literal = (name, type, value) =>
    parts.push(`export const ${name}: Json<${type}> = ${JSON.stringify(value, null, 1)};`);
  literal('dashboard', 'Partial<Dashboard>', rest);
  annotations.list.forEach((mark, place) => literal(`mark${place}`, 'Marks', mark));
  templating.list.forEach((choice, place) => literal(`choice${place}`, 'Choice', choice));
  for (const panel of panels) {
    if (panel.type === 'row') {
      literal(`row${panel.id}`, 'RowPanel', panel);
      continue;
    }
    const known = KINDS[panel.type];
    if (!known) throw new Error(`a panel of type ${panel.type}: add it to KINDS`);
    const [folder, , fields] = known;
    const { targets, options, ...frame } = panel;
    const { custom, ...defaults } = panel.fieldConfig.defaults;
    literal(`panel${panel.id}`, 'Panel', { ...frame, fieldConfig: { ...panel.fieldConfig, defaults } });
    literal(`options${panel.id}`, `Partial<O_${folder}>`, options);
    if (custom) literal(`custom${panel.id}`, fields ? `Partial<F_${folder}>` : 'never', custom);
    targets.forEach((target, place) => literal(`query${panel.id}_${place}`, 'Query', target));
  }
  return parts.join('\n');
}

// Beside node_modules, where the compiler looks for it; a folder of its own each time.
const work = join(here, 'node_modules', `.check-${process.pid}`);
mkdirSync(work);
try {
  const files = process.argv.slice(2).map((file) => {
    const out = join(work, `${basename(file, '.json')}.ts`);
    writeFileSync(out, source(JSON.parse(readFileSync(file, 'utf8'))));
    return out;
  });
  // The package's own file: what is called `tsc` in .bin differs by platform.
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'esnext', '--module', 'esnext', '--moduleResolution', 'bundler', '--types', ''];
  const { status, stdout, stderr } = spawnSync(process.execPath, [compiler, ...flags, ...files], { encoding: 'utf8' });
  process.stdout.write(stdout + stderr);
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true });
}
