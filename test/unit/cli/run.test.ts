import { EventEmitter } from 'node:events'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ConfigError } from '../../../src/base/index.ts'
import type { Log, LogFields } from '../../../src/base/index.ts'
import { runProgram } from '../../../src/cli/index.ts'
import type { StartRoles } from '../../../src/cli/index.ts'
import type { Config } from '../../../src/config/index.ts'
import { captureIo } from '../../support/capture-io.ts'
import { makeConfigFolder, workloadYaml } from '../../support/config-folder.ts'
import type { ConfigFolder } from '../../support/config-folder.ts'
import { settle } from '../../support/fake-clock.ts'

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())

/** A process with captured output, and a gateway that only remembers what it was asked to do. */
function stage(nowMs = () => Date.now(), canDumpMemory = false) {
  const signals = new EventEmitter()
  const lines: { level: string; fields: LogFields; message: string }[] = []
  const logAt = (level: string) => (fields: LogFields, message: string) => {
    lines.push({ level, fields, message })
  }
  const log: Log = {
    debug: logAt('debug'),
    info: logAt('info'),
    warn: logAt('warn'),
    error: logAt('error'),
    child: () => log,
  }
  const { io, text } = captureIo({
    nowMs,
    canDumpMemory,
    onSignal: (name, listener) => signals.on(name, listener),
  })
  const drained = Promise.withResolvers<void>()
  const running = {
    log,
    drain: vi.fn(() => drained.promise),
    stop: vi.fn(() => Promise.resolve()),
    reload: vi.fn<(config: Config) => Promise<void>>(() => Promise.resolve()),
    noteReload: vi.fn<(isOk: boolean) => void>(),
  }
  const startRoles = vi.fn<StartRoles>(() => Promise.resolve(running))
  const start = (...args: string[]) => runProgram(args, { io, startRoles, pages: () => Promise.resolve([]) })
  return { signals, text, lines, running, startRoles, start, drained }
}

/** Waits until the gateway listens to signals. */
const untilUp = async ({ signals }: { signals: EventEmitter }): Promise<void> => {
  await vi.waitUntil(() => signals.listenerCount('SIGHUP') > 0)
}

test('without a command the gateway runs, with the version and a printed configuration for its status page', async () => {
  const it = stage()
  const exit = it.start('--config', folder.write('run.yaml', workloadYaml()), '--set', 'workers=2')
  await untilUp(it)
  const [config, options] = it.startRoles.mock.calls[0]!
  expect(config.workers).toBe(2)
  expect(options.version).toBe('1.2.3')
  expect(options.printedConfig()).toContain('client_id: workload')
  it.signals.emit('SIGTERM')
  it.drained.resolve()
  expect(await exit).toBe(0)
})

test('--log-level stands above the configuration', async () => {
  const it = stage()
  const exit = it.start('run', '-c', folder.write('run.yaml', workloadYaml()), '--log-level', 'debug')
  await untilUp(it)
  expect(it.startRoles.mock.calls[0]![0].service.telemetry.logs.level).toBe('debug')
  it.signals.emit('SIGINT')
  it.drained.resolve()
  expect(await exit).toBe(0)
})

test('the first SIGTERM drains, the second stops at once, a third changes nothing', async () => {
  const it = stage()
  const exit = it.start('-c', folder.write('run.yaml', workloadYaml()))
  await untilUp(it)
  it.signals.emit('SIGTERM')
  await settle()
  expect(it.running.drain).toHaveBeenCalledOnce()
  expect(it.running.stop).not.toHaveBeenCalled()
  it.signals.emit('SIGINT')
  it.signals.emit('SIGTERM')
  expect(await exit).toBe(0)
  expect(it.running.drain).toHaveBeenCalledOnce()
  expect(it.running.stop).toHaveBeenCalledOnce()
})

