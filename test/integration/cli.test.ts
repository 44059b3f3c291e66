import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeConfigFolder, workloadYaml } from '../support/config-folder.ts'
import type { ConfigFolder } from '../support/config-folder.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program as a user does, from the folder with the configuration. */
function authgw(...args: string[]): Promise<Ended> {
  const { promise, resolve: done } = Promise.withResolvers<Ended>()
  const child = execFile(
    process.execPath,
    [MAIN, ...args],
    { cwd: folder.path, timeout: 20_000 },
    (_, stdout, stderr) => done({ code: child.exitCode ?? -1, stdout, stderr }),
  )
  return promise
}

test('validate of a sound configuration ends with 0', async () => {
  folder.write('good.yaml', workloadYaml())
  expect(await authgw('validate', '--config', 'good.yaml')).toEqual({
    code: 0,
    stdout: 'valid: workload on localhost:4317\n',
    stderr: '',
  })
})

test('a bad configuration ends with 2: every fault with its line, key, problem and remedy, no stack trace', async () => {
  const yaml = workloadYaml()
    .replace('ca.pem', 'none.pem')
    .replace('client_id', 'clientid')
    .replace('https://', 'http://')
  folder.write('bad.yaml', yaml)
  for (const args of [
    ['validate', '--config', 'bad.yaml'],
    ['--config', 'bad.yaml'],
  ]) {
    const { code, stdout, stderr } = await authgw(...args)
    expect([code, stdout]).toEqual([2, ''])
    const lines = stderr.trimEnd().split('\n')
    expect(lines).toEqual([
      expect.stringMatching(
        /^bad\.yaml:5:11 {2}workload\.upstream\.tls\.ca_file {2}.*none\.pem does not exist {2}→ put/,
      ),
      expect.stringMatching(
        /^bad\.yaml:7:5 {2}workload\.oauth2client\.issuer_url {2}.* is not https.* {2}→ write https/,
      ),
      expect.stringMatching(
        /^bad\.yaml:8:5 {2}workload\.oauth2client\.clientid {2}is an unknown key {2}→ did you mean client_id\?$/,
      ),
      '3 faults; nothing was started',
    ])
  }
})

test('wrong usage ends with 2', async () => {
  const { code, stderr } = await authgw('--bogus')
  expect([code, stderr]).toEqual([2, "error: unknown option '--bogus'\n"])
})

test('version and help end with 0', async () => {
  expect(await authgw('version')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^authgw \d+\.\d+\.\d+ \(node /),
  })
  expect(await authgw('--help')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Exit codes: 0 clean'),
  })
})

test('certs and init work on an empty folder', async () => {
  const out = join(folder.path, 'made')
  expect(await authgw('certs', 'ca', '--out', out)).toMatchObject({ code: 0 })
  expect(await authgw('init', '--out', join(folder.path, 'first'))).toMatchObject({ code: 0 })
  expect(await authgw('validate', '-c', 'first/workload.yaml')).toMatchObject({ code: 0, stderr: '' })
})

test('healthcheck asks the admin endpoint of the configuration: 0 ready, 1 not ready, gone or silent', async () => {
  const answers: Record<string, [number, string]> = { '/readyz': [503, 'draining'], '/livez': [200, 'ok'] }
  const server = createServer((request, response) => {
    const [status, body] = answers[request.url ?? ''] ?? [404, '']
    if (status !== 0) response.writeHead(status).end(body)
  })
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening)
  })
  const { port } = server.address() as AddressInfo
  folder.write(
    'probe.yaml',
    `${workloadYaml().replace('ca.pem', 'none.pem')}admin: {endpoint: "0.0.0.0:${port}"}\n`,
  )
  const probe = (...args: string[]): Promise<Ended> => authgw('healthcheck', '-c', 'probe.yaml', ...args)
  expect(await probe('--liveness')).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(await probe()).toEqual({ code: 1, stdout: '', stderr: `/readyz of 0.0.0.0:${port}: 503 draining\n` })
  answers['/readyz'] = [200, 'ready']
  expect(await probe()).toMatchObject({ code: 0 })
  answers['/readyz'] = [0, '']
  expect(await probe('--timeout', '100ms')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no answer in 100 ms'),
  })
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  expect(await probe()).toMatchObject({ code: 1, stderr: expect.stringContaining('ECONNREFUSED') })
})
