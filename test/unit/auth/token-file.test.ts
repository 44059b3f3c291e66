import { describe, expect, test } from 'vitest'
import { TokenFileSource, TokenKeeper } from '../../../src/auth/index.ts'
import type { TokenRequest } from '../../../src/auth/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { FakeFiles, jwt, RecordingLog } from '../../support/token-endpoint.ts'

const NEED: TokenRequest = { rejectedGeneration: null, waitMs: 2_000 }
const current = (keeper: TokenKeeper) => keeper.tokens.current?.value.accessToken

describe('a token from a file', () => {
  const fileKeeper = (text: string) => {
    const clock = new FakeClock()
    const disk = new FakeFiles({ '/token': text })
    const log = new RecordingLog()
    const source = new TokenFileSource({ file: '/token', readFile: disk.read, clock })
    const keeper = new TokenKeeper({ identity: 'main', source, clock, log })
    keeper.start()
    return { clock, files: disk.files, keeper, log }
  }
  const expiringIn = (clock: FakeClock, seconds: number, name: string): string =>
    jwt({ exp: clock.wallMs() / 1000 + seconds, name })

  test('a JWT lives until its exp; a changed file is noticed within 30 s', async () => {
    const { clock, files, keeper } = fileKeeper(jwt({ exp: Date.UTC(2026, 10, 22) / 1000 + 600 }))
    await settle()
    expect(keeper.tokens.current!.value.lifeMs).toBe(600_000)
    files['/token'] = expiringIn(clock, 900, 'second')
    await clock.advance(29_999)
    expect(keeper.tokens.current!.generation).toBe(1)
    await clock.advance(1)
    expect(keeper.tokens.current!.generation).toBe(2)
    expect(keeper.tokens.current!.value.lifeMs).toBe(870_000)
  })

  test('an unchanged file causes no new generation, an opaque token serves as long as it stands', async () => {
    const { clock, keeper } = fileKeeper('Bearer opaque\n')
    await clock.advance(3_600_000)
    expect(current(keeper)).toBe('opaque')
    expect(keeper.tokens.current!.generation).toBe(1)
    await clock.advance(24 * 3_600_000)
    expect((await keeper.requestToken(NEED)).kind).toBe('token')
    expect(keeper.tokens.current!.generation).toBeLessThan(5)
  })

  test('an expired token and a missing file are told apart', async () => {
    const { clock, files, keeper } = fileKeeper(jwt({ exp: 1 }))
    await settle()
    expect(keeper.degraded?.reason).toBe('token_unusable')
    delete files['/token']
    await clock.advance(11_000)
    expect(keeper.degraded?.reason).toBe('secret_unreadable')
    files['/token'] = expiringIn(clock, 600, 'third')
    await clock.advance(22_000)
    expect(keeper.degraded).toBeNull()
  })

  test('a file with a line break inside is unusable', async () => {
    const { keeper } = fileKeeper('one\ntwo')
    await settle()
    expect(keeper.degraded?.reason).toBe('token_unusable')
  })
})
