/**
 * Everything that one attack needs, started and ended with it: a gateway process in the control plane role, a server behind
 * it and an honest client before it, each in a process of its own, and a source of tokens good and bad.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makePki } from '../support/dev-pki.ts'
import { shippedEnv } from '../support/as-shipped.ts'
import { connectGrpcJs } from '../support/grpc-js-kit.ts'
import type { GrpcCaller } from '../support/grpc-peer.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { TestIssuer } from '../support/issuer.ts'
import { EXPORT_PATH } from './attack.ts'
import type { AttackGround, AttackStage } from './attack.ts'
import { HostilePeer } from './hostile-peer.ts'
import type { HonestOptions, HonestReport } from './honest-client.ts'
import type { UpstreamCounts } from './upstream.ts'

const CALLS_PER_SECOND = 200
const TOKEN_LIFE_SECONDS = 3_000

/** A gateway under siege. */
export interface Siege {
  readonly gateway: GatewayProcess
  /** All peers of the attack since the last call of this, newest last. */
  takePeers(): HostilePeer[]
  /** What an attack gets; `endsAtMs` is when its time is over. */
  ground(endsAtMs: number): AttackGround
  /** What the attack itself found wrong. */
  readonly faults: readonly string[]
  /** The honest client works from now on. */
  begin(): void
  /** The honest client rests; what it found. */
  end(): Promise<HonestReport>
  counts(): Promise<UpstreamCounts>
  metric: AttackGround['metric']
  close(): Promise<void>
}

/** Starts all of it. */
export async function besiege(stage: AttackStage): Promise<Siege> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-attack-'))
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (const step of undo.toReversed()) await step()
  }
  try {
    const provider = stage.hasProvider === true ? await serveKeys() : null
    if (provider !== null) undo.push(() => provider.close())
    const issuer = await TestIssuer.create(
      { wallMs: Date.now },
      { alg: 'ES256', ...(provider !== null && { issuer: provider.url }) },
    )
    if (provider !== null) provider.keys = () => JSON.stringify(issuer.jwks())
    const keysFile = join(folder, 'keys.json')
    writeFileSync(keysFile, JSON.stringify(issuer.jwks()))
    const pki = await makePki(folder)
    const tls =
      stage.tls === undefined
        ? null
        : {
            ca: readFileSync(pki.ca.certFile),
            cert: readFileSync(pki.client.certFile),
            key: readFileSync(pki.client.keyFile),
          }
    const upstream = start('upstream.ts')
    undo.push(() => upstream.kill())
    const upstreamPort = await answerOf<number>(upstream)
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, await issuer.mint({ expiresInSeconds: TOKEN_LIFE_SECONDS }), { mode: 0o600 })
    const hostile = stage.hostileUpstream === undefined ? null : await serveHostile(stage.hostileUpstream)
    if (hostile !== null) undo.push(() => hostile.close())
    const gateway = await startGateway(
      `control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
${tls === null ? '' : `    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}, client_auth: ${stage.tls}}\n`}  upstream: {endpoint: 127.0.0.1:${upstreamPort}}
  oidc:
    providers:
      - issuer_url: ${issuer.issuer}
        audience: control-plane
${provider === null ? `        public_keys_file: ${keysFile}` : `        jwks_uri: ${provider.url}/keys`}
${hostile === null ? '' : workloadYaml(hostile.port, tokenFile)}limits: {${stage.limits ?? ''}}
drain: {delay: 0s, timeout: 1s}
`,
      { env: shippedEnv() },
    )
    undo.push(() => gateway.stop(3_000))
    const mint = (claims: Readonly<Record<string, unknown>> = {}): Promise<string> =>
      issuer.mint({ expiresInSeconds: TOKEN_LIFE_SECONDS, claims })
    const token = await mint()
    const port = gateway.ports['ingress']!
    const options: HonestOptions = {
      ingress: { port, tls, token },
      callsPerSecond: CALLS_PER_SECOND,
      pid: gateway.pid,
    }
    const honest = start('honest-client.ts')
    undo.push(() => honest.kill())
    honest.send(options)
    const metric: AttackGround['metric'] = async (name, labels = {}) =>
      (await readMetrics(gateway.ports['admin']!)).sum(name, labels)
    let peers: HostilePeer[] = []
    let caller: GrpcCaller | null = null
    undo.push(() => caller?.close())
    const faults: string[] = []
    return {
      gateway,
      faults,
      takePeers: () => peers.splice(0),
      ground: (endsAtMs) => ({
        token,
        tls,
        mint,
        metric,
        adminPort: gateway.ports['admin']!,
        async upstream() {
          const peer = await hostile!.connection()
          if (!peers.includes(peer)) peers.push(peer)
          return peer
        },
        async call(messageBytes = 10, timeoutMs = 5_000) {
          caller ??= connectGrpcJs({ port: gateway.ports['caller']!, tls: null, token: null })
          const { status } = await caller.unary(Buffer.alloc(messageBytes), { path: EXPORT_PATH, timeoutMs })
          return status
        },
        async open({ settings = [], ...own } = {}) {
          const peer = await HostilePeer.dial({ port, tls, ...own })
          peers.push(peer)
          if (settings === null) return peer
          // Whoever opens a header block before would answer SETTINGS in the middle of it.
          await peer.hello(settings).until(() => peer.hasSettings, 2_000)
          return peer
        },
        forge: () => issuer.forge({ expiresInSeconds: TOKEN_LIFE_SECONDS }),
        sign: (header, payload) => issuer.signText(header, payload),
        unknownKid: () => issuer.raw({ header: { kid: `kid-${Math.random()}` } }),
        get isOver() {
          return performance.now() >= endsAtMs
        },
        keyFetches: () => provider?.fetches ?? 0,
        fault: (what) => {
          if (!faults.includes(what)) faults.push(what)
        },
        pause: (ms) => sleep(ms),
      }),
      begin: () => honest.send('start'),
      async end() {
        const report = answerOf<HonestReport>(honest)
        honest.send('stop')
        return report
      },
      async counts() {
        const counts = answerOf<UpstreamCounts>(upstream)
        upstream.send('count')
        return counts
      },
      metric,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function start(file: string): ChildProcess {
  return fork(join(import.meta.dirname, file), { serialization: 'advanced' })
}

function answerOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((done, fail) => {
    child.once('message', (message) => done(message as T))
    child.once('error', fail)
    child.once('exit', (code) => fail(new Error(`a process of the siege ended (${code})`)))
  })
}

