import { describe, expect, test } from 'vitest'
import { SeldomLog } from '../../../src/net/seldom-log.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { recordingLog } from '../../support/gate-bench.ts'

const FAILED = 'a TLS handshake failed'

function bench() {
  const lines: Record<string, unknown>[] = []
  const clock = new FakeClock()
  const seldom = new SeldomLog(recordingLog(lines), clock)
  const warnings = () => lines.filter((line) => line['level'] === 'warn')
  return { seldom, clock, warnings }
}

describe('what strangers can cause at will', () => {
  test('is one line in ten seconds, and the next says how many were left out', async () => {
    const { seldom, clock, warnings } = bench()
    for (let i = 0; i < 5; i++) seldom.warn(FAILED, 'the peer sent no certificate', { address: '192.0.2.1' })
    expect(warnings()).toHaveLength(1)
    expect(warnings()[0]).not.toHaveProperty('suppressed')
    await clock.advance(10_000)
    seldom.warn(FAILED, 'the peer sent no certificate', { address: '192.0.2.2' })
    expect(warnings()[1]).toMatchObject({
      address: '192.0.2.2',
      reason: 'the peer sent no certificate',
      suppressed: 4,
    })
    await clock.advance(10_000)
    seldom.warn(FAILED, 'the peer sent no certificate', {})
    expect(warnings()[2]).not.toHaveProperty('suppressed')
  })
  test('does not hide another reason under the same message', () => {
    const { seldom, warnings } = bench()
    seldom.warn(FAILED, 'the peer does not speak TLS', {})
    seldom.warn(FAILED, 'the certificate has expired', {})
    expect(warnings().map((line) => line['reason'])).toEqual([
      'the peer does not speak TLS',
      'the certificate has expired',
    ])
  })
  test('cannot make it remember without bound', async () => {
    const { seldom, clock, warnings } = bench()
    for (let i = 0; i < 1000; i++) seldom.warn(FAILED, `reason ${i}`, {})
    // 64 kinds of their own, and one for all others.
    expect(warnings()).toHaveLength(65)
    await clock.advance(10_000)
    seldom.warn(FAILED, 'reason 1001', {})
    expect(warnings().at(-1)).toMatchObject({ reason: 'reason 1001', suppressed: 935 })
  })
})
