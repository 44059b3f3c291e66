/**
 * A process with the server behind the gateway: answers every call, and counts what happens to its connections.
 * Asked `count`, it posts an UpstreamCounts.
 */
import http2 from 'node:http2'
import type { ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'

/** What the gateway's egress has seen so far. */
export interface UpstreamCounts {
  opened: number
  /** Connections that ended. */
  closed: number
  /** Of those, the ones that the gateway did not take its leave from: it lost them, or gave them up. */
  lost: number
  calls: number
  /** Streams that the gateway reset. */
  resets: number
}

const counts: UpstreamCounts = { opened: 0, closed: 0, lost: 0, calls: 0, resets: 0 }
const server = http2.createServer({ settings: { maxConcurrentStreams: 1000 }, maxSessionMemory: 1000 })
server.on('session', (session) => {
  counts.opened++
  session.on('error', () => {})
  let hasTakenLeave = false
  session.on('goaway', (code) => (hasTakenLeave = code === 0))
  session.once('close', () => {
    counts.closed++
    if (!hasTakenLeave) counts.lost++
  })
})
server.on('sessionError', () => {})
server.on('stream', (stream: ServerHttp2Stream, headers) => {
  counts.calls++
  stream.on('error', () => {})
  stream.on('aborted', () => counts.resets++)
  // The answer's size is the caller's choice, so that a slow reader has something to read slowly.
  const answerBytes = Number(headers['answer-bytes'] ?? 0)
  stream.on('data', () => {})
  stream.on('end', () => {
    if (stream.destroyed) return
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    const answer = Buffer.alloc(5 + answerBytes)
    answer.writeUInt32BE(answerBytes, 1)
    stream.end(answer)
  })
})
server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
process.on('message', () => process.send!(counts))
process.once('disconnect', () => process.exit())
