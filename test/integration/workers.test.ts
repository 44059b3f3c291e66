/**
 * Two workers under a supervisor, as processes: what exists once is had once, what a worker does alone stays its own, and
 * the whole behaves like one process to callers, probes, Prometheus and signals.
 */
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import grpc from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { METRICS } from '../../src/telemetry/index.ts'
import { makePki } from '../support/dev-pki.ts'
import type { Pki } from '../support/dev-pki.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { readConditions, readMetrics } from '../support/gateway-readings.ts'
import { connectGrpcJs } from '../support/grpc-js-kit.ts'
import { echo } from '../support/grpc-peer.ts'
import type { GrpcCaller, GrpcServed } from '../support/grpc-peer.ts'
import { nodeHttp2 } from '../support/node-http2-kit.ts'
import { startProvider } from '../support/oidc-provider.ts'
import type { RunningProvider } from '../support/oidc-provider.ts'
import { exportPath } from '../support/otlp-proto.ts'

const CLIENT = { clientId: 'workload', secret: 'marker-known-to-everyone' }
const CALL = { path: exportPath('traces'), timeoutMs: 10_000 }
const UNAVAILABLE: number = grpc.status.UNAVAILABLE
const HELLO = Buffer.from('hello')

let folder: string
let pki: Pki
let provider: RunningProvider
let upstream: GrpcServed

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-workers-'))
  pki = await makePki(folder)
  provider = await startProvider({ audience: 'control-plane', clients: [CLIENT] })
  upstream = await nodeHttp2.serve()
  upstream.respond = echo
  writeFileSync(join(folder, 'secret'), CLIENT.secret, { mode: 0o600 })
})
afterAll(async () => {
  await upstream?.close()
  await provider?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** One process group with both roles: callers → workload → mTLS → control plane → upstream. */
const bothRoles = (more = ''): string => `
workload:
  listen: {endpoint: 127.0.0.1:%workload%}
  upstream:
    endpoint: localhost:%control%
    tls: {ca_file: ${pki.ca.certFile}, cert_file: ${pki.client.certFile}, key_file: ${pki.client.keyFile}}
  oauth2client:
    issuer_url: ${provider.issuer}
    client_id: ${CLIENT.clientId}
    client_secret_file: ${join(folder, 'secret')}
control_plane:
  listen:
    endpoint: localhost:%control%
    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}}
  upstream: {endpoint: 127.0.0.1:${upstream.port}}
  oidc:
    providers: [{issuer_url: '${provider.issuer}', audience: control-plane}]
admin: {endpoint: 127.0.0.1:%admin%}
drain: {delay: 0s, timeout: 3s}
${more}`

/** Only the workload role, on UNIX sockets and TCP, with a token from a file. */
const workloadOnly = (listen: string, more = ''): string => `
workload:
  listen: {endpoint: '${listen}'}
  upstream: {endpoint: 127.0.0.1:${upstream.port}}
  bearertokenauth: {filename: ${join(folder, 'token')}}
admin: {endpoint: 127.0.0.1:%admin%}
drain: {delay: 0s, timeout: 3s}
${more}`

interface Roster {
  readonly pid: number
  readonly calls: number
}

/** The workers as the status page lists them. */
async function roster(gateway: GatewayProcess): Promise<Roster[]> {
  const page = await (await fetch(`http://127.0.0.1:${gateway.ports['admin']}/`)).text()
  return [...page.matchAll(/worker \d+ +process (\d+), (\d+) calls/g)].map(([, pid, calls]) => ({
    pid: Number(pid),
    calls: Number(calls),
  }))
}

/** Kills a worker and waits until another has taken its place. */
async function killWorker(gateway: GatewayProcess, pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  const isReplaced = async (): Promise<boolean> => {
    const now = await roster(gateway)
    return now.length === 2 && now.every((worker) => worker.pid !== pid)
  }
  await waitFor(isReplaced, 10_000, 'it is replaced')
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const clients = (gateway: GatewayProcess, count: number): GrpcCaller[] =>
  Array.from({ length: count }, () =>
    connectGrpcJs({ port: gateway.ports['workload']!, tls: null, token: null }),
  )

async function allWell(gateway: GatewayProcess): Promise<void> {
  const admin = gateway.ports['admin']!
  await waitFor(async () => (await readMetrics(admin)).sum('authgw_degraded') === 0, 10_000, 'all is well')
}

describe('two workers with both roles', () => {
  let gateway: GatewayProcess
  let admin: number
  const tokensBefore = { count: 0 }
  const keysBefore = { count: 0 }

  beforeAll(async () => {
    tokensBefore.count = provider.requestCounts['/token'] ?? 0
    keysBefore.count = provider.requestCounts['/jwks'] ?? 0
    gateway = await startGateway(bothRoles('workers: 2'), { configFile: join(folder, 'both.yaml') })
    admin = gateway.ports['admin']!
    await allWell(gateway)
  })
  afterAll(() => gateway?.stop())

  test('share the calls; their numbers are those of one', async () => {
    const callers = clients(gateway, 6)
    const outcomes = await Promise.all(
      callers.flatMap((caller) => Array.from({ length: 10 }, () => caller.unary(HELLO, CALL))),
    )
    expect(outcomes.filter(({ status }) => status !== 0)).toEqual([])
    await waitFor(
      async () => (await roster(gateway)).reduce((sum, { calls }) => sum + calls, 0) === 120,
      5_000,
      'every worker has reported its calls: 60 in each role',
    )
    for (const { calls } of await roster(gateway)) expect(calls).toBeGreaterThanOrEqual(20)
    const readings = await readMetrics(admin)
    expect(readings.text.match(/^rpc_server_call_duration_seconds_count\{.*\} (\d+)$/m)?.[1]).toBe('120')
    expect(readings.sum('authgw_decisions_total', { decision: 'permit' })).toBe(120)
    expect(readings.sum('authgw_workers')).toBe(2)
    expect(readings.sum('authgw_bugs_total')).toBe(0)
    for (const caller of callers) caller.close()
  })

  test('have got one token and one key set between them', async () => {
    expect((provider.requestCounts['/token'] ?? 0) - tokensBefore.count).toBe(1)
    expect((provider.requestCounts['/jwks'] ?? 0) - keysBefore.count).toBe(1)
    const readings = await readMetrics(admin)
    expect(readings.sum('authgw_token_refreshes_total', { result: 'ok' })).toBe(1)
    expect(readings.sum('authgw_key_fetches_total', { result: 'ok' })).toBe(1)
  })

  test('limits of the process are shared out, so that their sum is what is configured', async () => {
    expect((await readMetrics(admin)).sum('authgw_held_limit_bytes')).toBe(48 * 2 ** 20)
  })

  test('every metric of the table is fed, with a process alone too', async () => {
    const unfed = async (port: number): Promise<string[]> => {
      const { text } = await readMetrics(port)
      return Object.keys(METRICS).filter((name) => !text.includes(`# TYPE ${name} `))
    }
    expect(await unfed(admin)).toEqual([])
    const alone = await startGateway(bothRoles())
    expect(await unfed(alone.ports['admin']!)).toEqual([])
    expect((await readMetrics(alone.ports['admin']!)).sum('authgw_workers')).toBe(1)
    await alone.stop()
  })

  test('a certificate that is replaced is what all of them show, and counts once', async () => {
    const serials = async (): Promise<Set<string>> =>
      new Set(await Promise.all(Array.from({ length: 6 }, () => serialAt(gateway.ports['control']!))))
    const before = await serials()
    expect(before.size).toBe(1)
    const renewed = await pki.ca.issue('renewed', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
    for (const [from, to] of [
      [renewed.keyFile, pki.server.keyFile],
      [renewed.certFile, pki.server.certFile],
    ] as const)
      renameSync(from, to)
    await waitFor(async () => !(await serials()).has([...before][0]!), 5_000, 'all show the new one')
    expect([...(await serials())].map((serial) => serial.toLowerCase())).toEqual([
      renewed.serialNumber.replace(/^0+/, ''),
    ])
    await waitFor(
      async () => (await readMetrics(admin)).sum('authgw_reloads_total', { result: 'ok' }) === 1,
      1_000,
      'one reload is counted',
    )
    expect((await readMetrics(admin)).sum('authgw_reloads_total', { result: 'failed' })).toBe(0)
  })

  test('SIGHUP reaches all of them: policy and log level are in place everywhere', async () => {
    const text = readFileSync(gateway.configFile, 'utf8')
    const denial = 'policy: {rules: [{action: deny, to: {signals: [traces]}}]}'
    writeFileSync(
      gateway.configFile,
      `${text.replace(/^control_plane:$/m, `control_plane:\n  ${denial}`)}\nservice: {telemetry: {logs: {level: debug}}}\n`,
    )
    gateway.signal('SIGHUP')
    await waitFor(() => gateway.logs().includes('reloaded: policy'), 5_000, 'the reload is over')
    const callers = clients(gateway, 4)
    const outcomes = await Promise.all(callers.map((caller) => caller.unary(HELLO, CALL)))
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set([grpc.status.PERMISSION_DENIED]))
    for (const caller of callers) caller.close()

    // Whoever comes later has it too.
    const [first] = await roster(gateway)
    await killWorker(gateway, first!.pid)
    const later = clients(gateway, 4)
    for (const { status } of await Promise.all(later.map((caller) => caller.unary(HELLO, CALL))))
      expect(status).toBe(grpc.status.PERMISSION_DENIED)
    for (const caller of later) caller.close()

    writeFileSync(gateway.configFile, text.replace('control_plane:', 'control_plain:'))
    gateway.signal('SIGHUP')
    await waitFor(() => gateway.logs().includes('not reloaded'), 5_000, 'a faulty one is refused')
    const success = async (): Promise<number> =>
      (await readMetrics(admin)).sum('authgw_last_reload_success', { target: 'config' })
    expect(await success()).toBe(0)
    writeFileSync(gateway.configFile, text)
    gateway.signal('SIGHUP')
    await waitFor(
      () => gateway.logs().split('reloaded: policy').length === 3,
      5_000,
      'the first one is in force again',
    )
    await waitFor(async () => (await success()) === 1, 1_000, 'the metric says so')
  })

  test('one that is killed under load takes its own calls with it and no others, and is replaced', async () => {
    const callers = clients(gateway, 8)
    const isOver = { value: false }
    const failures: number[] = []
    const lost: number[] = []
    let calls = 0
    const load = callers.map(async (caller, index) => {
      while (!isOver.value) {
        calls++
        let { status } = await caller.unary(HELLO, CALL)
        if (status === 0) continue
        failures.push(index)
        if (status !== UNAVAILABLE) lost.push(status)
        // What a stock exporter does.
        for (let retry = 0; status !== 0 && retry < 5; retry++) {
          await sleep(100)
          status = (await caller.unary(HELLO, CALL)).status
        }
        if (status !== 0) lost.push(status)
      }
    })
    await sleep(500)
    const before = await roster(gateway)
    await killWorker(gateway, before[0]!.pid)
    await sleep(300)
    isOver.value = true
    await Promise.all(load)
    expect(lost).toEqual([])
    expect(calls).toBeGreaterThan(200)
    // A caller's connection is at one worker; the leg between the two roles may be at the other.
    expect(failures.length).toBeLessThanOrEqual(2 * callers.length)
    expect((await roster(gateway)).map(({ pid }) => pid)).toContain(before[1]!.pid)
    expect((await readMetrics(admin)).sum('authgw_worker_restarts_total')).toBeGreaterThanOrEqual(1)
    expect((await readConditions(admin)).at(-1)).toBe('readyz: ready')
    for (const caller of callers) caller.close()
  })

  test('its counters do not fall when a worker dies', async () => {
    const count = async (): Promise<number> =>
      (await readMetrics(admin)).sum('authgw_decisions_total', { decision: 'permit' })
    const before = await count()
    expect(before).toBeGreaterThan(400)
    const [, second] = await roster(gateway)
    const replaced = killWorker(gateway, second!.pid)
    expect(await count()).toBeGreaterThanOrEqual(before)
    await replaced
    expect(await count()).toBeGreaterThanOrEqual(before)
    expect((provider.requestCounts['/jwks'] ?? 0) - keysBefore.count).toBeLessThanOrEqual(2)
  })

  test('a signal to the whole group is the supervisor’s alone: workers let calls end before they go', async () => {
    const [caller] = clients(gateway, 1)
    const open = caller!.open(CALL)
    await open.send(HELLO)
    expect(await open.next()).toEqual(HELLO)
    const workers = await roster(gateway)
    for (const { pid } of workers)
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, name)
    gateway.signal('SIGINT')
    await waitFor(() => gateway.logs().includes('draining: no longer ready'), 5_000, 'it drains')
    await sleep(200)
    expect(workers.map(({ pid }) => isAlive(pid))).toContain(true)
    await open.send(HELLO)
    expect(await open.next()).toEqual(HELLO)
    open.end()
    expect((await open.outcome).status).toBe(0)
    caller!.close()
    expect(await gateway.ended).toBe(0)
    expect(workers.map(({ pid }) => isAlive(pid))).toEqual([false, false])
  })

  test('no secret, token or key is in what all of them wrote', () => {
    expect(gateway.logs()).toContain('"worker":2')
    expect(gateway.logs()).toContain('"level":"debug"')
    expect(gateway.logs()).not.toMatch(/eyJ[\w-]{20}|marker-known|PRIVATE KEY/)
  })
})

describe('UNIX sockets', () => {
  test('workers share one of mode 0660; a stale one is removed, and the file goes with the gateway', async () => {
    const path = join(folder, 'otlp.sock')
    writeFileSync(join(folder, 'token'), 'a.b.c', { mode: 0o600 })
    const first = await startGateway(workloadOnly(`unix://${path}`, 'workers: 2'))
    expect(statSync(path).mode & 0o777).toBe(0o660)
    process.kill(first.pid, 'SIGKILL')
    await first.ended
    expect(statSync(path).isSocket()).toBe(true)

    const second = await startGateway(workloadOnly(`unix://${path}`, 'workers: 2'))
    expect(statSync(path).mode & 0o777).toBe(0o660)
    const callers = Array.from(
      { length: 6 },
      () =>
        new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), {
          'grpc.use_local_subchannel_pool': 1,
        }),
    )
    await Promise.all(callers.map(callOnce))
    await waitFor(
      async () => (await roster(second)).reduce((sum, { calls }) => sum + calls, 0) === 6,
      5_000,
      'all are reported',
    )
    for (const { calls } of await roster(second)) expect(calls).toBeGreaterThan(0)
    for (const caller of callers) caller.close()
    expect(await second.stop()).toBe(0)
    expect(() => statSync(path)).toThrow('ENOENT')
  })
})

