/**
 * `node test/interop/grpc-go.ts`: the offline cases of grpc-go's interop client and server through the workload role, the
 * control plane role in plaintext and over TLS, both, and the node:http2 twin. Ends in a table; exit code 1 on any miss, 77 where grpc-go's
 * programs cannot be had. Flags: --paths a,b, --cases a,b.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import { startNodeHttp2Twin } from '../../bench/peers/node-http2.ts'
import { freePort } from '../support/free-port.ts'
import { makeAuthority } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import { report, type Outcome, type Score } from './scores.ts'
import { ensure, programPath } from './tools/cache.ts'
import { grpcGo } from './tools/catalog.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'

const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'special_status_message',
  'custom_metadata',
  'unimplemented_method',
  'unimplemented_service',
  'rpc_soak',
  'channel_soak',
]

/** Everything that the gateways need: keys, certificates and a token, in files of one folder. */
interface Ground {
  folder: string
  token: string
  tokenFile: string
  publicKeysFile: string
  caFile: string
  server: { certFile: string; keyFile: string }
  client: { certFile: string; keyFile: string }
}

/** Something to send the cases through. */
interface Way {
  port: number
  /** Whether the caller brings the token itself. */
  needsToken: boolean
  isTls?: boolean
  stop(): Promise<void>
}

const ISSUER = 'https://idp.example.com/realms/opentelemetry'
const AUDIENCE = 'control-plane'
const METHODS = '/grpc.testing.*'

async function prepare(): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-interop-'))
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'interop', alg: 'RS256', use: 'sig' }
  const token = await new SignJWT({ client_id: 'workload' })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'interop' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject('workload')
    .setIssuedAt()
    .setExpirationTime('2h')
    .sign(privateKey)
  const publicKeysFile = join(folder, 'jwks.json')
  const tokenFile = join(folder, 'token')
  writeFileSync(publicKeysFile, JSON.stringify({ keys: [jwk] }))
  writeFileSync(tokenFile, token, { mode: 0o600 })
  const ca = await makeAuthority(folder)
  const server = await ca.issue('server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
  const client = await ca.issue('client', { use: 'client', san: 'URI:spiffe://example.org/workload' })
  return { folder, token, tokenFile, publicKeysFile, caFile: ca.certFile, server, client }
}

const workloadYaml = (ground: Ground, upstream: string): string => `workload:
  listen: {endpoint: 127.0.0.1:%ingress%}
  upstream: ${upstream}
  bearertokenauth: {filename: ${ground.tokenFile}}
  allow_methods: [grpc.testing.TestService, grpc.testing.UnimplementedService]
drain: {delay: 0s, timeout: 2s}
`
const controlPlaneYaml = (ground: Ground, port: number, tls: string): string => `control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
${tls}  upstream: {endpoint: 127.0.0.1:${port}}
  oidc:
    providers:
      - {issuer_url: ${ISSUER}, audience: ${AUDIENCE}, public_keys_file: ${ground.publicKeysFile}}
  policy:
    rules: [{name: interop, to: {methods: ['${METHODS}']}}]
drain: {delay: 0s, timeout: 2s}
`

const WAYS: Record<string, (ground: Ground, serverPort: number) => Promise<Way>> = {
  direct: (_ground, port) => Promise.resolve({ port, needsToken: false, stop: () => Promise.resolve() }),
  async workload(ground, port) {
    const gateway = await startGateway(workloadYaml(ground, `{endpoint: 127.0.0.1:${port}}`))
    return {
      port: gateway.ports['ingress']!,
      needsToken: false,
      stop: async () => void (await gateway.stop()),
    }
  },
  async control_plane(ground, port) {
    const gateway = await startGateway(controlPlaneYaml(ground, port, ''))
    return {
      port: gateway.ports['ingress']!,
      needsToken: true,
      stop: async () => void (await gateway.stop()),
    }
  },
  async control_plane_tls(ground, port) {
    const { certFile, keyFile } = ground.server
    const tls = `    tls: {cert_file: ${certFile}, key_file: ${keyFile}, client_auth: none}\n`
    const gateway = await startGateway(controlPlaneYaml(ground, port, tls))
    const stop = async (): Promise<void> => void (await gateway.stop())
    return { port: gateway.ports['ingress']!, needsToken: true, isTls: true, stop }
  },
  async both(ground, port) {
    const { caFile, server, client } = ground
    const serverTls = `    tls: {cert_file: ${server.certFile}, key_file: ${server.keyFile}, client_ca_file: ${caFile}}\n`
    const inner = await startGateway(controlPlaneYaml(ground, port, serverTls))
    const clientTls = `{ca_file: ${caFile}, cert_file: ${client.certFile}, key_file: ${client.keyFile}, server_name_override: localhost}`
    try {
      const upstream = `{endpoint: 127.0.0.1:${inner.ports['ingress']}, tls: ${clientTls}}`
      const outer = await startGateway(workloadYaml(ground, upstream))
      const stop = async (): Promise<void> => {
        await outer.stop()
        await inner.stop()
      }
      return { port: outer.ports['ingress']!, needsToken: false, stop }
    } catch (error) {
      await inner.stop()
      throw error
    }
  },
  async twin(ground, port) {
    const oidc = { publicKeysFile: ground.publicKeysFile, issuer: ISSUER, audience: AUDIENCE }
    const twin = await startNodeHttp2Twin({ upstream: `127.0.0.1:${port}`, oidc, methods: [METHODS] })
    return { port: twin.port, needsToken: true, stop: () => twin.stop() }
  },
}

