/**
 * What an operator reads in /metrics moves with what happens: each metric that no other story looks at, from gateways with mTLS.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { frame, frames, settingsPayload, uint32 } from '../support/frame-factory.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { literals, PREFACE } from '../support/h2-pair.ts'
import { dialRaw } from '../support/raw-caller.ts'
import { EXPORT_PATH, GRPC_HEAD, openStage } from '../support/scenario-stage.ts'
import type { Stage } from '../support/scenario-stage.ts'

const INITIAL_WINDOW_SIZE = 4
const MAX_WINDOW = 2 ** 31 - 1

type Labels = Readonly<Record<string, string>>

/** How much a metric has grown over `work`, summed over both gateways. */
async function growth(
  stage: Stage,
  metrics: readonly (readonly [name: string, labels?: Labels])[],
  work: () => Promise<unknown>,
): Promise<number[]> {
  const read = () => Promise.all(metrics.map(([name, labels]) => stage.metric(name, labels)))
  const before = await read()
  await work()
  const after = await read()
  return after.map((value, place) => value - before[place]!)
}

test('what runs, until when its certificates are good, and how old its keys are', async () => {
  await using stage = await openStage({ shape: 'both' })
  expect((await stage.call()).status).toBe('OK')
  expect(await stage.metric('authgw_build_info', { version: '0.0.0' })).toBe(2)
  const nowSeconds = Date.now() / 1_000
  for (const role of ['ingress', 'egress', 'ingress_ca', 'egress_ca'])
    expect(await stage.metric('authgw_certificate_expiry_timestamp_seconds', { role })).toBeGreaterThan(
      nowSeconds,
    )
  expect(await stage.metric('authgw_key_set_max_stale_seconds')).toBe(86_400)
  const age = await stage.metric('authgw_key_set_age_seconds')
  expect(age).toBeGreaterThan(0)
  expect(age).toBeLessThan(60)
  expect(await stage.metric('authgw_key_set_keys')).toBe(1)
  expect(await stage.metric('authgw_resolutions_total', { result: 'ok' })).toBeGreaterThan(0)
})

test('one signature for many calls: the caches say so', async () => {
  await using stage = await openStage({ shape: 'both' })
  await stage.call()
  const counted = [
    ['authgw_cache_misses_total', { cache: 'token' }],
    ['authgw_signature_checks_total'],
    ['authgw_streams_total', { leg: 'ingress' }],
    ['authgw_streams_total', { leg: 'egress' }],
    ['authgw_connections_total'],
    ['authgw_cache_hits_total'],
  ] as const
  const calls = (): Promise<unknown> => Promise.all(Array.from({ length: 20 }, () => stage.call()))
  const grown = await growth(stage, counted, calls)
  expect(grown.slice(0, -1)).toEqual([0, 0, 40, 40, 0])
  // At both gateways, by the head of the call or by its token.
  expect(grown.at(-1)).toBeGreaterThanOrEqual(20)
  expect(await stage.metric('authgw_cache_misses_total', { cache: 'token' })).toBe(1)
  // The first call found nothing in any of the three; that is all that was ever missed.
  for (const cache of ['verdict', 'negative'])
    expect(await stage.metric('authgw_cache_misses_total', { cache })).toBe(1)
  expect(await stage.metric('authgw_signature_checks_waiting')).toBe(0)
  // The caller’s to the workload, and the workload’s to the control plane at both of its ends; the upstream’s.
  expect(await stage.metric('authgw_connections_total', { leg: 'ingress' })).toBe(2)
  expect(await stage.metric('authgw_connections_total', { leg: 'egress' })).toBe(2)
})

test('a call that waits for a connection is counted while it does', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  try {
    const { port } = silent.address() as AddressInfo
    await using stage = await openStage({ shape: 'workload', upstreamPort: port })
    const call = stage.call()
    await waitFor(async () => (await stage.metric('authgw_waiting_calls')) === 1, 1_500, 'it waits')
    expect((await call).status).toBe('UNAVAILABLE')
    expect(await stage.metric('authgw_waiting_calls')).toBe(0)
  } finally {
    silent.close()
  }
})

test('a request above the copy’s limit goes unheld, and is counted', async () => {
  await using stage = await openStage({ shape: 'workload' })
  await stage.call()
  const [grown] = await growth(stage, [['authgw_unheld_calls_total']], () =>
    stage.call({ body: Buffer.alloc(2 * 1024 * 1024) }),
  )
  expect(grown).toBe(1)
})