test('a signal that npm or timeout sends on is not taken for a second one', async () => {
  let nowMs = Date.now()
  const it = stage(() => nowMs)
  const exit = it.start('-c', folder.write('run.yaml', workloadYaml()))
  await untilUp(it)
  it.signals.emit('SIGINT')
  nowMs += 20
  it.signals.emit('SIGINT')
  await settle()
  expect(it.running.stop).not.toHaveBeenCalled()
  nowMs += 500
  it.signals.emit('SIGINT')
  expect(await exit).toBe(0)
  expect(it.running.drain).toHaveBeenCalledOnce()
  expect(it.running.stop).toHaveBeenCalledOnce()
})

test('SIGHUP hands over the new configuration; one with faults is logged with its places and changes nothing', async () => {
  const it = stage()
  const file = folder.write('reload.yaml', workloadYaml())
  const exit = it.start('-c', file)
  await untilUp(it)
  folder.write('reload.yaml', workloadYaml().replace('client_id: workload', 'client_id: other'))
  it.signals.emit('SIGHUP')
  await vi.waitUntil(() => it.running.reload.mock.calls.length > 0)
  expect(it.running.reload.mock.calls[0]![0].workload?.oauth2client?.clientId).toBe('other')
  await settle()
  expect(it.startRoles.mock.calls[0]![1].printedConfig()).toContain('client_id: other')

  folder.write('reload.yaml', workloadYaml().replace('client_id', 'clientid'))
  it.signals.emit('SIGHUP')
  await vi.waitUntil(() => it.lines.some(({ level }) => level === 'error'))
  expect(it.running.reload).toHaveBeenCalledOnce()
  expect(it.running.noteReload).toHaveBeenLastCalledWith(false)
  const { fields, message } = it.lines.find(({ level }) => level === 'error')!
  expect(message).toBe('configuration not reloaded; the old one stays in force')
  expect(fields['faults']).toEqual([
    expect.stringContaining('reload.yaml:8:5  workload.oauth2client.clientid'),
  ])
  it.signals.emit('SIGTERM')
  it.drained.resolve()
  await exit
})

test('a gateway that cannot take a configuration over keeps the old one', async () => {
  const it = stage()
  const exit = it.start('-c', folder.write('run.yaml', workloadYaml()))
  await untilUp(it)
  it.running.reload.mockRejectedValueOnce(new Error('the port is taken'))
  it.signals.emit('SIGHUP')
  await vi.waitUntil(() => it.lines.some(({ level }) => level === 'error'))
  it.signals.emit('SIGTERM')
  it.signals.emit('SIGHUP')
  it.drained.resolve()
  await exit
  expect(it.running.reload).toHaveBeenCalledOnce()
  expect(it.running.noteReload).toHaveBeenLastCalledWith(false)
})

test('warnings of the configuration go to the log', async () => {
  const it = stage()
  const yaml = workloadYaml().replace('    tls:', '    compression: gzip\n    tls:')
  const exit = it.start('-c', folder.write('run.yaml', yaml))
  await untilUp(it)
  expect(it.lines).toEqual([
    expect.objectContaining({
      level: 'warn',
      fields: expect.objectContaining({ key: 'workload.upstream.compression' }),
    }),
  ])
  it.signals.emit('SIGTERM')
  it.drained.resolve()
  await exit
})

test('a process whose memory would be in a core dump says so at its start', async () => {
  const it = stage(undefined, true)
  const exit = it.start('-c', folder.write('run.yaml', workloadYaml()))
  await untilUp(it)
  expect(it.lines).toEqual([
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('ulimit -c 0') }),
  ])
  it.signals.emit('SIGTERM')
  it.drained.resolve()
  await exit
})

test('what only shows when it is tried is a fault of the configuration too: exit code 2', async () => {
  const it = stage()
  const problem = {
    path: 'admin.endpoint',
    position: null,
    problem: 'is in use',
    remedy: 'choose another port',
  }
  it.startRoles.mockRejectedValueOnce(new ConfigError([problem]))
  expect(await it.start('-c', folder.write('run.yaml', workloadYaml()))).toBe(2)
  expect(it.text.err).toBe('admin.endpoint  is in use  → choose another port\n1 fault; nothing was started\n')
})

