import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { METRICS, Metrics, type MetricEntry } from '../../../src/telemetry/index.ts'
import { parsePrometheusText } from '../../support/prometheus-text.ts'

const read = (path: string): string =>
  readFileSync(resolve(import.meta.dirname, '../../../deploy', path), 'utf8')

interface Rule {
  alert: string
  expr: string
  labels: Record<string, string>
  annotations: Record<string, string>
}
interface Panel {
  title: string
  type: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr: string }[]
}
const rules = (parse(read('prometheus/alerts.yaml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (one) => one.rules,
)
const dashboard = JSON.parse(read('grafana/authgw.json')) as {
  panels: Panel[]
  annotations: { list: { expr: string }[] }
  templating: { list: { query: string | { query: string } }[] }
}

/** Names of series that exist, and their labels: the table's, and those of the process. */
const labelsOfSeries = new Map<string, Set<string>>()
beforeAll(async () => {
  for (const [name, { type, labels }] of Object.entries<MetricEntry>(METRICS)) {
    const names = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name]
    for (const series of names)
      labelsOfSeries.set(
        series,
        new Set([...Object.keys(labels), ...(series.endsWith('_bucket') ? ['le'] : [])]),
      )
  }
  for (const metric of parsePrometheusText(await new Metrics().render()).values())
    for (const { name, labels } of metric.samples)
      if (!labelsOfSeries.has(name)) labelsOfSeries.set(name, new Set(Object.keys(labels)))
})

/** Says which series or labels of an expression do not exist. */
function complaints(expression: string): string[] {
  const names = expression.match(/\b(?:authgw|rpc_server|process|nodejs)_[a-z0-9_]+/g) ?? []
  const unknown = names.filter((name) => !labelsOfSeries.has(name)).map((name) => `no metric ${name}`)
  for (const [, name, selector] of expression.matchAll(/\b([a-z]+_[a-z0-9_]+)\{([^}]*)\}/g)) {
    for (const [, label] of selector!.matchAll(/(?:^|,)\s*([a-z_]+)\s*(?:=~|!~|!=|=)/g))
      if (!['job', 'instance'].includes(label!) && labelsOfSeries.get(name!)?.has(label!) === false)
        unknown.push(`${name} has no label ${label}`)
  }
  const all = new Set(['job', 'instance', ...names.flatMap((name) => [...(labelsOfSeries.get(name) ?? [])])])
  for (const [, grouping] of expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g))
    for (const label of grouping!.split(/,\s*/))
      if (!all.has(label)) unknown.push(`nothing has a label ${label}`)
  return unknown
}

test('the check itself finds a metric, a label and a grouping that do not exist', () => {
  expect(complaints('rate(authgw_decision_total[5m])')).toEqual(['no metric authgw_decision_total'])
  expect(complaints('authgw_ready{job="a",result="ok"}')).toEqual(['authgw_ready has no label result'])
  expect(complaints('sum by (job, reasons) (authgw_degraded)')).toEqual(['nothing has a label reasons'])
})

test('every alert uses only metrics and labels that exist', () => {
  expect(rules.flatMap(({ alert, expr }) => complaints(expr).map((one) => `${alert}: ${one}`))).toEqual([])
})

test('every alert says how bad it is, what has happened and what to do, and has a test', () => {
  const tested = read('prometheus/alerts.test.yaml')
  for (const { alert, labels, annotations } of rules) {
    expect(alert).toMatch(/^Authgw[A-Z]/)
    expect(['page', 'ticket']).toContain(labels['severity'])
    expect(annotations['summary']).toMatch(/\{\{ \$labels\.instance \}\}/)
    expect(annotations['description']!.length).toBeGreaterThan(80)
    expect(tested).toContain(`alertname: ${alert}\n`)
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
})

test('every expression of the dashboard uses only metrics and labels that exist', () => {
  const expressions = [
    ...dashboard.panels.flatMap(({ targets, title }) =>
      (targets ?? []).map(({ expr }) => [title, expr] as const),
    ),
    ...dashboard.annotations.list.map(({ expr }) => ['annotation', expr] as const),
    ...dashboard.templating.list.map(
      ({ query }) => ['variable', typeof query === 'string' ? query : query.query] as const,
    ),
  ]
  expect(expressions.length).toBeGreaterThan(30)
  expect(expressions.flatMap(([title, expr]) => complaints(expr).map((one) => `${title}: ${one}`))).toEqual(
    [],
  )
})

test('the dashboard shows what an operator asks for, and no two panels overlap', () => {
  const shown = JSON.stringify(dashboard)
  const unseen = Object.keys(METRICS).filter((name) => !shown.includes(name))
  // Constants, timestamps of what is shown otherwise, and the metrics of metrics.
  expect(unseen.sort()).toEqual([
    'authgw_certificate_not_before_timestamp_seconds',
    'authgw_last_reload_timestamp_seconds',
    'authgw_metric_faults_total',
  ])
  const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  )
  expect(new Set(cells).size).toBe(cells.length)
})
