/**
 * The admin endpoint over TLS: `admin.tls`, in a gateway that runs, with the same certificates as listeners have.
 */
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { runHealthcheck } from '../../src/cli/healthcheck.ts'
import { runAuthgw, type RunningAuthgw } from '../../src/roles/index.ts'
import { Logger } from '../../src/telemetry/index.ts'
import { captureIo } from '../support/capture-io.ts'
import { makeConfigFolder, workloadYaml, type ConfigFolder } from '../support/config-folder.ts'
import { parsePrometheusText } from '../support/prometheus-text.ts'

const SERVER = 'cert_file: server.pem, key_file: server-key.pem'
/** What a client reads whose certificate is missing, or not good enough. */
const CUT = /hang up|ECONNRESET|EPIPE|alert|disconnected/

let folder: ConfigFolder
const running: RunningAuthgw[] = []
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterEach(async () => {
  for (const gateway of running.splice(0)) await gateway.stop()
})
afterAll(() => folder.remove())

function configured(tls: string, host = 'localhost'): ReturnType<ConfigFolder['load']>['config'] {
  const yaml = workloadYaml()
    .replace('localhost:4317', 'localhost:0')
    .replace('https://keycloak.example.com', 'http://localhost:1')
  return folder.load(`${yaml}admin: {endpoint: '${host}:0', tls: {${tls}}}\n`).config
}

async function start(tls: string, host = 'localhost'): Promise<{ gateway: RunningAuthgw; port: number }> {
  const log = new Logger({ level: 'error', destination: `${folder.path}/log` })
  const gateway = await runAuthgw(configured(tls, host), {
    version: 'test',
    printedConfig: () => 'printed',
    log,
  })
  running.push(gateway)
  return { gateway, port: Number(/\d+$/.exec(gateway.addresses['admin']![0]!)![0]) }
}

const pem = (name: string): Buffer => readFileSync(`${folder.path}/${name}`)
const identity = (name: string) => ({ cert: pem(`${name}.pem`), key: pem(`${name}-key.pem`) })

interface Answer {
  readonly status: number
  readonly body: string
  readonly serial: string
}

/** Asks over TLS on a connection of its own; rejects when there is no answer. */
function ask(port: number, path: string, options: RequestOptions = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const target = { host: '127.0.0.1', port, path, ca: pem('ca.pem'), agent: false, timeout: 5_000 }
  const request = httpsRequest({ ...target, ...options }, (response) => {
    const { serialNumber: serial } = (response.socket as TLSSocket).getPeerCertificate()
    text(response).then((body) => resolve({ status: response.statusCode!, body, serial }), reject)
  })
  request.on('error', reject)
  request.end()
  return promise
}

function askInPlaintext(port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const request = httpRequest({ host: '127.0.0.1', port, path: '/livez', agent: false }, (response) => {
    response.resume()
    resolve(response.statusCode!)
  })
  request.on('error', reject)
  request.end()
  return promise
}

test('a scrape over https works with the CA, and says when the certificate expires', async () => {
  const { port } = await start(SERVER)
  const { status, body } = await ask(port, '/metrics')
  expect(status).toBe(200)
  const metrics = parsePrometheusText(body)
  const of = (name: string) =>
    metrics
      .get(name)!
      .samples.find(({ labels }) => labels['role'] === 'admin' || labels['target'] === 'certificate_admin')
  expect(of('authgw_certificate_expiry_timestamp_seconds')!.value).toBeGreaterThan(Date.now() / 1000)
  expect(of('authgw_last_reload_success')!.value).toBe(1)
  await expect(ask(port, '/metrics', { ca: pem('stranger-ca.pem') })).rejects.toThrow(
    /unable to verify|self.signed/,
  )
})

test('plain http is refused, also of somebody on this machine', async () => {
  const { port } = await start(SERVER)
  await expect(askInPlaintext(port)).rejects.toThrow(/hang up|ECONNRESET|Parse Error/)
  expect((await ask(port, '/livez')).status).toBe(200)
})

