import { expect, test } from 'vitest'
import {
  FETCH_COOLDOWN_MS,
  KeyCache,
  KeyKeeper,
  type KeyCacheFiles,
  type KeyKeeperOptions,
  type KeySet,
} from '../../../src/auth/index.ts'
import type { Snapshot } from '../../../src/base/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { recordingLog, until } from '../../support/gate-bench.ts'
import { json, TestIssuer } from '../../support/issuer.ts'

interface Bench {
  readonly clock: FakeClock
  readonly issuer: TestIssuer
  readonly keeper: KeyKeeper
  readonly lines: Record<string, unknown>[]
  readonly snapshots: Snapshot<KeySet>[]
  /** Moves the time on, and waits for the fetches that this set off. */
  readonly pass: (ms: number) => Promise<void>
  readonly files: Map<string, Buffer>
}

async function bench(
  options: Partial<KeyKeeperOptions> = {},
  cacheFiles?: KeyCacheFiles,
  issuerOf?: TestIssuer,
  clock = new FakeClock(),
): Promise<Bench> {
  const issuer = issuerOf ?? (await TestIssuer.create(clock))
  const lines: Record<string, unknown>[] = []
  const files = new Map<string, Buffer>()
  const log = recordingLog(lines)
  const keeper = new KeyKeeper(
    { issuer: issuer.issuer, ...options },
    {
      clock,
      log,
      fetch: issuer.fetch,
      readFile: async (path) => {
        const file = files.get(path)
        if (file === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
        return Promise.resolve(file)
      },
      cache: cacheFiles === undefined ? null : new KeyCache('/var/keys', issuer.issuer, cacheFiles, log),
    },
  )
  const snapshots: Snapshot<KeySet>[] = []
  keeper.snapshots.subscribe((snapshot) => snapshots.push(snapshot))
  const pass = async (ms: number) => {
    await clock.advance(ms)
    await settle()
  }
  return { clock, issuer, keeper, lines, snapshots, pass, files }
}

const attempts = ({ counts }: KeyKeeper): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)
const started = async (made: Bench): Promise<Bench> => {
  made.keeper.start()
  await until(() => attempts(made.keeper) === 1)
  return made
}
const kids = ({ keeper }: Bench) => keeper.snapshots.current?.value.keys.map((key) => key.kid) ?? null

test('start blocks nobody: the keys are there when discovery and the key set have answered', async () => {
  const made = await bench()
  made.keeper.start()
  expect(kids(made)).toBeNull()
  expect(made.keeper.state).toMatchObject({ origin: 'none', hadKeys: false, ageMs: Infinity, failure: null })
  await until(() => made.keeper.counts.ok === 1)
  expect(kids(made)).toEqual(['rs256-1'])
  expect(made.keeper.state).toMatchObject({ origin: 'network', hadKeys: true, keyCount: 1, ageMs: 0 })
  expect(made.issuer.requests.map(({ url }) => url)).toEqual([made.issuer.discoveryUrl, made.issuer.jwksUri])
})

test.each([
  [0, 420_000],
  [0.5, 480_000],
  [0.9999, 539_988],
])('keys are refreshed at 80 ± 10 percent of ten minutes (random %d: after %d ms)', async (random, dueMs) => {
  const made = await bench()
  made.clock.randomValue = random
  await started(made)
  await made.pass(dueMs - 1)
  expect(attempts(made.keeper)).toBe(1)
  await made.pass(1)
  await until(() => attempts(made.keeper) === 2)
})

test('the generation changes only when the keys do; the age starts anew with each fetch', async () => {
  const made = await started(await bench())
  await made.pass(480_000)
  await until(() => made.keeper.counts.ok === 2)
  expect(made.snapshots.map(({ generation }) => generation)).toEqual([1])
  expect(made.keeper.state.ageMs).toBe(0)
  await made.issuer.addKey('ES256', 'new')
  await made.pass(480_000)
  await until(() => made.keeper.counts.ok === 3)
  expect(made.snapshots.map(({ generation, value }) => [generation, value.keys.length])).toEqual([
    [1, 1],
    [2, 2],
  ])
  // The address of the key set is remembered: discovery is asked once.
  expect(made.issuer.requestCount(made.issuer.discoveryUrl)).toBe(1)
})