/** The role whose upstream is the attacker; the honest client goes by the other one. */
function workloadYaml(upstreamPort: number, tokenFile: string): string {
  return `workload:
  listen: {endpoint: 127.0.0.1:%caller%}
  upstream: {endpoint: 127.0.0.1:${upstreamPort}}
  bearertokenauth: {filename: ${tokenFile}}
`
}

interface HostileServer {
  readonly port: number
  /** The connection that stands, else the next one. @throws Error when none comes in two seconds */
  connection(): Promise<HostilePeer>
  close(): void
}

/** Where the gateway dials an attacker. */
async function serveHostile(manner: 'polite' | 'mute'): Promise<HostileServer> {
  const accepted: HostilePeer[] = []
  const server = createTcpServer((socket) => {
    const peer = HostilePeer.accept(socket)
    if (manner === 'polite') peer.hello()
    accepted.push(peer)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    async connection() {
      for (const endMs = performance.now() + 2_000; performance.now() < endMs; await sleep(2)) {
        const live = accepted.findLast((peer) => !peer.isGone)
        if (live !== undefined) return live
      }
      throw new Error('the gateway does not dial its upstream')
    },
    close() {
      server.close()
      for (const peer of accepted) peer.cut()
    },
  }
}

interface KeyServer {
  readonly url: string
  fetches: number
  keys: () => string
  close(): void
}

/** An identity provider that has nothing but keys, and counts who asks. */
async function serveKeys(): Promise<KeyServer> {
  const server = createServer((_request, answer) => {
    served.fetches++
    answer.setHeader('content-type', 'application/json')
    answer.end(served.keys())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const served: KeyServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fetches: 0,
    keys: () => '{"keys":[]}',
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
  return served
}
