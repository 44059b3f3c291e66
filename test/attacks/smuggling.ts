/** Attacks on what two parsers may read differently: none of these may reach the upstream. */
import { block, head } from './attack.ts'
import type { Attack, AttackGround } from './attack.ts'
import { literals } from '../support/h2-pair.ts'
import type { Fields } from '../support/h2-pair.ts'

type Edit = (fields: Fields) => Fields

const add =
  (...more: Fields): Edit =>
  (fields) => [...fields, ...more]
const put =
  (name: string, value: string): Edit =>
  (fields) =>
    fields.map((field) => (field[0] === name ? ([name, value] as const) : field))
const without =
  (name: string): Edit =>
  (fields) =>
    fields.filter((field) => field[0] !== name)

/** Heads that are malformed, or mean something else to another parser. */
const HEADS: Readonly<Record<string, Edit>> = {
  'CR LF in a value': add(['x-a', 'b\r\nx-authgw-subject: root']),
  'LF in a value': add(['x-a', 'b\nc']),
  'NUL in a value': add(['x-a', 'b\0c']),
  'space before a value': add(['x-a', ' b']),
  'CR LF in a name': add(['x-a\r\nx-b', 'c']),
  'upper case in a name': add(['X-A', 'b']),
  'a colon in a name': add(['x:a', 'b']),
  'a space in a name': add(['x a', 'b']),
  'an octet above 127 in a name': add(['x-\u00e9', 'b']),
  'no name': add(['', 'b']),
  connection: add(['connection', 'close']),
  'proxy-connection': add(['proxy-connection', 'keep-alive']),
  'keep-alive': add(['keep-alive', '5']),
  'transfer-encoding': add(['transfer-encoding', 'chunked']),
  upgrade: add(['upgrade', 'h2c']),
  'te other than trailers': put('te', 'gzip'),
  'te trailers and more': put('te', 'trailers, gzip'),
  'a pseudo-header after a regular one': add([':path', '/x/Y']),
  'two methods': (fields) => [[':method', 'POST'], ...fields],
  'two paths': (fields) => [[':path', '/x/Y'], ...fields],
  'two authorities': (fields) => [[':authority', 'other'], ...fields],
  'a pseudo-header of an answer': (fields) => [[':status', '200'], ...fields],
  'a pseudo-header that nobody knows': (fields) => [[':protocol', 'websocket'], ...fields],
  'no path': without(':path'),
  'an empty path': put(':path', ''),
  'no scheme': without(':scheme'),
  'no method': without(':method'),
  'another host': add(['host', 'other']),
  'two hosts': add(['host', 'localhost'], ['host', 'localhost']),
  'a user in the authority': put(':authority', 'root@localhost'),
  'two lengths': add(['content-length', '0'], ['content-length', '5']),
  'a length with a sign': add(['content-length', '+0']),
  'a length that lies': add(['content-length', '7']),
  CONNECT: put(':method', 'CONNECT'),
}

