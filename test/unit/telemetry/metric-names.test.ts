import { expect, test } from 'vitest'
import { METRICS, renderMetricsDoc, type MetricEntry } from '../../../src/telemetry/index.ts'

const entries = Object.entries<MetricEntry>(METRICS)

test('names follow the rules: prefix, base units, _total on counters and on nothing else', () => {
  const wrong = entries.flatMap(([name, { type }]) => {
    const complaints: string[] = []
    if (!/^(?:authgw|rpc_server)_[a-z0-9]+(?:_[a-z0-9]+)*$/.test(name)) complaints.push('spelling or prefix')
    if ((type === 'counter') !== name.endsWith('_total')) complaints.push('_total is for counters')
    if (/_(?:ms|millis|milliseconds|micros|minutes|hours|days|kb|kib|mb|mib|percent)(?:_|$)/.test(name))
      complaints.push('not a base unit: seconds, bytes, ratio')
    if (/_(?:count|sum|bucket)$/.test(name)) complaints.push('a suffix that histograms own')
    if (type === 'histogram' && !/_(?:seconds|bytes)$/.test(name))
      complaints.push('a histogram ends with its unit')
    if (name.includes('timestamp') && !name.endsWith('_timestamp_seconds'))
      complaints.push('timestamps are seconds')
    return complaints.map((complaint) => `${name}: ${complaint}`)
  })
  expect(wrong).toEqual([])
})

test('each metric says what it counts, in a sentence, and what its labels hold', () => {
  const wrong = entries.flatMap(([name, { help, labels, source }]) => [
    ...(/^[A-Z0-9][^\n]*[^\s.](?:\.|…)$/.test(help) ? [] : [`${name}: the help is no sentence`]),
    ...(/^[a-z0-9]+(?:, [a-z0-9]+)*$/.test(source) ? [] : [`${name}: the source is no list of rooms`]),
    ...Object.entries(labels)
      .filter(
        ([label, values]) =>
          !/^[a-z][a-z_]*$/.test(label) ||
          ['le', 'quantile', 'job', 'instance'].includes(label) ||
          values.length < 6,
      )
      .map(([label]) => `${name}: label ${label}`),
  ])
  expect(wrong).toEqual([])
})

test('values that workers cannot add up are not added up', () => {
  const wrong = entries.filter(
    ([name, { type, aggregation }]) =>
      (type !== 'gauge' && aggregation !== 'sum') ||
      (/_(?:timestamp|age|stale)_?seconds?$/.test(name) && aggregation === 'sum'),
  )
  expect(wrong.map(([name]) => name)).toEqual([])
})

test('the page for operators has a heading for each metric, and its labels', () => {
  const page = renderMetricsDoc()
  for (const [name, { labels, help }] of entries) {
    expect(page).toContain(`\n## \`${name}\`\n`)
    expect(page).toContain(help)
    for (const label of Object.keys(labels)) expect(page).toContain(`- \`${label}\`: `)
  }
  expect(page.match(/^## /gm)).toHaveLength(entries.length)
})
