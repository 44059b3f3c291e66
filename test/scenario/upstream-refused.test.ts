/**
 * Row 13 of the no-loss contract: no connection to the upstream can be had.
 */
import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { nodeHttp2, serveRaw } from '../support/node-http2-kit.ts'
import { openStage } from '../support/scenario-stage.ts'

const UNREACHABLE = { status: 'UNAVAILABLE', retrySeconds: 1, reason: 'egress_unreachable' }

test.each(['workload', 'control_plane'] as const)('%s: a port that refuses', async (shape) => {
  await using stage = await openStage({ shape, upstreamPort: await freePort() })
  expect(await stage.call()).toMatchObject({
    ...UNREACHABLE,
    message: 'authgw: no connection to the upstream: connect_refused',
  })
  expect(await stage.logs()).toContain('ECONNREFUSED')
})

test('a name that nobody knows', async () => {
  await using stage = await openStage({
    shape: 'workload',
    upstreamEndpoint: 'collector.invalid:4317',
    upstreamSection: 'tls: {insecure: true, unsafe_allow: [insecure]}',
  })
  expect(await stage.call()).toMatchObject(UNREACHABLE)
})

test('a peer that never answers the handshake: the call is put off after 2 s at most', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  await using stage = await openStage({
    shape: 'workload',
    upstreamEndpoint: `localhost:${(silent.address() as AddressInfo).port}`,
    upstreamSection: 'tls: {insecure_skip_verify: true, unsafe_allow: [insecure_skip_verify]}',
  })
  const startMs = performance.now()
  expect(await stage.call()).toMatchObject(UNREACHABLE)
  expect(performance.now() - startMs).toBeLessThan(3_000)
  for (const socket of sockets) socket.destroy()
  silent.close()
})

test('an upstream that speaks no TLS', async () => {
  const plain = await serveRaw(() => {})
  await using stage = await openStage({
    shape: 'workload',
    upstreamEndpoint: `localhost:${plain.port}`,
    upstreamSection: 'tls: {insecure_skip_verify: true, unsafe_allow: [insecure_skip_verify]}',
  })
  expect(await stage.call()).toMatchObject(UNREACHABLE)
  await plain.close()
})

test('an upstream that comes back is found within two seconds', async () => {
  const first = await nodeHttp2.serve()
  await first.close()
  await using stage = await openStage({ shape: 'both', upstreamPort: first.port })
  const answer = await stage.call()
  expect(answer).toMatchObject(UNREACHABLE)
  const again = await serveRaw(
    (stream) =>
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' },
        { endStream: true },
      ),
    {},
    first.port,
  )
  const backAtMs = performance.now()
  await waitFor(async () => (await stage.call()).status === 'OK', 5_000, 'calls pass again')
  expect(performance.now() - backAtMs).toBeLessThan(2_000)
  await again.close()
})
