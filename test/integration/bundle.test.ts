/**
 * The program as it is shipped: dist/ alone, in an empty folder, without packages, environment or a writable place beside it.
 * Stands in for the image, whose layout is the same.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { rolldown } from 'rolldown'
import type { InputOptions, OutputOptions } from 'rolldown'
import { afterAll, beforeAll, expect, test } from 'vitest'
import config from '../../rolldown.config.ts'
import { freePort } from '../support/free-port.ts'

const folder = mkdtempSync(join(tmpdir(), 'authgw-bundle-'))
const program = join(folder, 'app', 'authgw.js')
const work = join(folder, 'work')

interface Outcome {
  readonly code: number
  readonly output: string
}

/** Runs the bundle with an empty environment in a folder that holds nothing else. */
function authgw(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { cwd: work, env: {} }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    )
  })
}

beforeAll(async () => {
  mkdirSync(work)
  const { output, ...input } = config as InputOptions & { output: OutputOptions }
  const build = await rolldown(input)
  await build.write({ ...output, dir: join(folder, 'app') })
  await build.close()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the bundle is one program and the chunks it loads, and imports nothing but Node', () => {
  expect(readdirSync(join(folder, 'app')).sort()).toEqual(['LICENSES.txt', 'authgw.js', 'chunks'])
  const texts = readdirSync(join(folder, 'app/chunks')).map((file) =>
    readFileSync(join(folder, 'app/chunks', file), 'utf8'),
  )
  const foreign = texts.flatMap((text) =>
    [...text.matchAll(/^(?:import|export) [^'"\n]*?from "([^"]+)";$/gm)]
      .map((match) => match[1]!)
      .filter((name) => !name.startsWith('node:') && !name.startsWith('./') && name !== 'module'),
  )
  expect(foreign).toEqual([])
})

test('it carries the licences of what it is made of', () => {
  const licences = readFileSync(join(folder, 'app/LICENSES.txt'), 'utf8')
  for (const name of ['jose', 'undici', 'zod', 'openid-client', '@grpc/grpc-js'])
    expect(licences).toMatch(new RegExp(`^${name.replace('/', '\\/')} \\d+\\.\\d+\\.\\d+: \\S`, 'm'))
})

test('version, init and validate work with nothing beside them', async () => {
  const version = await authgw('version')
  expect(version.code).toBe(0)
  expect(version.output).toMatch(/^authgw \d+\.\d+\.\d+ \(node \d+/)
  expect(await authgw('init', '--out', 'made')).toMatchObject({ code: 0 })
  for (const role of ['workload', 'control-plane'])
    expect(await authgw('validate', '--config', `made/${role}.yaml`)).toMatchObject({ code: 0 })
  const wrong = await authgw('validate', '--config', 'made/workload.yaml', '--set', 'workload.listne=1')
  expect(wrong).toMatchObject({ code: 2 })
  expect(wrong.output).toContain('listne')
})

test.each([1, 2])(
  'with workers: %i it gets ready, says so to its own healthcheck and to grpc.health.v1, and drains',
  async (workers) => {
    const ports = { listen: await freePort(), admin: await freePort(), health: await freePort() }
    const file = join(work, 'config.yaml')
    writeFileSync(join(work, 'token'), 'a.b.c')
    writeFileSync(
      file,
      `workers: ${workers}
workload:
  listen: {endpoint: 127.0.0.1:${ports.listen}}
  upstream: {endpoint: 127.0.0.1:1, tls: {insecure: true}}
  bearertokenauth: {filename: token}
admin: {endpoint: 127.0.0.1:${ports.admin}, grpc_health_endpoint: 127.0.0.1:${ports.health}}
drain: {delay: 0s, timeout: 1s}
`,
    )
    const gateway = spawn(process.execPath, [program, '--config', file], {
      cwd: work,
      env: {},
      stdio: 'ignore',
    })
    const ended = new Promise<number | null>((resolve) => gateway.once('exit', resolve))
    try {
      let health = await authgw('healthcheck', '--config', file)
      for (let i = 0; health.code !== 0 && i < 50; i++) {
        await sleep(100)
        health = await authgw('healthcheck', '--config', file)
      }
      expect(health).toEqual({ code: 0, output: '' })
      expect(await isServing(ports.health)).toBe(true)
    } finally {
      gateway.kill('SIGTERM')
    }
    expect(await ended).toBe(0)
    expect((await authgw('healthcheck', '--config', file)).code).toBe(1)
  },
)

/** Asks grpc.health.v1 as Kubernetes does. */
async function isServing(port: number): Promise<boolean> {
  const [grpc, { service }] = await Promise.all([import('@grpc/grpc-js'), import('grpc-health-check')])
  const Client = grpc.makeGenericClientConstructor(service, 'Health')
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
  try {
    return await new Promise((resolve, reject) => {
      const check = client['Check']!.bind(client) as (
        request: object,
        done: (error: Error | null, reply: { status: string | number }) => void,
      ) => void
      check({ service: '' }, (error, reply) =>
        error === null ? resolve([1, 'SERVING'].includes(reply.status)) : reject(error),
      )
    })
  } finally {
    client.close()
  }
}