describe('a start that cannot succeed', () => {
  test('ends at once with one reason when the port is taken, and leaves nobody behind', async () => {
    writeFileSync(join(folder, 'token'), 'a.b.c', { mode: 0o600 })
    const taken = createServer()
    await new Promise<void>((resolve) => void taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as { port: number }
    const start = startGateway(workloadOnly(`127.0.0.1:${port}`, 'workers: 2'))
    const { message } = await start.then(
      () => new Error('it started'),
      (error: Error) => error,
    )
    taken.close()
    expect(message).toMatch(/the gateway ended at its start/)
    expect(message.split('the port is in use')).toHaveLength(2)
  })

  test('lists the faults of a certificate as one process does', async () => {
    const broken = join(folder, 'broken.pem')
    writeFileSync(broken, 'no certificate', { mode: 0o600 })
    chmodSync(broken, 0o600)
    const yaml = bothRoles('workers: 2').replace(pki.server.certFile, broken)
    await expect(startGateway(yaml)).rejects.toThrow(/control_plane\.listen\.tls\.cert_file/)
  })
})

test('workers whose supervisor is killed do not outlive it', async () => {
  writeFileSync(join(folder, 'token'), 'a.b.c', { mode: 0o600 })
  const gateway = await startGateway(workloadOnly('127.0.0.1:%workload%', 'workers: 2'))
  const workers = await roster(gateway)
  expect(workers).toHaveLength(2)
  process.kill(gateway.pid, 'SIGKILL')
  await gateway.ended
  await waitFor(() => workers.every(({ pid }) => !isAlive(pid)), 3_000, 'they are gone')
  expect(workers.map(({ pid }) => isAlive(pid))).toEqual([false, false])
})

/** Serial number of the certificate that is shown to a new connection. */
function serialAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: readFileSync(pki.ca.certFile),
      cert: readFileSync(pki.client.certFile),
      key: readFileSync(pki.client.keyFile),
      ALPNProtocols: ['h2'],
    })
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
      socket.destroy()
    })
  })
}

function callOnce(client: grpc.Client): Promise<void> {
  const same = (octets: Buffer): Buffer => octets
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(CALL.path, same, same, HELLO, (error) =>
      error === null ? resolve() : reject(error),
    )
  })
}
