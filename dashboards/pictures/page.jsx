// SPDX-License-Identifier: Apache-2.0
// One dashboard in the browser, drawn by Grafana's components from `window.data`.
// `@grafana/ui` has no state timeline and no annotations: those are drawn here, alike.

import { createRoot } from 'react-dom/client';
import {
  applyFieldOverrides,
  createTheme,
  FieldType,
  getDisplayProcessor,
  standardFieldConfigEditorRegistry,
  standardTransformersRegistry,
  ThemeContext,
  toDataFrame,
  transformDataFrame,
  standardTransformers,
  dateTime,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { firstValueFrom } from 'rxjs';

const { dashboard, answers, from, to, width, row, gap } = window.data;
const theme = createTheme({ colors: { mode: 'dark' } });
const timeRange = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-8m', to: 'now' } };
const timeZone = 'utc';

standardFieldConfigEditorRegistry.setInit(() => []);
standardTransformersRegistry.setInit(() =>
  ['merge', 'organize', 'renameByRegex', 'order', 'filterFieldsByName', 'rename', 'noop', 'filterFields'].flatMap((id) => Object.values(standardTransformers).find((one) => one.id === id) ?? []).map((transformation) => ({ id: transformation.id, name: transformation.name, transformation, editor: () => null }))
);

function named(legend, labels) {
  return (legend || '').replaceAll(/{{(\w+)}}/g, (_, name) => labels[name] ?? '').trim();
}

// The frames of a panel as Grafana's Prometheus data source makes them.
function frames(panel) {
  return panel.targets.flatMap((target, place) => {
    const { resultType, result } = answers.panels[panel.id][place];
    if (target.format === 'table') {
      const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].filter((name) => name !== '__name__');
      const value = panel.targets.length > 1 ? `Value #${target.refId}` : 'Value';
      return [
        toDataFrame({
          refId: target.refId,
          fields: [
            { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
            ...labels.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name] ?? '') })),
            { name: value, type: FieldType.number, values: result.map(({ value }) => Number(value[1])) },
          ],
        }),
      ];
    }
    return result.map((series) => {
      const samples = resultType === 'vector' ? [series.value] : series.values;
      const name = named(target.legendFormat, series.metric) || panel.title;
      return toDataFrame({
        refId: target.refId,
        name,
        fields: [
          { name: 'Time', type: FieldType.time, values: samples.map(([time]) => time * 1000) },
          {
            name: 'Value',
            type: FieldType.number,
            labels: series.metric,
            config: { displayNameFromDS: name },
            values: samples.map(([, value]) => (value === 'NaN' ? null : Number(value))),
          },
        ],
      });
    });
  });
}

// Units, names, colours: the panel's field settings and overrides.
function dressed(panel, data) {
  const defaults = panel.fieldConfig.defaults;
  const out = applyFieldOverrides({
    data,
    fieldConfig: { defaults: {}, overrides: [] },
    replaceVariables: (text) => text,
    theme,
    timeZone,
  });
  let index = 0;
  for (const frame of out) {
    for (const field of frame.fields) {
      if (field.type === FieldType.time) continue;
      const name = field.config.displayName ?? field.config.displayNameFromDS ?? field.name;
      field.config = { ...defaults, ...field.config, custom: { ...defaults.custom } };
      for (const { matcher, properties } of panel.fieldConfig.overrides) {
        if (matcher.options !== name) continue;
        for (const { id, value } of properties) {
          if (id.startsWith('custom.')) field.config.custom[id.slice(7)] = value;
          else if (id !== 'links') field.config[id] = value;
        }
      }
      field.state = { ...field.state, displayName: name, seriesIndex: index };
      if (field.type === FieldType.number) index += 1;
      field.display = getDisplayProcessor({ field, theme, timeZone });
    }
  }
  return out;
}

const marks = dashboard.annotations.list.flatMap((mark, place) =>
  answers.marks[place].result.map(({ values }) => ({ time: Number(values.at(-1)[1]), colour: theme.visualization.getColorByName(mark.iconColor) }))
);

function drawMarks(config) {
  config.addHook('draw', (plot) => {
    for (const { time, colour } of marks) {
      if (time < from * 1000 || time > to * 1000) continue;
      const x = Math.round(plot.valToPos(time, 'x', true));
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour;
      ctx.setLineDash([4, 4]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 5, bbox.top + bbox.height + 6);
      ctx.lineTo(x + 5, bbox.top + bbox.height + 6);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.fill();
      ctx.restore();
    }
  });
  return null;
}

function Stat({ panel, frames, width, height }) {
  const field = frames[0]?.fields[1];
  if (!field) return null;
  const value = field.display(field.values.filter((value) => value !== null).at(-1));
  const sparkline = { y: field, x: frames[0].fields[0], timeRange: undefined };
  return <BigValue theme={theme} width={width} height={height} value={value} sparkline={sparkline} colorMode={panel.options.colorMode} graphMode="area" textMode="value" justifyMode="auto" />;
}