test('an address that the system refuses is said in one line: exit code 1', async () => {
  const it = stage()
  const error = Object.assign(new Error('listen EADDRINUSE: 127.0.0.1:4317'), {
    syscall: 'listen',
    code: 'EADDRINUSE',
  })
  it.startRoles.mockRejectedValueOnce(error)
  expect(await it.start('-c', folder.write('run.yaml', workloadYaml()))).toBe(1)
  expect(it.text.err).toBe('listen EADDRINUSE: 127.0.0.1:4317\n')
})

test('a drain that fails is a crash', async () => {
  const it = stage()
  const exit = it.start('-c', folder.write('run.yaml', workloadYaml()))
  await untilUp(it)
  it.signals.emit('SIGTERM')
  it.drained.reject(new Error('bug'))
  await expect(exit).rejects.toThrow('bug')
})

test.each([
  [['frobnicate'], "unknown command 'frobnicate'"],
  [['--bogus'], "unknown option '--bogus'"],
  [['validate'], "required option '-c, --config <file>'"],
  [[], "required option '-c, --config <file>'"],
  [['run', '-c', 'x', '--log-level', 'loud'], 'Allowed choices are debug, info, warn, error'],
  [['healthcheck', '-c', 'x', '--timeout', 'soon'], 'write a duration such as 2s'],
  [['token', '-c', 'x', '--identity'], "option '--identity <name>' argument missing"],
  [['explain', '-c', 'x', '--keys', 'a', '--online'], 'cannot be used with'],
  [['certs', 'server'], "required option '-o, --out <folder>'"],
  [['certs', 'server', '-o', 'x', '--days', '0'], 'write a whole number'],
])('wrong usage %j ends with 2 and says what is wrong', async (args, message) => {
  const it = stage()
  expect(await it.start(...args)).toBe(2)
  expect(it.text.err).toContain(message)
  expect(it.startRoles).not.toHaveBeenCalled()
})

test.each([
  'run',
  'validate',
  'print-config',
  'print-collector-config',
  'token',
  'explain',
  'healthcheck',
  'certs',
  'init',
  'render-docs',
])('the help of %s is enough to use it: it has an example', async (command) => {
  const it = stage()
  expect(await it.start(command, '--help')).toBe(0)
  expect(it.text.out).toMatch(new RegExp(`Examples?:\\n {2}authgw .*`))
  expect(it.text.out).toContain(`Usage: authgw ${command} `)
})

test('version names authgw and Node', async () => {
  const it = stage()
  expect(await it.start('version')).toBe(0)
  expect(it.text.out).toBe('authgw 1.2.3 (node 26.0.0)\n')
})

test('validate names the roles, and prints warnings where they do not disturb', async () => {
  const it = stage()
  const yaml = workloadYaml().replace('    tls:', '    compression: gzip\n    tls:')
  expect(await it.start('validate', '-c', folder.write('ok.yaml', yaml))).toBe(0)
  expect(it.text.out).toBe('valid: workload on localhost:4317\n')
  expect(it.text.err).toMatch(/^warning .*ok\.yaml:5:5 {2}workload\.upstream\.compression {2}has no effect/)
})

test('validate --skip-files looks at no file', async () => {
  const it = stage()
  const file = folder.write('skip.yaml', workloadYaml().replace('ca.pem', 'none.pem'))
  expect(await it.start('validate', '-c', file)).toBe(2)
  expect(await it.start('validate', '-c', file, '--skip-files')).toBe(0)
})

test('print-config masks secrets and leaves defaults out when asked to', async () => {
  const it = stage()
  const yaml = workloadYaml().replace('client_secret_file: secret', 'client_secret: hunter2')
  expect(await it.start('print-config', '-c', folder.write('p.yaml', yaml), '--no-defaults')).toBe(0)
  expect(it.text.out).toContain('client_secret: "[REDACTED]"')
  expect(it.text.out).not.toContain('hunter2')
  expect(it.text.out).not.toContain('limits')
})