test('an outage at the start: one attempt in 10 s, plus up to one second of jitter, until there are keys', async () => {
  const made = await bench()
  const comeBack = made.issuer.goDown()
  await started(made)
  expect(made.keeper.state.failure).toBe('idp_unreachable')
  for (let i = 2; i <= 5; i++) {
    await made.pass(10_499)
    expect(attempts(made.keeper)).toBe(i - 1)
    await made.pass(1)
    await until(() => attempts(made.keeper) === i)
  }
  expect(made.lines.filter(({ level }) => level === 'warn')).toMatchObject([
    { message: 'the keys cannot be fetched; no token of this issuer can be validated' },
  ])
  comeBack()
  await made.pass(10_500)
  await until(() => made.keeper.counts.ok === 1)
  expect(kids(made)).toEqual(['rs256-1'])
  expect(made.keeper.state.failure).toBeNull()
  expect(made.lines.at(-1)).toMatchObject({ level: 'info', message: 'keys can be fetched again' })
})

test('the last good keys stay through an outage of 24 h and no longer', async () => {
  const made = await started(await bench())
  made.issuer.goDown()
  await made.pass(86_399_999)
  expect(kids(made)).toEqual(['rs256-1'])
  expect(made.keeper.state).toMatchObject({
    origin: 'network',
    ageMs: 86_399_999,
    failure: 'idp_unreachable',
  })
  // Attempts back off to one in 30 … 60 s while there is something to go on with.
  expect(attempts(made.keeper)).toBeLessThan(86_400 / 30)
  await made.pass(1)
  expect(kids(made)).toEqual([])
  expect(made.snapshots.at(-1)?.generation).toBe(2)
  expect(made.keeper.state).toMatchObject({ origin: 'none', hadKeys: true, ageMs: Infinity, keyCount: 0 })
  expect(made.lines.at(-1)).toMatchObject({ level: 'error' })
}, 30_000)

test('key_max_stale is configurable, and keys that come back after it are published again', async () => {
  const made = await started(await bench({ maxStaleMs: 60_000, maxAgeMs: 30_000 }))
  const comeBack = made.issuer.goDown()
  await made.pass(60_000)
  expect(kids(made)).toEqual([])
  comeBack()
  await made.pass(60_000)
  await until(() => kids(made)?.length === 1)
})

test('who asks for newer keys gets a fetch, and everyone who asks meanwhile the same one', async () => {
  const made = await started(await bench())
  await made.pass(20_000)
  const askedAtMs = made.clock.wallMs()
  const reports = await Promise.all(Array.from({ length: 50 }, () => made.keeper.request({ waitMs: 0 })))
  expect(attempts(made.keeper)).toBe(2)
  expect(reports.every((report) => report.fetchStartedAtMs === askedAtMs && report.nextFetchInMs > 0)).toBe(
    true,
  )
})

test('the cooldown of 10 s is counted from the last attempt, failed or not', async () => {
  const made = await started(await bench())
  await made.pass(15_000)
  made.issuer.goDown()
  const ask = () => made.keeper.request({ waitMs: 0 })
  expect((await ask()).nextFetchInMs).toBe(FETCH_COOLDOWN_MS)
  expect(attempts(made.keeper)).toBe(2)
  await made.pass(4_000)
  expect((await ask()).nextFetchInMs).toBe(6_000)
  for (let i = 0; i < 1_000; i++) await ask()
  await made.pass(5_999)
  await ask()
  expect(attempts(made.keeper)).toBe(2)
  await made.pass(1)
  await ask()
  expect(attempts(made.keeper)).toBe(3)
})

test('who can wait until the cooldown ends does, and all of them share one fetch', async () => {
  const made = await started(await bench())
  await made.pass(8_500)
  const waiting = Promise.all([
    made.keeper.request({ waitMs: 2_000 }),
    made.keeper.request({ waitMs: 1_500 }),
    made.keeper.request({ waitMs: 1_499 }),
  ])
  await made.pass(1_500)
  const [first, second, hasty] = await waiting
  expect(attempts(made.keeper)).toBe(2)
  expect(first).toEqual(second)
  expect(first.fetchStartedAtMs).toBeGreaterThan(hasty.fetchStartedAtMs)
  expect(hasty.nextFetchInMs).toBe(1_500)
})