function Bars({ panel, frames, width, height }) {
  const fields = frames.map((frame) => frame.fields[1]);
  const max = Math.max(...fields.map((field) => field.values[0]), 0);
  const each = Math.min(panel.options.maxVizHeight, height / Math.max(fields.length, 1));
  return (
    <div style={{ display: 'flex', flexDirection: 'column', gap: 8 }}>
      {fields.map((field, place) => {
        field.config = { ...field.config, max };
        const display = getDisplayProcessor({ field, theme, timeZone });
        const value = { ...display(field.values[0]), title: field.config.displayNameFromDS };
        return <BarGauge key={place} theme={theme} width={width} height={each - 8} value={value} field={field.config} display={display} orientation="horizontal" displayMode={panel.options.displayMode} showUnfilled namePlacement="left" valueDisplayMode="text" alignmentFactors={{ title: 'finetune-asr', text: '188.8 kJ' }} />;
      })}
    </div>
  );
}

function States({ panel, frames, width, height }) {
  const words = panel.fieldConfig.defaults.mappings[0].options;
  const left = 150;
  const each = Math.min(40, (height - 50) / Math.max(frames.length, 1));
  const scale = (time) => left + ((time / 1000 - from) / (to - from)) * (width - left - 10);
  return (
    <svg width={width} height={height} style={{ fill: theme.colors.text.primary, fontSize: 12 }}>
      {frames.map((frame, place) => {
        const [time, value] = frame.fields;
        const runs = [];
        value.values.forEach((state, i) => {
          const last = runs.at(-1);
          if (last?.state === state) last.end = time.values[i];
          else runs.push({ state, start: time.values[i], end: time.values[i] });
        });
        return (
          <g key={place} transform={`translate(0 ${place * each})`}>
            <text x={left - 10} y={each / 2 + 4} textAnchor="end">{value.config.displayNameFromDS}</text>
            {runs.map((run, i) => (
              <rect key={i} x={scale(run.start)} y={each * 0.1} width={Math.max(scale(run.end) - scale(run.start), 1)} height={each * 0.8} fill={theme.visualization.getColorByName(words[run.state]?.color ?? 'text')} fillOpacity={0.8} />
            ))}
          </g>
        );
      })}
      {Object.values(words).map(({ text, color }, i) => (
        <g key={text} transform={`translate(${left + i * 60} ${height - 14})`}>
          <rect width={14} height={4} y={-6} fill={theme.visualization.getColorByName(color)} />
          <text x={20}>{text}</text>
        </g>
      ))}
    </svg>
  );
}

function Curves({ panel, frames, width, height }) {
  return (
    <TimeSeries frames={frames} timeRange={timeRange} timeZone={timeZone} width={width} height={height} legend={panel.options.legend}>
      {drawMarks}
    </TimeSeries>
  );
}

function Rows({ panel, frames, width, height }) {
  return <Table data={frames[0]} width={width} height={height} initialSortBy={panel.options.sortBy} cellHeight="sm" />;
}

const KINDS = { stat: Stat, bargauge: Bars, 'state-timeline': States, timeseries: Curves, table: Rows };

function Panel({ panel }) {
  const [data, setData] = useState(null);
  useEffect(() => {
    // A step of Grafana's own gives numbers to a stream of frames.
    firstValueFrom(transformDataFrame(panel.transformations ?? [], frames(panel))).then((out) => setData(dressed(panel, out)));
  }, []);
  const unit = (width - gap) / 24;
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: gap + x * unit, top: 44 + y * (row + gap), width: w * unit - gap, height: h * (row + gap) - gap };
  const Kind = KINDS[panel.type];
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={place.width} height={place.height}>
        {(width, height) => data && <Kind panel={panel} frames={data} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

function Heading({ panel }) {
  const style = { position: 'absolute', left: gap, top: 44 + panel.gridPos.y * (row + gap) + 6, color: theme.colors.text.primary, fontSize: 16 };
  return <div style={style}>⌄ {panel.title}</div>;
}

function Page() {
  const [ready, setReady] = useState(false);
  // Charts draw a moment after they are there.
  useEffect(() => void setTimeout(() => setReady(true), 2500), []);
  return (
    <ThemeContext.Provider value={theme}>
      <>
        <GlobalStyles />
        <div style={{ position: 'absolute', left: 12, top: 10, color: theme.colors.text.primary, fontSize: 18 }}>{dashboard.title}</div>
        {dashboard.panels.map((panel) => (panel.type === 'row' ? <Heading key={panel.id} panel={panel} /> : <Panel key={panel.id} panel={panel} />))}
        {ready && <div id="ready" />}
      </>
    </ThemeContext.Provider>
  );
}

document.body.style.cssText = `margin: 0; color: ${theme.colors.text.primary}; background: ${theme.colors.background.canvas}; font-family: Inter, "DejaVu Sans", sans-serif; font-size: 14px`;
createRoot(document.getElementById('root')).render(<Page />);
