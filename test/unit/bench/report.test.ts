import { describe, expect, it } from 'vitest'
import { goalsOf } from '../../../bench/load/goals.ts'
import { percentile99 } from '../../../bench/load/latency.ts'
import type { ContenderFigures, SettingFigures } from '../../../bench/load/measure.ts'
import { median } from '../../../bench/load/median.ts'
import { plot } from '../../../bench/load/plot.ts'
import { parseH2load } from '../../../bench/load/profiles.ts'
import { report } from '../../../bench/load/report.ts'
import type { Results } from '../../../bench/load/results.ts'

const LOAD = { seconds: 2, connections: 8, concurrency: 50, size: 1024, isTls: false }

function contender(name: string, cpuMicros: readonly number[]): ContenderFigures {
  const turns = cpuMicros.map((cpuMicrosPerCall) => ({
    calls: 1000,
    failed: 0,
    cpuMicrosPerCall,
    callsPerSecond: 500,
    meanMicros: 900,
    p99Micros: null,
  }))
  return { name, version: '1.0', checksToken: true, turns, peakMemoryMegabytes: 80 }
}

function resultsOf(contenders: ContenderFigures[], further: Partial<Results> = {}): Results {
  const setting: SettingFigures = {
    profile: 'constant',
    describes: 'constant head <&>',
    load: LOAD,
    contenders,
    absences: [],
    faults: [],
  }
  return {
    date: '2026-01-02T03:04',
    sourceTree: '0123456789abcdef',
    isSourceClean: true,
    machine: { cpu: 'a processor', cores: 2, kernel: '6.1', arch: 'x64' },
    node: 'v26.0.0',
    elapsedSeconds: 60,
    settings: [setting],
    latency: null,
    memory: null,
    spans: null,
    absences: [],
    ...further,
  }
}

const goalFor = (results: Results, words: string): { seen: string; isMet: boolean | null } =>
  goalsOf(results).find(({ figure }) => figure.includes(words))!

describe('what a bench run says', () => {
  it('takes the middle turn of each, and not one that was disturbed', () => {
    const results = resultsOf([contender('authgw', [5, 5, 90]), contender('nghttpx', [20, 1, 20])])
    expect(goalFor(results, '1 KiB, plaintext, constant head ÷ nghttpx')).toMatchObject({
      seen: '0.25',
      isMet: true,
    })
  })

  it('says of a goal that it is missed, and of one without figures that it was not measured', () => {
    const results = resultsOf([contender('authgw', [15]), contender('nghttpx', [20])])
    expect(goalFor(results, 'constant head ÷ nghttpx')).toMatchObject({ seen: '0.75', isMet: false })
    expect(goalFor(results, '100 KiB, plaintext, constant head ÷ nghttpx')).toMatchObject({
      seen: 'not measured',
      isMet: null,
    })
    expect(goalFor(results, 'memory idle')).toMatchObject({ isMet: null })
  })

  it('compares the slope of idle connections with the bare server, not with zero', () => {
    const idleConnections = [
      { name: 'authgw', connections: 2000, kilobytesEach: 66 },
      { name: 'bare node:tls', connections: 2000, kilobytesEach: 60 },
    ]
    const memory = {
      start: { readyMs: [1], idleMegabytes: [1] },
      idleConnections,
      growth: [],
      loadClients: { h2loadMicros: [], coreMicros: [] },
      afterCalls: [],
    }
    const results = resultsOf([], { memory })
    expect(goalFor(results, 'idle mTLS connection')).toMatchObject({ seen: '1.10', isMet: true })
  })

  it('names the source tree, whether it was changed since, and what was absent', () => {
    const text = report(
      resultsOf([contender('authgw', [5])], { isSourceClean: false, absences: ['envoy: no'] }),
    )
    expect(text).toContain('src/ 0123456789ab, changed since')
    expect(text).toContain('- envoy: no')
  })

  it('draws a bar for each proxy, the longest for the dearest, and escapes what it writes', () => {
    const svg = plot(resultsOf([contender('authgw', [5]), contender('nghttpx', [20])]))
    const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    )
    expect(widths).toHaveLength(2)
    expect(widths[1]! / widths[0]!).toBeCloseTo(4, 1)
    expect(svg).toContain('constant head &lt;&amp;&gt;')
  })

  it('finds the median of few figures and p99 of a log of calls', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([])).toBeNaN()
    const log = Array.from({ length: 100 }, (_, index) => `17000\t200\t${100 - index}\n`).join('')
    expect(percentile99(log)).toBe(100)
  })

  it('counts a call without a message as failed, though its HTTP status was 200', () => {
    const text = `requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout
traffic: 1.00KB (1024) total, 100B (100) headers (space savings 90.00%), 40B (40) data
time for request:      100us      1.00ms       500us       10us    90.00%`
    expect(parseH2load(text, LOAD)).toMatchObject({ calls: 10, failed: 2, meanMicros: 500 })
  })
})
