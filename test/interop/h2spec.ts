/**
 * `node test/interop/h2spec.ts`: h2spec in strict mode against the control plane role in front of an ordinary node:http2
 * server, in plaintext and over TLS, authentication off by its unsafe_ option. Ends in a table; exit code 1 on any miss,
 * 77 where h2spec cannot be had. Flags: --runs N, --paths a,b, --target host:port [--tls] for any server.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeAuthority } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import { ensure, programPath } from './tools/cache.ts'
import { h2spec } from './tools/catalog.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'
import { table } from './tools/table.ts'

interface Target {
  host: string
  port: number
  isTls: boolean
  stop(): Promise<void>
  /** How many requests reached the server behind, or null where nobody counts. */
  requestCount(): number | null
}

interface Score {
  tests: number
  passed: number
  skipped: number
  failed: number
  /** What h2spec says of each failure. */
  failures: string
}

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' },
    paths: { type: 'string', default: 'proxy,proxy-tls' },
    target: { type: 'string' },
    tls: { type: 'boolean', default: false },
  },
})

/** The server behind: answers every request with a body long enough for the flow-control cases. */
async function startOrdinaryServer(): Promise<{ port: number; count(): number; stop(): void }> {
  const server = http2.createServer()
  let count = 0
  server.on('sessionError', () => undefined)
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    count++
    stream.on('error', () => undefined)
    stream.resume()
    // Answering earlier could overtake the malformed end of a request, to which the proxy has to object.
    stream.once('end', () => {
      if (stream.destroyed) return
      stream.respond({ ':status': 200, 'content-type': 'text/plain' })
      stream.end('an ordinary answer\n'.repeat(8))
    })
  })
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', () => done())
  })
  return {
    port: (server.address() as AddressInfo).port,
    count: () => count,
    stop() {
      for (const session of sessions) session.destroy()
      server.close()
    },
  }
}

/** The control plane role with authentication off, in front of an ordinary server. */
async function startProxy(isTls: boolean): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-h2spec-'))
  const server = await startOrdinaryServer()
  try {
    const ca = await makeAuthority(folder)
    const pair = await ca.issue('server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
    const tls = `    tls: {cert_file: ${pair.certFile}, key_file: ${pair.keyFile}, client_auth: none}\n`
    const gateway = await startGateway(`control_plane:
  unsafe_allow: [no_authentication]
  listen:
    endpoint: 127.0.0.1:%ingress%
${isTls ? tls : ''}  upstream: {endpoint: 127.0.0.1:${server.port}}
drain: {delay: 0s, timeout: 2s}
`)
    return {
      host: '127.0.0.1',
      port: gateway.ports['ingress']!,
      isTls,
      requestCount: () => server.count(),
      async stop() {
        await gateway.stop()
        server.stop()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    server.stop()
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function given(target: string): Target {
  const [host, port] = target.split(':')
  return {
    host: host!,
    port: Number(port),
    isTls: flags.tls,
    stop: () => Promise.resolve(),
    requestCount: () => null,
  }
}

const PATHS: Record<string, () => Promise<Target>> = {
  proxy: () => startProxy(false),
  'proxy-tls': () => startProxy(true),
}

/** Runs the whole strict suite once. @throws Error when h2spec printed no summary. */
async function score(program: string, target: Target): Promise<Score> {
  const args = ['-S', '-h', target.host, '-p', String(target.port), '-o', '2']
  const result = await run(program, [...args, ...(target.isTls ? ['-t', '-k'] : [])], { timeoutMs: 420_000 })
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(result.stdout)
  if (summary === null)
    throw new Error(result.trouble ?? `h2spec gave no summary: ${result.stdout.slice(-300)}`)
  const [tests, passed, skipped, failed] = summary.slice(1).map(Number) as [number, number, number, number]
  const failures = /Failures:[\s\S]*?(?=Finished in)/.exec(result.stdout)?.[0] ?? ''
  return { tests, passed, skipped, failed, failures }
}

async function main(): Promise<number> {
  const standing = await ensure(h2spec, isOnPath)
  const program = programPath(h2spec, 'h2spec')
  if (program === null) {
    console.log(`h2spec ${standing.version} is absent: ${standing.remark}`)
    return ABSENT
  }
  const starts = flags.target === undefined ? flags.paths.split(',') : [flags.target]
  const rows: string[][] = []
  let misses = 0
  for (const name of starts) {
    const target = flags.target === undefined ? await PATHS[name]!() : given(flags.target)
    try {
      for (let turn = 1; turn <= Number(flags.runs); turn++) {
        const before = target.requestCount()
        const found = await score(program, target)
        const after = target.requestCount()
        const reached = before === null || after === null ? null : after - before
        // Most cases ask for a response: if hardly any request came through, it was not the proxy that was tested.
        const isProven = reached === null || reached >= 40
        if (found.failed > 0 || found.skipped > 0 || !isProven) misses++
        if (found.failures !== '') console.log(`${name}, run ${turn}\n${found.failures}`)
        const { tests, passed, skipped, failed } = found
        rows.push([
          name,
          String(turn),
          ...[passed, tests, skipped, failed].map(String),
          String(reached ?? ''),
        ])
      }
    } finally {
      await target.stop()
    }
  }
  console.log(`h2spec ${standing.version}, strict\n`)
  console.log(table(['path', 'run', 'passed', 'of', 'skipped', 'failed', 'reached the server'], rows))
  return misses > 0 ? 1 : 0
}

process.exitCode = await main()
