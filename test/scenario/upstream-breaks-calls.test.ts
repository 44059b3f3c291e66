/**
 * Rows 14 to 18 of the no-loss contract: the upstream refuses streams, leaves, dies, or says what no gRPC server says.
 */
import http2 from 'node:http2'
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { waitFor } from '../support/gateway-pair.ts'
import { framed, serveRaw } from '../support/node-http2-kit.ts'
import type { RawServed } from '../support/node-http2-kit.ts'
import { openStage } from '../support/scenario-stage.ts'
import type { Stage, StageShape } from '../support/scenario-stage.ts'

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_PROTOCOL_ERROR } = http2.constants
const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_NO_ERROR } = http2.constants
const GRPC = { ':status': 200, 'content-type': 'application/grpc' }
const CLOSED = { status: 'UNAVAILABLE', reason: 'egress_closed', retrySeconds: 1 }

const succeed = (stream: ServerHttp2Stream): void =>
  stream.respond({ ...GRPC, 'grpc-status': '0' }, { endStream: true })

describe.each(['workload', 'control_plane'] as const)('%s', (shape: StageShape) => {
  let stage: Stage
  let served: RawServed
  let seenCount = 0
  let onStream: (stream: ServerHttp2Stream, count: number) => void

  beforeAll(async () => {
    served = await serveRaw((stream) => onStream(stream, ++seenCount))
    stage = await openStage({ shape, upstreamPort: served.port })
  })
  afterAll(async () => {
    await stage[Symbol.asyncDispose]()
    await served.close()
  })
  beforeEach(() => {
    seenCount = 0
    onStream = succeed
  })

  // Row 14.

  test('a stream that is refused is sent again: the caller notices nothing', async () => {
    onStream = (stream, count) => (count === 1 ? stream.close(NGHTTP2_REFUSED_STREAM) : succeed(stream))
    expect(await stage.call()).toMatchObject({ status: 'OK', reason: null })
    expect(seenCount).toBe(2)
  })

  test('an upstream that refuses every stream: put off, after a few tries', async () => {
    onStream = (stream) => stream.close(NGHTTP2_REFUSED_STREAM)
    expect(await stage.call()).toMatchObject({ status: 'UNAVAILABLE' })
    expect(seenCount).toBeLessThanOrEqual(5)
  })

  test('a GOAWAY below the stream: the call goes out again on a new connection', async () => {
    // Not the first of its connection: node:http2 cannot say that it has seen none.
    expect((await stage.call()).status).toBe('OK')
    onStream = (stream, count) => {
      if (count > 2) return succeed(stream)
      const { session } = stream
      session!.goaway(NGHTTP2_NO_ERROR, stream.id! - 2)
      setTimeout(() => session!.destroy(), 50)
    }
    expect(await stage.call()).toMatchObject({ status: 'OK', reason: null })
  })

  test('a GOAWAY above the stream lets it finish, and the next call goes elsewhere', async () => {
    onStream = (stream, count) => {
      if (count > 1) return succeed(stream)
      stream.session!.goaway(NGHTTP2_NO_ERROR, stream.id)
      setTimeout(() => succeed(stream), 100)
    }
    expect((await stage.call()).status).toBe('OK')
    expect((await stage.call()).status).toBe('OK')
    expect(seenCount).toBe(2)
  })

  // Row 15.

  test.each([
    ['INTERNAL_ERROR', NGHTTP2_INTERNAL_ERROR],
    ['PROTOCOL_ERROR', NGHTTP2_PROTOCOL_ERROR],
    ['ENHANCE_YOUR_CALM', NGHTTP2_ENHANCE_YOUR_CALM],
    ['FLOW_CONTROL_ERROR', NGHTTP2_FLOW_CONTROL_ERROR],
  ])('RST_STREAM %s before the head: put off', async (_name, code) => {
    onStream = (stream) => stream.close(code)
    expect(await stage.call()).toMatchObject(CLOSED)
  })

  test('RST_STREAM after the head: put off in the trailers', async () => {
    onStream = (stream) => {
      stream.respond(GRPC)
      stream.write(framed(Buffer.from('half')))
      // close() would end the stream in good order first; destroy() resets it with INTERNAL_ERROR.
      setTimeout(() => stream.destroy(new Error('the server gives up')), 30)
    }
    expect(await stage.call()).toMatchObject(CLOSED)
  })

  test.each([
    ['before the head', false],
    ['after the head', true],
  ])('an upstream that dies %s: put off, and the next call finds it again', async (_name, hasHead) => {
    onStream = (stream) => {
      if (hasHead) stream.respond(GRPC)
      setTimeout(() => stream.session!.socket.destroy(), hasHead ? 30 : 0)
    }
    expect(await stage.call()).toMatchObject(CLOSED)
    onStream = succeed
    const diedAtMs = performance.now()
    await waitFor(async () => (await stage.call()).status === 'OK', 3_000, 'calls pass again')
    expect(performance.now() - diedAtMs).toBeLessThan(2_000)
  })

  // Row 16.

  test('an answer that ends without trailers: put off', async () => {
    onStream = (stream) => {
      stream.respond(GRPC)
      stream.end(framed(Buffer.from('no status')))
    }
    expect(await stage.call()).toMatchObject({ status: 'UNAVAILABLE', reason: 'egress_malformed' })
  })

  test.each(['banana', '', '007', '-1', '99999999999'])('grpc-status %j: put off', async (text) => {
    onStream = (stream) => stream.respond({ ...GRPC, 'grpc-status': text }, { endStream: true })
    const answer = await stage.call()
    expect(answer).toMatchObject({ status: 'UNAVAILABLE', reason: 'egress_malformed', retrySeconds: 1 })
  })

  // Row 17.

  const HTTP: readonly (readonly [number, string, string, number | null])[] = [
    [500, 'UNAVAILABLE', 'egress_http_error', 1],
    [502, 'UNAVAILABLE', 'egress_http_error', 1],
    [503, 'UNAVAILABLE', 'egress_http_error', 1],
    [504, 'UNAVAILABLE', 'egress_http_error', 1],
    [408, 'UNAVAILABLE', 'egress_http_error', 1],
    [429, 'UNAVAILABLE', 'egress_http_error', 1],
    [401, 'UNAVAILABLE', 'egress_misroute', 10],
    [403, 'UNAVAILABLE', 'egress_misroute', 10],
    [404, 'UNAVAILABLE', 'egress_misroute', 10],
    [415, 'UNAVAILABLE', 'egress_misroute', 10],
    [413, 'RESOURCE_EXHAUSTED', 'egress_too_large', null],
  ]

  test.each(HTTP)('HTTP %i without a grpc-status: %s', async (httpStatus, status, reason, retrySeconds) => {
    onStream = (stream) => {
      stream.respond({ ':status': httpStatus, 'content-type': 'text/html' })
      stream.end('<h1>No</h1>')
    }
    expect(await stage.call()).toMatchObject({ status, reason, retrySeconds })
  })

  // Row 18.

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])(
    'grpc-status %i is passed byte by byte, message, details and metadata included',
    async (code) => {
      const details = Buffer.from('any octets \u0000\u00ff, not even protobuf', 'latin1')
      const trailers: OutgoingHttpHeaders = {
        'grpc-status': String(code),
        'grpc-message': 'caf%C3%A9 %25 done',
        'grpc-status-details-bin': details.toString('base64'),
        'x-custom': 'kept',
      }
      onStream = (stream) => {
        stream.respond(GRPC, { waitForTrailers: true })
        stream.once('wantTrailers', () => stream.sendTrailers(trailers))
        stream.end()
      }
      const { outcome } = await stage.call({ parsesDetails: false })
      expect(outcome).toMatchObject({ status: code, message: 'café % done' })
      expect(outcome.trailers['grpc-status-details-bin']).toEqual([details])
      expect(outcome.trailers['x-custom']).toEqual(['kept'])
      expect(outcome.trailers).not.toHaveProperty('authgw-reason')
    },
  )

  test('nothing of it was a bug', async () => {
    expect(await stage.metric('authgw_bugs_total')).toBe(0)
  })
})

test('control_plane: UNAUTHENTICATED of the collector behind is passed as it is', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  stage.upstream.respond = (call) => call.finish(16, 'the collector has its own opinion')
  expect(await stage.call()).toMatchObject({
    status: 'UNAUTHENTICATED',
    message: 'the collector has its own opinion',
    reason: null,
  })
})