/** Starts grpc-go's interop server and waits for it. */
async function startServer(program: string): Promise<{ port: number; stop(): void }> {
  const port = await freePort()
  const child = spawn(program, ['-port', String(port)], { stdio: 'ignore' })
  const stop = (): void => void child.kill('SIGKILL')
  process.once('exit', stop)
  for (let tries = 0; tries < 200; tries++) {
    const isUp = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy()
        done(true)
      })
      socket.once('error', () => done(false))
    })
    if (isUp) return { port, stop }
    await sleep(25)
  }
  stop()
  throw new Error('the grpc-go interop server does not listen')
}

/** Runs one case; gives null if it passed, else its last words. */
async function runCase(program: string, way: Way, ground: Ground, name: string): Promise<string | null> {
  const args = ['-server_host', '127.0.0.1', '-server_port', String(way.port), '-test_case', name]
  if (way.needsToken) args.push('-additional_metadata', `authorization:Bearer ${ground.token}`)
  if (way.isTls === true) args.push('-use_tls', '-use_test_ca', '-ca_file', ground.caFile)
  if (name.endsWith('_soak'))
    args.push('-soak_iterations', '50', '-soak_per_iteration_max_acceptable_latency_ms', '3000')
  const result = await run(program, args, { timeoutMs: 60_000 })
  if (result.code === 0) return null
  const words = result.trouble ?? result.stderr.trim().split('\n').at(-1) ?? ''
  return words.replaceAll(ground.token, '<token>').slice(0, 200)
}

/** Runs `names` through each of `paths`, the server's own port being `direct`. */
export async function judgeCalls(
  paths: readonly string[] = Object.keys(WAYS),
  names: readonly string[] = CASES,
): Promise<Outcome> {
  const standing = await ensure(grpcGo, isOnPath)
  const client = programPath(grpcGo, 'client')
  const serverProgram = programPath(grpcGo, 'server')
  if (client === null || serverProgram === null)
    return { absent: `grpc-go ${standing.version} is absent: ${standing.remark}` }
  const ground = await prepare()
  const server = await startServer(serverProgram)
  const scores: Score[] = []
  try {
    for (const path of paths) {
      const fromMs = performance.now()
      const way = await WAYS[path]!(ground, server.port)
      const failed: string[] = []
      for (const name of names) {
        const trouble = await runCase(client, way, ground, name)
        if (trouble === null) continue
        failed.push(name)
        console.log(`${path}: ${name}: ${trouble}`)
      }
      await way.stop()
      const of = names.length
      const counts = { passed: of - failed.length, of, wanted: of, skipped: 0 }
      const seconds = (performance.now() - fromMs) / 1000
      scores.push({
        suite: 'grpc-go interop',
        setting: path,
        run: 1,
        ...counts,
        seconds,
        trouble: failed.join(' '),
      })
    }
  } finally {
    server.stop()
    rmSync(ground.folder, { recursive: true, force: true })
  }
  return { scores }
}

if (import.meta.main) {
  const { values: flags } = parseArgs({
    options: {
      paths: { type: 'string', default: Object.keys(WAYS).join(',') },
      cases: { type: 'string', default: CASES.join(',') },
    },
  })
  process.exitCode = report(await judgeCalls(flags.paths.split(','), flags.cases.split(',')), ABSENT)
}