test.each<[string, (issuer: TestIssuer) => void, string, RegExp]>([
  [
    'is unreachable',
    (issuer) => void issuer.goDown(),
    'idp_unreachable',
    /cannot be reached \(ECONNREFUSED\)/,
  ],
  [
    'answers 503',
    (issuer) => issuer.routes.set(issuer.jwksUri, () => new Response('', { status: 503 })),
    'idp_status',
    /answered 503/,
  ],
  [
    'answers 429',
    (issuer) => issuer.routes.set(issuer.jwksUri, () => new Response('', { status: 429 })),
    'idp_rate_limited',
    /answered 429/,
  ],
  [
    'answers 204',
    (issuer) => issuer.routes.set(issuer.jwksUri, () => new Response(null, { status: 204 })),
    'idp_status',
    /answered 204/,
  ],
  [
    'answers HTML',
    (issuer) => issuer.routes.set(issuer.jwksUri, () => new Response('<html>login</html>')),
    'idp_malformed',
    /it is not JSON/,
  ],
  [
    'answers HTML to discovery',
    (issuer) => issuer.routes.set(issuer.discoveryUrl, () => new Response('<html>')),
    'idp_malformed',
    /not a JSON object/,
  ],
  [
    'answers a list to discovery',
    (issuer) => issuer.routes.set(issuer.discoveryUrl, () => json([])),
    'idp_malformed',
    /not a JSON object/,
  ],
  [
    'names no jwks_uri',
    (issuer) => issuer.routes.set(issuer.discoveryUrl, () => json({ issuer: issuer.issuer })),
    'idp_malformed',
    /names no jwks_uri/,
  ],
  [
    'is another issuer',
    (issuer) =>
      issuer.routes.set(issuer.discoveryUrl, () =>
        json({ ...issuer.discoveryDocument(), issuer: 'https://other.example' }),
      ),
    'idp_issuer_mismatch',
    /is of issuer "https:\/\/other.example", not of/,
  ],
  [
    'has a trailing slash in its issuer',
    (issuer) =>
      issuer.routes.set(issuer.discoveryUrl, () =>
        json({ ...issuer.discoveryDocument(), issuer: `${issuer.issuer}/` }),
      ),
    'idp_issuer_mismatch',
    /set issuer_url to the former/,
  ],
  [
    'has no issuer',
    (issuer) =>
      issuer.routes.set(issuer.discoveryUrl, () =>
        json({ ...issuer.discoveryDocument(), issuer: undefined }),
      ),
    'idp_issuer_mismatch',
    /is of issuer unknown/,
  ],
  [
    'keeps its keys behind plain http',
    (issuer) =>
      issuer.routes.set(issuer.discoveryUrl, () =>
        json({ ...issuer.discoveryDocument(), jwks_uri: 'http://idp.example/keys' }),
      ),
    'idp_malformed',
    /is not an https URL/,
  ],
  [
    'redirects to another host',
    (issuer) =>
      issuer.routes.set(
        issuer.jwksUri,
        () => new Response(null, { status: 302, headers: { location: 'https://evil.example/keys' } }),
      ),
    'idp_status',
    /redirects to another host/,
  ],
  [
    'redirects to plain http',
    (issuer) =>
      issuer.routes.set(
        issuer.jwksUri,
        () =>
          new Response(null, { status: 302, headers: { location: issuer.jwksUri.replace('https', 'http') } }),
      ),
    'idp_status',
    /redirects to another host/,
  ],
  [
    'redirects nowhere',
    (issuer) => issuer.routes.set(issuer.jwksUri, () => new Response(null, { status: 302 })),
    'idp_status',
    /redirects/,
  ],
  [
    'redirects for ever',
    (issuer) =>
      issuer.routes.set(
        issuer.jwksUri,
        () => new Response(null, { status: 307, headers: { location: issuer.jwksUri } }),
      ),
    'idp_status',
    /redirects more than 3 times/,
  ],
  [
    'has a certificate that nobody trusts',
    (issuer) =>
      issuer.routes.set(issuer.jwksUri, () => {
        throw new TypeError('fetch failed', { cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } })
      }),
    'idp_tls',
    /DEPTH_ZERO/,
  ],
  [
    'fails in an unusual way',
    (issuer) =>
      issuer.routes.set(issuer.jwksUri, () => {
        throw 'odd' as unknown as Error
      }),
    'idp_unreachable',
    /cannot be reached$/,
  ],
  [
    'has 65 keys',
    (issuer) =>
      issuer.routes.set(issuer.jwksUri, () =>
        json({ keys: Array.from({ length: 65 }, () => issuer.keys[0]!.publicJwk) }),
      ),
    'idp_malformed',
    /65 keys/,
  ],
  [
    'has private keys only',
    (issuer) =>
      issuer.routes.set(issuer.jwksUri, () => json({ keys: [{ ...issuer.keys[0]!.publicJwk, d: 'AQAB' }] })),
    'idp_malformed',
    /holds a private key/,
  ],
  [
    'sends more than 1 MiB',
    (issuer) => issuer.routes.set(issuer.jwksUri, () => new Response(' '.repeat(1_048_577))),
    'idp_malformed',
    /holds more than 1 MiB/,
  ],
  [
    'breaks off',
    (issuer) =>
      issuer.routes.set(
        issuer.jwksUri,
        () =>
          new Response(
            new ReadableStream({ start: (controller) => controller.error(new TypeError('terminated')) }),
          ),
      ),
    'idp_unreachable',
    /cannot be reached/,
  ],
])('a provider that %s leaves the last good keys in place', async (_what, spoil, failure, message) => {
  const cold = await bench()
  spoil(cold.issuer)
  await started(cold)
  expect(cold.keeper.state).toMatchObject({ failure, keyCount: 0 })
  const line = cold.lines.find((fields) => fields['reason'] === failure)
  expect(String(line?.['err'])).toMatch(message)
  expect(line?.['message']).toContain('no token of this issuer can be validated')

  const warm = await started(await bench({ jwksUri: null }))
  spoil(warm.issuer)
  await warm.pass(480_000)
  await until(() => attempts(warm.keeper) === 2)
  expect(kids(warm)).toEqual(['rs256-1'])
})