test('a call that is cancelled: RST_STREAM received from the client and sent to the upstream', async () => {
  await using stage = await openStage({ shape: 'workload' })
  await stage.call()
  const isSeen = { value: false }
  stage.upstream.respond = async (call) => {
    isSeen.value = true
    await call.cancelled
  }
  const counted = [
    ['authgw_stream_resets_total', { leg: 'ingress', direction: 'received' }],
    ['authgw_stream_resets_total', { leg: 'egress', direction: 'sent' }],
  ] as const
  const grown = await growth(stage, counted, async () => {
    const call = stage.connect().open({ path: EXPORT_PATH })
    call.outcome.catch(() => {})
    await call.send(Buffer.from('half a stream'))
    await waitFor(() => isSeen.value, 2_000, 'the call arrives')
    call.cancel()
    await sleep(200)
  })
  expect(grown).toEqual([1, 1])
})

test('a policy on trial and an audit rule: what they would have done is counted', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    controlPlane: `policy:
  dry_run: true
  rules:
    - {name: seen, action: audit, to: {signals: [traces]}}
    - {name: only-logs, action: allow, to: {signals: [logs]}}`,
  })
  expect((await stage.call()).status).toBe('OK')
  expect(await stage.metric('authgw_policy_findings_total', { finding: 'dry_run' })).toBe(1)
  expect(await stage.metric('authgw_policy_findings_total', { finding: 'audit' })).toBe(1)
})

test('a connection too many is counted as refused, and one that is told to go as GOAWAY', async () => {
  await using stage = await openStage({ shape: 'control_plane', top: 'limits: {max_connections: 1}' })
  expect((await stage.call()).status).toBe('OK')
  await dialRaw(stage.port, stage.clientTls()).then(
    (caller) => caller.close(),
    () => {},
  )
  const refused = (): Promise<number> => stage.metric('authgw_connections_refused_total', { reason: 'total' })
  await waitFor(async () => (await refused()) > 0, 2_000, 'the second connection is refused')
  const [goaways] = await growth(
    stage,
    [['authgw_goaways_total', { leg: 'egress', direction: 'received' }]],
    async () => {
      await stage.upstream.close()
      await sleep(200)
    },
  )
  expect(goaways).toBe(1)
})

test('a caller that does not read: what waits in its socket is shown, and that it is not read either; then it is', async () => {
  await using stage = await openStage({ shape: 'workload', top: 'limits: {pings_per_work: 10000}' })
  const waiting = (): Promise<number> => stage.metric('authgw_socket_waiting_bytes')
  const pauses = (): Promise<number> => stage.metric('authgw_read_pauses_total')
  expect([await waiting(), await pauses()]).toEqual([0, 0])
  const isGone = { value: false }
  stage.upstream.respond = async (call) => {
    void call.cancelled.then(() => (isGone.value = true))
    call.sendHead({})
    // More than the kernel takes for both ends of two sockets.
    for (let i = 0; i < 48 && !isGone.value; i++) await call.send(Buffer.alloc(1024 * 1024))
    call.finish()
  }
  const socket = connect(stage.port, '127.0.0.1')
  try {
    socket.pause()
    const head = literals(GRPC_HEAD)
    socket.write(PREFACE)
    socket.write(
      frames(
        { type: 'SETTINGS', payload: settingsPayload([[INITIAL_WINDOW_SIZE, MAX_WINDOW]]) },
        { type: 'WINDOW_UPDATE', payload: uint32(MAX_WINDOW - 65_535) },
        { type: 'HEADERS', stream: 1, flags: ['END_HEADERS', 'END_STREAM'], payload: head },
      ),
    )
    await waitFor(async () => (await waiting()) >= 512 * 1024, 10_000, 'the answer waits in the socket')
    expect(await waiting()).toBeLessThan(2 * 1024 * 1024)
    expect(await pauses()).toBe(0)
    // Answers to these can only wait: at a hundred of them the caller is read no more.
    for (let i = 0; i < 101; i++) socket.write(frame({ type: 'PING', payload: Buffer.alloc(8) }))
    await waitFor(async () => (await pauses()) === 1, 5_000, 'it is not read')
    socket.resume()
    await waitFor(async () => (await waiting()) === 0, 10_000, 'what waited has left')
    expect(await pauses()).toBe(1)
  } finally {
    socket.destroy()
  }
})

test('an event loop that was held up for more than a second is counted', async () => {
  await using stage = await openStage({ shape: 'workload' })
  expect((await stage.call()).status).toBe('OK')
  stage.upstream.respond = async (call) => {
    await call.cancelled
  }
  const [grown] = await growth(stage, [['authgw_loop_late_total']], async () => {
    const call = stage.call({ timeoutMs: 300 })
    await sleep(100)
    const untilMs = performance.now() + 1_800
    while (performance.now() < untilMs);
    expect((await call).status).toBe('DEADLINE_EXCEEDED')
    await sleep(300)
  })
  expect(grown).toBeGreaterThan(0)
})
