/**
 * Row 27 of the no-loss contract: a peer that floods is sent away with ENHANCE_YOUR_CALM, and honest clients notice nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { FrameSpec } from '../support/frame-factory.ts'
import { EXPORT_PATH, GRPC_HEAD, openStage } from '../support/scenario-stage.ts'
import { dialRaw } from '../support/raw-caller.ts'
import type { RawCaller } from '../support/raw-caller.ts'

const ENHANCE_YOUR_CALM = 11
const HEAD = GRPC_HEAD.map(([name, value]) => [name, name === ':scheme' ? 'http' : value] as const)

/** A flood, a piece at a time, until the peer has had enough. */
async function flood(caller: RawCaller, piece: () => void): Promise<void> {
  const isClosed = { value: false }
  const closed = caller.closed.then(() => (isClosed.value = true))
  for (let count = 0; count < 300 && !isClosed.value; count++) {
    piece()
    await sleep(1)
  }
  await Promise.race([closed, sleep(1_000)])
}

const FLOODS: readonly (readonly [string, (caller: RawCaller) => void])[] = [
  [
    'rapid resets (CVE-2023-44487)',
    (caller) => {
      for (let count = 0; count < 20; count++) {
        const stream = caller.nextStream
        void caller.request(HEAD, Buffer.alloc(5))
        caller.send({ type: 'RST_STREAM', stream, payload: '00000008' })
      }
    },
  ],
  [
    'SETTINGS',
    (caller) => caller.send(...Array.from({ length: 20 }, (): FrameSpec => ({ type: 'SETTINGS' }))),
  ],
  [
    'PRIORITY',
    (caller) =>
      caller.send(
        ...Array.from({ length: 50 }, (): FrameSpec => ({ type: 'PRIORITY', stream: 1_001, dependsOn: 0 })),
      ),
  ],
  [
    'WINDOW_UPDATE of one octet',
    (caller) =>
      caller.send(
        ...Array.from({ length: 200 }, (): FrameSpec => ({ type: 'WINDOW_UPDATE', payload: '00000001' })),
      ),
  ],
]

test.each(FLOODS)('%s', async (_name, piece) => {
  await using stage = await openStage({ shape: 'workload' })
  const honest = stage.connect()
  const isOver = { value: false }
  const statuses: number[] = []
  const load = (async () => {
    while (!isOver.value || statuses.length < 50) {
      const { status } = await honest.unary(Buffer.alloc(5), { path: EXPORT_PATH, timeoutMs: 5_000 })
      statuses.push(status)
    }
  })()
  const attacker = await dialRaw(stage.port)
  await flood(attacker, () => piece(attacker))
  isOver.value = true
  await load
  expect(attacker.goaway).toMatchObject({ code: ENHANCE_YOUR_CALM })
  expect(new Set(statuses)).toEqual(new Set([0]))
  expect(await stage.metric('authgw_limit_breaches_total')).toBeGreaterThan(0)
})
