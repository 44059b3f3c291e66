import { beforeEach, expect, test } from 'vitest'
import { NO_LOG } from '../../../src/base/index.ts'
import { AdminRoutes, Readiness, type AdminReply, type AdminRequest } from '../../../src/admin/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const SECRET = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.TUFSS0VSTUFSS0VS.c2ln`

let clock: FakeClock
let readiness: Readiness
let routes: AdminRoutes
let renderMetrics: () => Promise<string>
let errors: unknown[]
beforeEach(() => {
  clock = new FakeClock()
  readiness = new Readiness({ nowMs: () => clock.nowMs() })
  renderMetrics = () => Promise.resolve('authgw_ready 1\n')
  errors = []
  routes = new AdminRoutes({
    readiness,
    renderMetrics: () => renderMetrics(),
    renderConfig: () => `client_secret: '****'\nleak: ${SECRET}\n`,
    statusSections: () => [{ title: 'Keys <of> issuers', rows: [['https://idp', `3 & fresh ${SECRET}`]] }],
    log: { ...NO_LOG, error: (fields) => errors.push(fields) },
  })
})

const ask = (target: string, changes: Partial<AdminRequest> = {}): Promise<AdminReply> =>
  routes.answer({
    method: 'GET',
    target,
    host: 'localhost:9464',
    isLocal: true,
    isVerified: false,
    isForwarded: false,
    wantsHtml: false,
    ...changes,
  })
const FROM_OUTSIDE = { isLocal: false, host: '10.1.2.3:9464' }

test('liveness and start-up depend on nobody else: not on the provider, not on the drain', async () => {
  const statuses = async (): Promise<number[]> => [
    (await ask('/livez')).status,
    (await ask('/startupz')).status,
  ]
  expect(await statuses()).toEqual([200, 503])
  readiness.moveTo('ready')
  readiness.markUnready('keys', 'keys_never_loaded')
  expect(await statuses()).toEqual([200, 200])
  readiness.moveTo('draining')
  expect(await statuses()).toEqual([200, 200])
})

test('/readyz follows readiness, and names the class of the cause', async () => {
  expect(await ask('/readyz')).toMatchObject({ status: 503, body: 'starting\n' })
  readiness.moveTo('ready')
  expect(await ask('/readyz')).toMatchObject({ status: 200, body: 'ready\n' })
  readiness.markUnready('keys https://internal-idp', 'keys_never_loaded', 'fetch failed')
  expect(await ask('/readyz', FROM_OUTSIDE)).toMatchObject({
    status: 503,
    body: 'not ready: keys_never_loaded\n',
  })
  readiness.moveTo('draining')
  expect(await ask('/readyz')).toMatchObject({ status: 503, body: 'draining\n' })
})

test('/readyz?verbose tells each condition, how long it has lasted, and why', async () => {
  readiness.moveTo('ready')
  readiness.markReady('listener')
  readiness.markDegraded('token default', 'idp_unreachable', `connect refused with ${SECRET}`)
  readiness.markUnready('keys https://idp', 'keys_never_loaded')
  await clock.advance(125_000)
  const { status, body } = await ask('/readyz?verbose')
  expect(status).toBe(503)
  expect(body.split('\n')).toEqual([
    '[+] life cycle: ready for 2 min',
    '[+] listener: ok for 2 min',
    '[~] token default: degraded: idp_unreachable for 2 min: connect refused with [redacted]',
    '[-] keys https://idp: not ready: keys_never_loaded for 2 min',
    'readyz: not ready: keys_never_loaded',
    '',
  ])
})

test.each(['/', '/config', '/readyz?verbose', '/livez?verbose=1'])(
  '%s answers on loopback under a loopback name only',
  async (target) => {
    readiness.moveTo('ready')
    expect((await ask(target)).status).toBe(200)
    expect((await ask(target, { host: '[::1]:9464' })).status).toBe(200)
    expect((await ask(target, FROM_OUTSIDE)).status).toBe(403)
    expect((await ask(target, { ...FROM_OUTSIDE, host: 'localhost' })).status).toBe(403)
    expect((await ask(target, { host: 'rebound.example:9464' })).status).toBe(421)
    expect((await ask(target, { host: undefined })).status).toBe(421)
    expect((await ask(target, { isForwarded: true })).status).toBe(421)
    expect((await ask(`http://rebound.example${target}`)).status).toBe(421)
  },
)

test.each(['/metrics', '/livez', '/readyz', '/startupz'])('%s answers from anywhere', async (target) => {
  readiness.moveTo('ready')
  expect((await ask(target, FROM_OUTSIDE)).status).toBe(200)
})

test('only GET and HEAD are answered, and the reply says so', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])
    expect(await ask('/metrics', { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  expect((await ask('/livez', { method: 'HEAD' })).status).toBe(200)
})

test.each([
  ['/nothing', 404],
  ['/metrics/', 404],
  ['//livez', 404],
  ['/livez/../config', 200],
  ['*', 400],
  ['example:443', 400],
  ['ftp://localhost/livez', 400],
  ['http://localhost/livez', 200],
])('the target %s gets %i', async (target, status) => {
  expect((await ask(target)).status).toBe(status)
})

test('the masked configuration goes through the second net', async () => {
  expect((await ask('/config')).body).toBe(`client_secret: '****'\nleak: [redacted]\n`)
})

test('the status page is text for curl and escaped HTML for a browser, without secrets', async () => {
  readiness.moveTo('ready')
  readiness.markDegraded('token <b>', 'idp_timeout')
  const asText = await ask('/')
  expect(asText.contentType).toContain('text/plain')
  expect(asText.body).toContain('authgw: ready, degraded')
  expect(asText.body).toContain('Keys <of> issuers\n  https://idp  3 & fresh [redacted]')
  const asHtml = await ask('/', { wantsHtml: true })
  expect(asHtml.contentType).toContain('text/html')
  expect(asHtml.body).toContain('<h2>Keys &lt;of&gt; issuers</h2>')
  expect(asHtml.body).toContain('<td>3 &amp; fresh [redacted]')
  expect(asHtml.body).toContain('token &lt;b&gt;')
  expect(asHtml.body).not.toMatch(/<script|src=|https?:\/\/(?!idp)/)
})

test('many scrapes at once share one rendering; the next one is fresh', async () => {
  let renderings = 0
  renderMetrics = async () => {
    renderings++
    await clock.advance(1)
    return `${renderings}\n`
  }
  const replies = await Promise.all(Array.from({ length: 20 }, () => ask('/metrics')))
  expect(new Set(replies.map(({ body }) => body))).toEqual(new Set(['1\n']))
  expect((await ask('/metrics')).body).toBe('2\n')
})

test('a page that fails is a 500 that tells nothing, and a log line; the next one works', async () => {
  renderMetrics = () => Promise.reject(new Error('internal detail'))
  const reply = await ask('/metrics')
  expect(reply.status).toBe(500)
  expect(reply.body).not.toContain('internal detail')
  expect(errors).toMatchObject([{ path: '/metrics', err: { message: 'internal detail' } }])
  renderMetrics = () => Promise.resolve('ok\n')
  expect((await ask('/metrics')).status).toBe(200)
})