/** Well-formed heads that are no call that anybody may make. */
const CALLS: Readonly<Record<string, Edit>> = {
  'a path without a slash': put(':path', 'opentelemetry.proto.collector.trace.v1.TraceService/Export'),
  'a path with dots': put(':path', '/x/../opentelemetry.proto.collector.trace.v1.TraceService/Export'),
  'a path with two slashes': put(':path', '//opentelemetry.proto.collector.trace.v1.TraceService/Export'),
  'a path with a percent sign': put(':path', '/opentelemetry.proto.collector.trace.v1.TraceService%2FExport'),
  'a path with a query': put(':path', '/opentelemetry.proto.collector.trace.v1.TraceService/Export?x'),
  'a path in another case': put(':path', '/opentelemetry.proto.collector.trace.v1.traceservice/export'),
  'a path with a space': put(':path', '/opentelemetry.proto.collector.trace.v1.TraceService/Export '),
  'another method of the service': put(
    ':path',
    '/opentelemetry.proto.collector.trace.v1.TraceService/Delete',
  ),
  reflection: put(':path', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'),
  GET: put(':method', 'GET'),
  'no gRPC': put('content-type', 'application/json'),
  'gRPC-Web': put('content-type', 'application/grpc-web'),
  'two tokens': (fields) => [...fields, fields.find(([name]) => name === 'authorization')!],
  'no token': without('authorization'),
  'a token under another name': (fields) =>
    fields.map(([name, value]) => [name === 'authorization' ? 'proxy-authorization' : name, value] as const),
  'a token after two spaces': (fields) =>
    fields.map(
      ([name, value]) => [name, name === 'authorization' ? value.replace(' ', '  ') : value] as const,
    ),
  'basic credentials': put('authorization', 'Basic cm9vdDpyb290'),
}

/** Sends each head; whatever the answer, the upstream must not have been called. */
async function smuggle(ground: AttackGround, edits: Readonly<Record<string, Edit>>): Promise<void> {
  for (const [name, edit] of Object.entries(edits)) {
    if (ground.isOver) return
    const peer = await ground.open()
    const stream = peer.nextStream()
    peer.send({
      type: 'HEADERS',
      stream,
      flags: ['END_HEADERS', 'END_STREAM'],
      payload: block(edit(head(ground.token))),
    })
    await peer.until(() => peer.ended.has(stream) || peer.resets.has(stream), 1_000)
    if (!peer.ended.has(stream) && !peer.resets.has(stream) && !peer.isGone)
      ground.fault(`${name}: no answer`)
    const [answer] = peer.blocks.get(stream) ?? []
    // The upstream answers with grpc-status 0 in trailers of their own; a refusal is a single block that says another.
    if (answer !== undefined && !peer.ended.has(stream)) ground.fault(`${name}: the upstream was called`)
    if ((peer.blocks.get(stream)?.length ?? 0) > 1) ground.fault(`${name}: the upstream was called`)
    peer.end()
  }
}

export const SMUGGLING: readonly Attack[] = [
  {
    name: 'smuggling-heads',
    title: `${Object.keys(HEADS).length} malformed heads, one by one`,
    outcome: 'served',
    rounds: 3,
    run: (ground) => smuggle(ground, HEADS),
  },
  {
    name: 'smuggling-calls',
    title: `${Object.keys(CALLS).length} well-formed heads that are no permitted call`,
    outcome: 'served',
    rounds: 3,
    run: (ground) => smuggle(ground, CALLS),
  },
  {
    name: 'smuggling-http1',
    title: 'HTTP/1.1, an upgrade, TLS and noise on the plaintext port',
    outcome: 'closed',
    rounds: 5,
    async run(ground) {
      const noises = [
        'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\rX',
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        '\0'.repeat(100),
      ]
      for (const noise of noises) {
        const peer = await ground.open({ settings: null })
        peer.write(Buffer.from(noise, 'latin1'))
        peer.cross()
        await peer.closed(1_200)
      }
    },
  },
  {
    name: 'smuggling-trailers',
    title: 'request trailers with pseudo-headers, tokens and lengths',
    outcome: 'served',
    rounds: 3,
    async run(ground) {
      const trailers: Fields[] = [
        [[':path', '/x/Y']],
        [['authorization', 'Bearer x']],
        [['x-authgw-subject', 'root']],
        [['content-length', '99']],
        [['X', 'y']],
      ]
      for (const fields of trailers) {
        const peer = await ground.open()
        const stream = peer.nextStream()
        peer.send(
          { type: 'HEADERS', stream, flags: ['END_HEADERS'], payload: block(head(ground.token)) },
          {
            type: 'HEADERS',
            stream,
            flags: ['END_HEADERS', 'END_STREAM'],
            payload: literals(fields),
          },
        )
        await peer.until(() => peer.ended.has(stream) || peer.resets.has(stream), 1_000)
        if (!peer.isGone && !peer.ended.has(stream) && !peer.resets.has(stream))
          ground.fault(`trailers ${fields[0]![0]}: no answer`)
        peer.end()
      }
    },
  },
]