test('a provider that does not answer within 5 s is given up, and asked to stop', async () => {
  const made = await bench()
  let signal: AbortSignal | null | undefined = null
  made.issuer.routes.set(made.issuer.jwksUri, (_url, init) => {
    signal = init.signal
    return new Promise<Response>(() => {})
  })
  made.keeper.start()
  await made.pass(4_999)
  expect(attempts(made.keeper)).toBe(0)
  await made.pass(1)
  await until(() => attempts(made.keeper) === 1)
  expect(made.keeper.state.failure).toBe('idp_timeout')
  expect((signal as AbortSignal | null)?.aborted).toBe(true)
})

test('redirects within the origin are followed, and any content type is taken for JSON', async () => {
  const made = await bench()
  const moved = `${made.issuer.issuer}/moved`
  made.issuer.routes.set(
    made.issuer.jwksUri,
    () => new Response(null, { status: 301, headers: { location: moved } }),
  )
  made.issuer.routes.set(
    moved,
    () => new Response(JSON.stringify(made.issuer.jwks()), { headers: { 'content-type': 'text/html' } }),
  )
  await started(made)
  expect(made.keeper.state.failure).toBeNull()
  expect(kids(made)).toEqual(['rs256-1'])
})

test('a set is taken with its usable keys, and the others are named in the log', async () => {
  const made = await bench()
  made.issuer.routes.set(made.issuer.jwksUri, () =>
    json({ keys: [{ kty: 'oct', k: 'x', kid: 'secret' }, made.issuer.keys[0]!.publicJwk] }),
  )
  await started(made)
  expect(kids(made)).toEqual(['rs256-1'])
  expect(made.lines.find((line) => 'left_out' in line)).toMatchObject({
    left_out: ['kid "secret": a symmetric key'],
  })
})

