/**
 * Turns a port into idle HTTP/2 connections over mutual TLS (`hold`), or into the barest server that has them (`serve`):
 * node:tls, nothing behind it. `hold` says "held" when every connection is past its handshake and SETTINGS.
 */
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:tls'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string' },
    count: { type: 'string', default: '100' },
    ca: { type: 'string', default: '' },
    cert: { type: 'string', default: '' },
    key: { type: 'string', default: '' },
  },
})

/** Handshakes at once: servers bound how many may be pending. */
const BATCH = 20
const MAX_CONNECTIONS = 10_000
/** The client's preface, empty SETTINGS, and the acknowledgement of the server's. */
const GREETING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
  Buffer.from('000000040100000000', 'hex'),
])
const SESSION_SETTLE_MS = 500
const port = Number(flags.port)
const files = {
  ca: readFileSync(flags.ca),
  cert: readFileSync(flags.cert),
  key: readFileSync(flags.key),
}

function open(): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: 'localhost', ALPNProtocols: ['h2'], ...files }
    const socket = connect(options, () => {
      socket.write(GREETING)
      socket.resume()
      resolve()
    })
    socket.once('error', reject)
    socket.once('close', () => {
      console.error('an idle connection was closed')
      process.exit(1)
    })
  })
}

if (positionals[0] === 'serve') {
  const options = { ...files, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] }
  createServer(options, (socket) => {
    socket.on('error', () => {})
    socket.resume()
  }).listen(port, '127.0.0.1')
} else {
  const count = Math.min(Number(flags.count), MAX_CONNECTIONS)
  for (let opened = 0; opened < count; opened += BATCH)
    await Promise.all(Array.from({ length: Math.min(BATCH, count - opened) }, open))
  await sleep(SESSION_SETTLE_MS)
  process.stdout.write('held\n')
  setInterval(() => {}, 60_000)
}
