import http2 from 'node:http2'
import type { ServerHttp2Stream } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { retryInfoDetails } from '../../../src/grpc/index.ts'
import { prepareGround, SHAPES, startPair, waitFor } from '../../support/gateway-pair.ts'
import type { GatewayPair, PairGround } from '../../support/gateway-pair.ts'
import type { GrpcCaller, Outcome } from '../../support/grpc-peer.ts'
import {
  callOn,
  connectNodeHttp2,
  dial,
  framed,
  headOf,
  MessageReader,
  serveRaw,
} from '../../support/node-http2-kit.ts'
import type { RawServed } from '../../support/node-http2-kit.ts'

const OK = 0
const RESOURCE_EXHAUSTED = 8
const UNAVAILABLE = 14
const HEAD = { ':status': 200, 'content-type': 'application/grpc' }
const { constants } = http2

/** Answers in good order, with what was asked. */
async function answer(stream: ServerHttp2Stream): Promise<void> {
  const message = await new MessageReader(stream).next()
  if (stream.destroyed) return
  stream.respond(HEAD, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(framed(message ?? Buffer.alloc(0)))
}

/** Whole seconds of the RetryInfo in `outcome`, found by comparing with all that authgw may say; null without. */
function retrySecondsOf({ status, message, trailers }: Outcome): number | null {
  const details = trailers['grpc-status-details-bin']?.[0]
  if (details === undefined) return null
  const seconds = Array.from({ length: 11 }, (_, i) => i)
  return seconds.find((s) => retryInfoDetails(status, s, message) === base64Of(details)) ?? NaN
}

const base64Of = (value: string | Buffer): string => (value as Buffer).toString('base64').replace(/=+$/, '')

let ground: PairGround
beforeAll(async () => {
  ground = await prepareGround()
})
afterAll(() => ground.close())

describe.each(SHAPES)('%s', (shape) => {
  let served: RawServed
  let pair: GatewayPair
  let caller: GrpcCaller
  let respond: (stream: ServerHttp2Stream, raw: readonly string[]) => unknown = answer

  /** Calls once with this answer. */
  const callWith = (reply: (stream: ServerHttp2Stream) => void): Promise<Outcome> => {
    respond = (stream) => {
      stream.resume()
      stream.once('end', () => reply(stream))
    }
    return caller.unary(Buffer.from('m'))
  }
  const expectService = async (): Promise<void> => {
    respond = answer
    expect((await caller.unary(Buffer.from('still here'))).replies.map(String)).toEqual(['still here'])
  }

  beforeAll(async () => {
    served = await serveRaw((stream, raw) => void respond(stream, raw), {
      maxSendHeaderBlockLength: 1024 * 1024,
    })
    pair = await startPair(ground, shape, served.port)
    caller = connectNodeHttp2(pair.ingress, { maxSendHeaderBlockLength: 1024 * 1024 })
  })
  afterAll(async () => {
    await expectService()
    await pair.checkAtRest()
    caller.close()
    await pair.close()
    await served.close()
  })

  test('trailers-only stays one HEADERS frame with END_STREAM', async () => {
    const outcome = await callWith((stream) =>
      stream.respond({ ...HEAD, 'grpc-status': '5', 'x-why': 'gone' }, { endStream: true }),
    )
    expect([outcome.status, outcome.head, outcome.trailers['x-why']]).toEqual([5, {}, ['gone']])
  })

  test('interim 1xx answers are not passed on and harm nothing', async () => {
    const outcome = await callWith((stream) => {
      stream.additionalHeaders({ ':status': 103, 'x-early': 'hint' })
      stream.additionalHeaders({ ':status': 100 })
      stream.respond({ ...HEAD, 'x-late': 'head' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(framed(Buffer.from('m')))
    })
    expect([outcome.status, outcome.head['x-late'], outcome.head['x-early']]).toEqual([
      OK,
      ['head'],
      undefined,
    ])
  })

  test('an answer that ends without trailers is UNAVAILABLE, with and without messages', async () => {
    for (const octets of [framed(Buffer.from('m')), Buffer.alloc(0)]) {
      const outcome = await callWith((stream) => {
        stream.respond(HEAD)
        stream.end(octets)
      })
      expect([outcome.status, retrySecondsOf(outcome)]).toEqual([UNAVAILABLE, 1])
    }
  })

  test.each(['', '01', 'ok', '-1', '4294967296'])('a grpc-status of %j is UNAVAILABLE', async (status) => {
    const outcome = await callWith((stream) =>
      stream.respond({ ...HEAD, 'grpc-status': status }, { endStream: true }),
    )
    expect(outcome.status).toBe(UNAVAILABLE)
  })

  test.each([
    [500, UNAVAILABLE, 1],
    [502, UNAVAILABLE, 1],
    [503, UNAVAILABLE, 1],
    [408, UNAVAILABLE, 1],
    [429, UNAVAILABLE, 1],
    [401, UNAVAILABLE, 10],
    [403, UNAVAILABLE, 10],
    [404, UNAVAILABLE, 10],
    [415, UNAVAILABLE, 10],
    [413, RESOURCE_EXHAUSTED, null],
  ])(
    'HTTP %i without a gRPC status becomes status %i with RetryInfo of %s s',
    async (http, status, seconds) => {
      for (const hasBody of [false, true]) {
        const outcome = await callWith((stream) => {
          stream.respond({ ':status': http, 'content-type': 'text/html' }, { endStream: !hasBody })
          if (hasBody) stream.end('<html>no gRPC here</html>')
        })
        expect([outcome.status, retrySecondsOf(outcome)]).toEqual([status, seconds])
        expect(outcome.head[':status'] ?? outcome.trailers[':status']).toEqual(['200'])
      }
    },
  )

  test('no RST_STREAM code of the server reaches the caller: each is UNAVAILABLE', async () => {
    const harmful = Array.from({ length: 14 }, (_, code) => code).filter(
      (code) => code !== constants.NGHTTP2_REFUSED_STREAM,
    )
    for (const isLate of [false, true]) {
      for (const code of harmful) {
        const outcome = await callWith((stream) => {
          if (isLate) stream.respond(HEAD)
          if (isLate) stream.write(framed(Buffer.from('so far')), () => stream.close(code))
          else stream.close(code)
        })
        expect([code, outcome.status]).toEqual([code, UNAVAILABLE])
      }
    }
  })

  test('calls that the server refuses unseen (REFUSED_STREAM) are sent again, whole', async () => {
    const seen = new Map<string, number>()
    respond = (stream, raw) => {
      const id = raw[raw.indexOf('x-id') + 1]!
      seen.set(id, (seen.get(id) ?? 0) + 1)
      if (seen.get(id)! < 3) stream.close(constants.NGHTTP2_REFUSED_STREAM)
      else void answer(stream)
    }
    const messages = Array.from({ length: 20 }, (_, i) => Buffer.alloc(20_000, i))
    const outcomes = await Promise.all(
      messages.map((message, i) => caller.unary(message, { metadata: { 'x-id': [String(i)] } })),
    )
    for (const [i, { status, replies }] of outcomes.entries()) {
      expect([i, status]).toEqual([i, OK])
      expect(replies[0]!.equals(messages[i]!)).toBe(true)
    }
    expect([...seen.values()]).toEqual(messages.map(() => 3))
  })

  test('a server that refuses for ever gets a few tries, and the caller UNAVAILABLE', async () => {
    let tries = 0
    respond = (stream) => {
      tries++
      stream.close(constants.NGHTTP2_REFUSED_STREAM)
    }
    expect((await caller.unary(Buffer.from('m'))).status).toBe(UNAVAILABLE)
    expect(tries).toBeGreaterThan(1)
    expect(tries).toBeLessThanOrEqual(16)
  })

  test('a GOAWAY in the middle loses no call that the server had not begun, and begins none twice', async () => {
    const CALLS = 20
    const BEGUN = 8
    const begunTwice: string[] = []
    const begun = new Set<string>()
    const first: { stream: ServerHttp2Stream; id: string }[] = []
    let firstSession: http2.ServerHttp2Session | null = null
    const begin = (stream: ServerHttp2Stream, id: string): void => {
      if (begun.has(id)) begunTwice.push(id)
      begun.add(id)
      void answer(stream)
    }
    respond = (stream, raw) => {
      const id = raw[raw.indexOf('x-id') + 1]!
      const session = stream.session as http2.ServerHttp2Session
      firstSession ??= session
      if (session !== firstSession) return begin(stream, id)
      first.push({ stream, id })
      if (first.length < CALLS) return
      const last = first[BEGUN - 1]!.stream.id!
      session.goaway(constants.NGHTTP2_NO_ERROR, last)
      setTimeout(() => first.slice(0, BEGUN).forEach((one) => begin(one.stream, one.id)), 50)
    }
    const outcomes = await Promise.all(
      Array.from({ length: CALLS }, (_, i) =>
        caller.unary(Buffer.from(`call ${i}`), { metadata: { 'x-id': [String(i)] } }),
      ),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(Array.from({ length: CALLS }, () => OK))
    expect(outcomes.map(({ replies }) => String(replies[0]))).toEqual(
      Array.from({ length: CALLS }, (_, i) => `call ${i}`),
    )
    expect(begunTwice).toEqual([])
    expect(begun.size).toBe(CALLS)
  })

  test('a server that closes in good order finishes what it has, and the next call takes a new connection', async () => {
    let sessionCount = 0
    const sessions = new Set<unknown>()
    respond = async (stream) => {
      if (!sessions.has(stream.session)) sessionCount = sessions.add(stream.session).size
      stream.session!.close()
      await sleep(20)
      await answer(stream)
    }
    for (let i = 0; i < 5; i++) {
      const { status, message } = await caller.unary(Buffer.from('m'))
      expect([i, status, message]).toEqual([i, OK, ''])
    }
    expect(sessionCount).toBe(5)
  })

  test('a lost connection ends all its calls UNAVAILABLE at once', async () => {
    let open = 0
    respond = (stream) => {
      stream.respond(HEAD)
      if (++open === 30) for (const session of served.sessions) session.destroy()
    }
    const startMs = performance.now()
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => caller.unary(Buffer.alloc(1000))))
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => UNAVAILABLE))
    expect(performance.now() - startMs).toBeLessThan(2000)
    await expectService()
  })

  test('a caller that vanishes with calls open is forgotten: the server sees each end, all credit is back', async () => {
    const ended: Promise<unknown>[] = []
    respond = (stream) => {
      ended.push(new Promise((resolve) => stream.once('close', resolve)))
      stream.respond(HEAD)
    }
    const other = connectNodeHttp2(pair.ingress)
    const calls = Array.from({ length: 30 }, () => other.open())
    for (const call of calls) await call.send(Buffer.alloc(3000))
    await waitFor(() => ended.length === 30, 2000, 'all calls have begun')
    other.close()
    await Promise.all(ended)
    await pair.checkAtRest()
    expect(await pair.metric('authgw_open_calls')).toBe(0)
  })

  test('headers beyond the limit are RESOURCE_EXHAUSTED without RetryInfo, and the connection lives on', async () => {
    respond = answer
    const metadata = Object.fromEntries(['a', 'b', 'c'].map((x) => [`x-${x}`, [x.repeat(25_000)]]))
    const before = await pair.metric('authgw_ingress_connections')
    const outcome = await caller.unary(Buffer.from('m'), { metadata })
    expect([outcome.status, retrySecondsOf(outcome)]).toEqual([RESOURCE_EXHAUSTED, null])
    const fits = await caller.unary(Buffer.from('m'), { metadata: { 'x-a': ['a'.repeat(25_000)] } })
    expect(fits.status).toBe(OK)
    expect(await pair.metric('authgw_ingress_connections')).toBe(before)
  })

  test('trailers beyond the limit are RESOURCE_EXHAUSTED without RetryInfo', async () => {
    const outcome = await callWith((stream) => {
      stream.respond(HEAD, { waitForTrailers: true })
      const large = Object.fromEntries(['a', 'b', 'c'].map((x) => [`x-${x}`, x.repeat(25_000)]))
      stream.on('wantTrailers', () => stream.sendTrailers({ ...large, 'grpc-status': '0' }))
      stream.end()
    })
    expect([outcome.status, retrySecondsOf(outcome)]).toEqual([RESOURCE_EXHAUSTED, null])
  })

  test('compressed messages pass untouched, flag and octets', async () => {
    const octets = framed(Buffer.from('this is no gzip, and nobody between looks'), true)
    let seen = Buffer.alloc(0)
    let encoding = ''
    respond = (stream, raw) => {
      encoding = raw[raw.indexOf('grpc-encoding') + 1]!
      stream.on('data', (chunk: Buffer) => (seen = Buffer.concat([seen, chunk])))
      stream.once('end', () => {
        stream.respond({ ...HEAD, 'grpc-encoding': 'gzip' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(seen)
      })
    }
    const session = dial(pair.ingress)
    const stream = session.request({ ...headOf(pair.ingress), 'grpc-encoding': 'gzip' })
    stream.end(octets)
    const { status, head } = await callOn(stream).outcome
    session.destroy()
    expect([status, encoding, head['grpc-encoding']]).toEqual([OK, 'gzip', ['gzip']])
    expect(seen.equals(octets)).toBe(true)
  })

  test('trailers of the request are dropped, its end is not', async () => {
    respond = answer
    const session = dial(pair.ingress)
    const stream = session.request(headOf(pair.ingress), { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-late': '1' }))
    stream.end(framed(Buffer.from('m')))
    expect((await callOn(stream).outcome).replies.map(String)).toEqual(['m'])
    session.destroy()
  })

  test('what is not gRPC gets HTTP 415, and a path that is no method UNIMPLEMENTED', async () => {
    respond = () => expect.unreachable('neither is forwarded')
    const session = dial(pair.ingress)
    const head = headOf(pair.ingress)
    for (const [change, expected] of [
      [{ 'content-type': 'application/json' }, ['415', '3']],
      [{ ':path': '/authgw.test.Interop/../Call' }, ['200', '12']],
      [{ ':path': '//authgw.test.Interop/Call' }, ['200', '12']],
    ] as const) {
      const { trailers } = await callOn(session.request({ ...head, ...change })).outcome
      expect([trailers[':status']?.[0], trailers['grpc-status']?.[0]]).toEqual(expected)
    }
    session.destroy()
  })

  test('PINGs of a careful client are answered, with calls open and without', async () => {
    respond = (stream) => stream.respond(HEAD)
    const session = dial(pair.ingress)
    let goaways = 0
    session.on('goaway', () => goaways++)
    await new Promise((resolve) => session.once('connect', resolve))
    const ping = (): Promise<number> =>
      new Promise((resolve, reject) => {
        session.ping((error, ms) => (error === null ? resolve(ms) : reject(error)))
      })
    for (let i = 0; i < 20; i++) await ping()
    const stream = session.request(headOf(pair.ingress))
    stream.on('error', () => {})
    for (let i = 0; i < 20; i++) {
      await ping()
      await sleep(10)
    }
    expect([goaways, session.closed]).toEqual([0, false])
    session.destroy()
  })

  test('padding and windows of a few octets are met with patience, and no credit is lost', async () => {
    const picky = await serveRaw((stream) => void answer(stream), {
      settings: { initialWindowSize: 100, maxConcurrentStreams: 1000 },
      paddingStrategy: constants.PADDING_STRATEGY_MAX,
    })
    const own = await startPair(ground, shape, picky.port)
    const narrow = connectNodeHttp2(own.ingress, {
      settings: { initialWindowSize: 100 },
      paddingStrategy: constants.PADDING_STRATEGY_MAX,
    })
    const message = Buffer.alloc(20_000, 'abc')
    const { status, replies } = await narrow.unary(message)
    expect([status, replies[0]!.equals(message)]).toEqual([OK, true])
    await own.checkAtRest()
    narrow.close()
    await own.close()
    await picky.close()
  })

  test('a server that takes only small heads gets no larger ones', async () => {
    const small = await serveRaw((stream) => void answer(stream), { settings: { maxHeaderListSize: 4096 } })
    const own = await startPair(ground, shape, small.port)
    const client = connectNodeHttp2(own.ingress)
    const outcome = await client.unary(Buffer.from('m'), { metadata: { 'x-a': ['a'.repeat(6000)] } })
    expect([outcome.status, retrySecondsOf(outcome)]).toEqual([RESOURCE_EXHAUSTED, null])
    expect((await client.unary(Buffer.from('m'))).status).toBe(OK)
    client.close()
    await own.close()
    await small.close()
  })
})
