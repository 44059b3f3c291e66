import { expect, test } from 'vitest'
import { OAuthTokenSource, TokenKeeper } from '../../../src/auth/index.ts'
import type { OAuthTokenOptions, TokenKeeperOptions, TokenRequest } from '../../../src/auth/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import {
  FakeFiles,
  ISSUER,
  RecordingLog,
  TokenEndpoint,
  connectionError,
  json,
  tokenAnswer,
} from '../../support/token-endpoint.ts'

const NEED: TokenRequest = { rejectedGeneration: null, waitMs: 2_000 }

function setUp(keeper: Partial<TokenKeeperOptions> = {}, source: Partial<OAuthTokenOptions> = {}) {
  const clock = new FakeClock()
  const endpoint = new TokenEndpoint()
  const log = new RecordingLog()
  const files = new FakeFiles({ '/secret': 's3cret\n' })
  const tokens = new OAuthTokenSource({
    grant: { kind: 'client_credentials' },
    issuerUrl: ISSUER,
    discoveryUrl: null,
    tokenUrl: null,
    clientId: { value: 'workload' },
    authentication: { kind: 'basic', clientSecret: { file: '/secret' } },
    scopes: [],
    endpointParams: {},
    allowsPlainHttp: false,
    fetch: endpoint.fetch,
    readFile: files.read,
    clock,
    ...source,
  })
  const subject = new TokenKeeper({ identity: 'main', source: tokens, clock, log, ...keeper })
  return { clock, endpoint, log, files, keeper: subject }
}

const current = (keeper: TokenKeeper) => keeper.tokens.current?.value.accessToken
const attemptTimes = async (clock: FakeClock, endpoint: TokenEndpoint, stepMs: number, untilMs: number) => {
  const seen: number[] = []
  let count = endpoint.requests.length
  for (let atMs = stepMs; atMs <= untilMs; atMs += stepMs) {
    await clock.advance(stepMs)
    for (; count < endpoint.requests.length; count++) seen.push(atMs)
  }
  return seen
}

test('a started keeper gets a token in the background and publishes it', async () => {
  const { keeper, clock } = setUp()
  const startMs = clock.nowMs()
  keeper.start()
  expect(keeper.tokens.current).toBeNull()
  await settle()
  expect(keeper.tokens.current).toEqual({
    generation: 1,
    value: {
      identity: 'main',
      accessToken: 'token-1',
      lifeMs: 300_000,
      usableUntilMs: startMs + 290_000,
      usableUntilWallMs: clock.wallMs() + 290_000,
      expiresAtWallMs: clock.wallMs() + 300_000,
      certificateSha256: null,
    },
  })
  expect(keeper.degraded).toBeNull()
  expect(JSON.parse(JSON.stringify(keeper.tokens.current))).toEqual(keeper.tokens.current)
})
