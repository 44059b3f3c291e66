import { execFile, spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { Histogram } from '../../src/base/index.ts'
import { METRICS, Metrics, type MetricEntry } from '../../src/telemetry/index.ts'

const FOLDER = resolve(import.meta.dirname, '../../deploy/prometheus')
const isPresent = spawnSync('promtool', ['--version']).status === 0
if (!isPresent)
  console.warn(
    'ABSENT: promtool (Debian package prometheus). Alerts and the metrics format are NOT checked by it.',
  )

const promtool = async (...args: string[]): Promise<string> => {
  const { stdout, stderr } = await promisify(execFile)('promtool', args, { cwd: FOLDER })
  return stdout + stderr
}

test.skipIf(!isPresent)('promtool takes the alerts', async () => {
  expect(await promtool('check', 'rules', 'alerts.yaml')).toMatch(/SUCCESS: \d+ rules found/)
})

test.skipIf(!isPresent)('the alerts fire when they should, and not when they should not', async () => {
  const output = await promtool('test', 'rules', 'alerts.test.yaml')
  expect(output).toContain('SUCCESS')
  expect(output).not.toContain('FAILED')
})

test.skipIf(!isPresent)(
  'promtool has no fault to find with the names, units and format of our metrics',
  async () => {
    const metrics = new Metrics({ includesProcess: false })
    for (const [name, entry] of Object.entries<MetricEntry>(METRICS)) {
      const labels = Object.fromEntries(Object.keys(entry.labels).map((label) => [label, 'a "b" \\ c']))
      const reading = entry.type === 'histogram' ? new Histogram() : 1
      metrics.addFamily(name as 'authgw_ready', (emit) => emit(labels, reading as number))
    }
    const text = await metrics.render()
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    })
    expect([status, stdout + stderr]).toEqual([0, ''])
  },
)
