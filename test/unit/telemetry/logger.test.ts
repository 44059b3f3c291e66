import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Logger, type LoggerOptions } from '../../../src/telemetry/index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-log-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Lets `write` log into a file, and gives what stands there afterwards. */
async function logged(write: (log: Logger) => void, options: LoggerOptions = {}): Promise<string> {
  const destination = join(folder, 'log')
  const log = new Logger({ ...options, destination })
  write(log)
  await log.flush(3000)
  return readFileSync(destination, 'utf8')
}

test('a line is one JSON object in the collector’s words: level, ts as ISO 8601, msg, fields', async () => {
  const text = await logged((log) => log.info({ issuer: 'https://idp', ms: 12 }, 'token refreshed'))
  const line: Record<string, unknown> = JSON.parse(text)
  expect(line).toMatchObject({ level: 'info', msg: 'token refreshed', issuer: 'https://idp', ms: 12 })
  expect(line['ts']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect(Object.keys(line).sort()).toEqual(['issuer', 'level', 'ms', 'msg', 'ts'])
})

test('the console encoding separates time, level, message and fields by tabs', async () => {
  const text = await logged(
    (log) => {
      log.warn({ role: 'workload' }, 'provider unreachable')
      log.info({}, 'ready')
    },
    { encoding: 'console' },
  )
  const [first, second] = text.trimEnd().split('\n')
  expect(first).toMatch(/Z\twarn\tprovider unreachable\t\{"role":"workload"\}$/)
  expect(second).toMatch(/Z\tinfo\tready$/)
})

test('the default level is info, and a change reaches loggers that were made before it', async () => {
  const text = await logged((log) => {
    const child = log.child({ room: 'net' })
    child.debug({}, 'unseen')
    log.setLevel('debug')
    child.debug({}, 'seen')
    log.setLevel('error')
    child.warn({}, 'unseen')
    child.error({}, 'seen too')
  })
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line))
  expect(lines.map((line) => [line['room'], line['msg']])).toEqual([
    ['net', 'seen'],
    ['net', 'seen too'],
  ])
})

test('no secret passes, in a field, a child’s field, a message, an error or its cause', async () => {
  const jwt = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.TUFSS0VSTUFSS0VS.TUFSS0VSTUFSS0VS`
  const text = await logged(
    (log) => {
      const child = log.child({ authorization: `Bearer ${jwt}` })
      child.debug({ note: jwt }, `saw ${jwt}`)
      child.error({ err: new Error(jwt, { cause: new Error(`Bearer ${jwt}`) }) }, 'failed')
    },
    { level: 'debug' },
  )
  expect(text.trimEnd().split('\n')).toHaveLength(2)
  expect(text).not.toContain('TUFSS0VS')
})

test('lines are counted by level, and only those that are written', async () => {
  let log!: Logger
  await logged((made) => {
    log = made
    log.debug({}, 'below the level')
    log.info({}, 'one')
    log.info({}, 'two')
    log.error({}, 'three')
  })
  expect(log.stats.lineCounts).toEqual({ debug: 0, info: 2, warn: 0, error: 1 })
  expect(log.stats.droppedLineCount).toBe(0)
})

test('what does not fit the buffer is dropped and counted, and the log says so when it can write again', async () => {
  let log!: Logger
  const text = await logged(
    (made) => {
      log = made
      for (let i = 0; i < 100; i++) log.info({ i }, 'x'.repeat(100))
    },
    { maxBufferedBytes: 2000 },
  )
  expect(log.stats.droppedLineCount).toBeGreaterThan(50)
  await log.flush()
  const all = text + readFileSync(join(folder, 'log'), 'utf8')
  expect(all).toContain(
    `"msg":"log lines were dropped: the reader is too slow","count":${log.stats.droppedLineCount}`,
  )
})

test('a destination that cannot be opened is counted, not thrown: a gateway forwards without its log', async () => {
  const log = new Logger({ destination: join(folder, 'missing', 'log') })
  log.info({}, 'lost')
  await log.flush(200)
  expect(log.stats.writeErrorCount).toBe(1)
})