test('a new certificate is in use after a reload, and one that does not fit is not', async () => {
  const { gateway, port } = await start(SERVER)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const { serial } = await ask(port, '/livez', { agent })
  const fresh = await folder.pki.ca.issue('server', { use: 'server', san: 'IP:127.0.0.1' })
  await gateway.reload(configured(SERVER))
  await sleep(50)
  const after = await ask(port, '/livez', { agent })
  expect([after.status, after.serial === serial]).toEqual([200, false])
  folder.write('server.pem', 'nothing')
  await gateway.reload(
    configured(`cert_pem: ${JSON.stringify(fresh.certificatePem)}, key_pem: ${JSON.stringify(fresh.keyPem)}`),
  )
  expect((await ask(port, '/metrics')).body).toContain(
    'authgw_last_reload_success{target="certificate_admin"} 0',
  )
  expect((await ask(port, '/livez')).serial).toBe(after.serial)
  agent.destroy()
  await folder.pki.ca.issue('server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1,IP:::1' })
})

test('with a CA for clients nobody else is answered', async () => {
  const { port } = await start(`${SERVER}, client_ca_file: ca.pem`)
  expect((await ask(port, '/metrics', identity('client'))).status).toBe(200)
  await expect(ask(port, '/metrics')).rejects.toThrow(CUT)
  await expect(ask(port, '/metrics', identity('stranger'))).rejects.toThrow(CUT)
})

test('allowed_sans says which clients', async () => {
  const tls = `${SERVER}, client_ca_file: ca.pem, allowed_sans: ['DNS:workload.example.org']`
  const { port } = await start(tls)
  await folder.pki.ca.issue('other-client', { use: 'client', san: 'DNS:somebody.example.org' })
  expect((await ask(port, '/metrics', identity('client'))).status).toBe(200)
  await expect(ask(port, '/metrics', identity('other-client'))).rejects.toThrow(CUT)
})

test('a revoked client is refused', async () => {
  const revoked = await folder.pki.ca.issue('revoked', { use: 'client', san: 'DNS:workload.example.org' })
  await folder.pki.ca.revoke('list', [revoked])
  const { port } = await start(`${SERVER}, client_ca_file: ca.pem, crl_file: list.crl.pem`)
  expect((await ask(port, '/metrics', identity('client'))).status).toBe(200)
  await expect(ask(port, '/metrics', identity('revoked'))).rejects.toThrow(CUT)
})

const address = Object.values(networkInterfaces())
  .flat()
  .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address

test.runIf(address !== undefined)(
  'from outside, probes need no certificate when it is optional; the status page answers who has one',
  async () => {
    const { port } = await start(`${SERVER}, client_ca_file: ca.pem, client_auth: optional`, '0.0.0.0')
    // Its certificate names localhost; that is not what this test is about.
    const there = { host: address, checkServerIdentity: () => undefined }
    expect((await ask(port, '/livez', there)).status).toBe(200)
    expect((await ask(port, '/', there)).status).toBe(403)
    expect((await ask(port, '/config', there)).status).toBe(403)
    const page = await ask(port, '/', { ...there, ...identity('client') })
    expect([page.status, page.body.includes('authgw')]).toEqual([200, true])
    expect((await ask(port, '/config', { ...there, ...identity('client') })).body).toBe('printed\n')
    expect((await ask(port, '/readyz?verbose', { ...there, ...identity('client') })).status).toBe(200)
    await expect(ask(port, '/livez', { ...there, ...identity('stranger') })).rejects.toThrow(CUT)
  },
)

test('authgw healthcheck asks over TLS, and says what to do where a client certificate is required', async () => {
  const check = async (tls: string): Promise<[number, string]> => {
    const { port } = await start(tls)
    const { config } = folder.load(`${workloadYaml()}admin: {endpoint: 'localhost:${port}', tls: {${tls}}}\n`)
    const { io, text: written } = captureIo()
    return [await runHealthcheck(config, { liveness: true, timeoutMs: 2_000 }, io), written.err]
  }
  expect(await check(SERVER)).toEqual([0, ''])
  expect(await check(`${SERVER}, client_ca_file: ca.pem, client_auth: optional`)).toEqual([0, ''])
  const [code, said] = await check(`${SERVER}, client_ca_file: ca.pem`)
  expect(code).toBe(1)
  expect(said).toContain('write client_auth: optional')
})

test('a certificate that is missing, or cannot be used, is a fault of the configuration', async () => {
  expect(folder.faults(`${workloadYaml()}admin: {tls: {client_ca_file: ca.pem}}\n`)).toMatchObject([
    { path: 'admin.tls.cert_file', problem: 'is required and missing' },
  ])
  const locked = configured(SERVER)
  folder.write('server.pem', 'nothing')
  await expect(runAuthgw(locked, { version: 'test', printedConfig: () => '' })).rejects.toMatchObject({
    faults: [{ path: 'admin.tls.cert_file' }],
  })
  await folder.pki.ca.issue('server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1,IP:::1' })
})
