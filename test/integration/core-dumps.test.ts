/**
 * What a crash leaves behind: no token and no secret, neither in a core dump nor in a diagnostic report.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Canary } from '../support/canary.ts'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway-process.ts'
import { waitFor } from '../support/gateway-pair.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
/** Runs a program that may leave cores, in the folder it is started in. */
const WITH_CORES = ['-c', 'ulimit -c unlimited && exec "$0" "$@"', process.execPath] as const

const folder = mkdtempSync(join(tmpdir(), 'authgw-cores-'))
const canary = new Canary()
const secret = canary.plant('client secret')
const token = canary.watch('access token', canary.plant('access token'))
let provider: Server
let issuer: string

beforeAll(async () => {
  provider = createServer((_request, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 300 })),
  )
  await new Promise<void>((done) => provider.listen(0, '127.0.0.1', done))
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`
})
afterAll(() => {
  provider.closeAllConnections()
  provider.close()
  rmSync(folder, { recursive: true, force: true })
})

const workload = (listen: string, admin: string): string => `
workload:
  listen: {endpoint: 127.0.0.1:${listen}}
  upstream: {endpoint: 127.0.0.1:1, tls: {insecure: true}}
  oauth2client: {token_url: ${issuer}/token, client_id: workload, client_secret: "\${env:CANARY_SECRET}"}
admin: {endpoint: 127.0.0.1:${admin}}
`

/** The files of a folder whose names begin so, as one text; removed. */
function takeFiles(within: string, prefix: string): Buffer[] {
  return readdirSync(within)
    .filter((name) => name.startsWith(prefix))
    .map((name) => {
      const octets = readFileSync(join(within, name))
      rmSync(join(within, name))
      return octets
    })
}

/** The diagnostic report in a folder; empty until it is whole. */
function takeReport(within: string): string {
  const [name] = readdirSync(within).filter((entry) => entry.startsWith('report.'))
  if (name === undefined) return ''
  const text = readFileSync(join(within, name), 'utf8')
  return text.trimEnd().endsWith('}') ? text : ''
}

/** Whether a process that dies here leaves a core, with its memory in it: not where a limit or a collector of cores stands before. */
function leavesCores(): boolean {
  const within = mkdtempSync(join(folder, 'control-'))
  spawnSync('sh', ['-c', 'ulimit -c unlimited && kill -ABRT $$'], {
    cwd: within,
    env: { ...process.env, CONTROL: 'memory-of-control' },
  })
  return takeFiles(within, 'core').some((core) => core.includes('memory-of-control'))
}

/** Runs a workload gateway that may leave cores until it has its token, has it leave what it leaves, and ends it. */
async function run(
  within: string,
  nodeOptions: readonly string[],
  leave: (child: ChildProcess) => Promise<unknown>,
): Promise<void> {
  const config = join(folder, 'authgw.yaml')
  writeFileSync(config, workload(String(await freePort()), String(await freePort())))
  const child = spawn('sh', [...WITH_CORES, ...nodeOptions, MAIN, '--config', config], {
    cwd: within,
    env: { ...process.env, CANARY_SECRET: secret },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const written: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => written.push(chunk))
  try {
    await waitFor(() => written.join('').includes('token obtained'), 10_000, 'a token')
    await leave(child)
  } finally {
    child.kill('SIGKILL')
  }
}

describe.skipIf(process.platform !== 'linux')('a crash', () => {
  test('leaves a core dump without the memory of the process', async (context) => {
    if (!leavesCores()) context.skip('this machine leaves no core files')
    const within = mkdtempSync(join(folder, 'crashed-'))
    await run(within, [], async (child) => {
      child.kill('SIGABRT')
      await once(child, 'exit')
    })
    const cores = takeFiles(within, 'core')
    expect(cores).toHaveLength(1)
    for (const planted of [secret, token]) expect(cores[0]!.includes(planted)).toBe(false)
    expect(cores[0]!.length).toBeLessThan(4 * 1024 * 1024)
  })

  test('leaves a diagnostic report, where one is asked for, without the environment', async () => {
    const within = mkdtempSync(join(folder, 'reported-'))
    let report = ''
    await run(within, ['--report-on-signal', '--report-signal=SIGUSR2'], async (child) => {
      child.kill('SIGUSR2')
      await waitFor(() => (report ||= takeReport(within)) !== '', 10_000, 'a report')
    })
    expect(JSON.parse(report)).toMatchObject({ header: { event: 'SIGUSR2', trigger: 'Signal' } })
    expect(report).not.toContain('CANARY_SECRET')
    for (const planted of [secret, token]) expect(report).not.toContain(planted)
  })
})

test.skipIf(process.platform !== 'linux')(
  'the memory of supervisor and workers is kept out of core dumps from their start on',
  async () => {
    const gateway = await startGateway(`workers: 2\n${workload('%ingress%', '%admin%')}`, {
      env: { CANARY_SECRET: secret },
    })
    try {
      const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8')
      const pids = [gateway.pid, ...children.trim().split(' ').map(Number)]
      expect(pids).toHaveLength(3)
      for (const pid of pids)
        expect(Number.parseInt(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8'), 16)).toBe(0)
    } finally {
      await gateway.stop()
    }
  },
)