test('a key set that moves is found by discovery at the next attempt', async () => {
  const made = await started(await bench())
  const moved = `${made.issuer.issuer}/v2/keys`
  made.issuer.routes.delete(made.issuer.jwksUri)
  made.issuer.routes.set(made.issuer.discoveryUrl, () =>
    json({ ...made.issuer.discoveryDocument(), jwks_uri: moved }),
  )
  made.issuer.routes.set(moved, () => json(made.issuer.jwks()))
  await made.pass(480_000)
  await until(() => attempts(made.keeper) === 2)
  expect(made.keeper.state.failure).toBe('idp_status')
  await made.pass(20_000)
  await until(() => made.keeper.counts.ok === 2)
})

test('jwks_uri and discovery_url may be elsewhere than the issuer', async () => {
  const made = await bench({ jwksUri: 'https://keycloak.internal/keys' })
  made.issuer.routes.set('https://keycloak.internal/keys', () => json(made.issuer.jwks()))
  await started(made)
  expect(made.keeper.counts.ok).toBe(1)
  expect(made.issuer.requestCount(made.issuer.discoveryUrl)).toBe(0)
  const other = await bench({ discoveryUrl: 'https://keycloak.internal/discovery' })
  other.issuer.routes.set('https://keycloak.internal/discovery', () => json(other.issuer.discoveryDocument()))
  await started(other)
  expect(other.keeper.counts.ok).toBe(1)
})

test.each([
  ['https://idp.example/x', false, true],
  ['http://idp.example/x', false, false],
  ['http://idp.example/x', true, true],
  ['http://localhost:8080/x', false, true],
  ['http://127.0.0.1:8080/x', false, true],
  ['http://[::1]:8080/x', false, true],
  ['http://127.0.0.1.evil.example/x', false, false],
  ['https://user:secret@idp.example/x', false, false],
  ['file:///etc/passwd', true, false],
  ['not a url', true, false],
])('%s with plain http allowed %s: %s', async (url, allowsHttp, isAllowed) => {
  const made = await bench({ jwksUri: url, allowsHttp })
  made.issuer.routes.set(url, () => json(made.issuer.jwks()))
  await started(made)
  expect(made.keeper.counts.ok === 1).toBe(isAllowed)
})

test('a local file in place of the network: read at the start, every 30 s, and when its watcher says so', async () => {
  const made = await bench({ publicKeysFile: '/etc/keys.json' })
  const write = (value: unknown) => made.files.set('/etc/keys.json', Buffer.from(JSON.stringify(value)))
  write(made.issuer.jwks())
  await started(made)
  expect(made.keeper.state).toMatchObject({ origin: 'file', keyCount: 1 })
  expect(made.issuer.requests).toEqual([])
  await made.issuer.addKey('ES256', 'two')
  write(made.issuer.jwks())
  await made.keeper.reload()
  expect(kids(made)).toEqual(['rs256-1', 'two'])
  write({ keys: [] })
  await made.pass(30_000)
  await until(() => attempts(made.keeper) === 3)
  expect(made.keeper.state.failure).toBe('idp_malformed')
  made.files.delete('/etc/keys.json')
  await made.keeper.reload()
  expect(made.keeper.state.failure).toBe('keys_unreadable')
  made.files.set('/etc/keys.json', Buffer.alloc(1_048_577, ' '))
  await made.keeper.reload()
  expect(made.keeper.state.failure).toBe('idp_malformed')
  expect(kids(made)).toEqual(['rs256-1', 'two'])
})

test('a suspend or a jump of the wall clock makes no storm and drops no keys', async () => {
  const made = await started(await bench())
  made.clock.jumpWall(3_600_000)
  await made.pass(1_000)
  made.clock.jumpWall(-90_000_000)
  await made.pass(1_000)
  expect(attempts(made.keeper)).toBe(1)
  expect(kids(made)).toEqual(['rs256-1'])
})

test('a keeper that is closed has no timers, and a fetch under way has no effect', async () => {
  const made = await started(await bench())
  made.keeper.close()
  expect(made.clock.timerCount).toBe(0)
  expect(await made.keeper.request({ waitMs: 2_000 })).toMatchObject({ nextFetchInMs: 10_000 })
  const other = await bench()
  other.keeper.start()
  other.keeper.close()
  await until(() => other.issuer.requests.length === 2)
  await settle()
  expect(kids(other)).toBeNull()
  expect(other.clock.timerCount).toBe(0)
})
