/**
 * A process of its own that listens, uses up its file descriptors, and frees them on demand. Speaks lines: prints
 * `port N`, `full` and `free`; a line on stdin frees; then prints `errors N`.
 */
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Listener, NetStats, SystemClock, createTurn, createWheel } from '../../src/net/index.ts'
import { EchoAcceptor } from './pumped.ts'

const clock = new SystemClock()
const turn = createTurn(clock)
const wheel = createWheel({ clock, turn })
const stats = new NetStats()
const acceptor = new EchoAcceptor(turn)
const listener = new Listener({ endpoint: '127.0.0.1:0', tls: null, acceptor, clock, turn, wheel, stats })
const [endpoint] = await listener.listen()
console.log(`port ${endpoint?.kind === 'tcp' ? endpoint.port : 0}`)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
await lines.next()
// The descriptor of a connection that is still closing would be free a moment later.
while (stats.ingressOpen > 0) await new Promise((resolve) => setTimeout(resolve, 5))
const taken: number[] = []
const fill = (): void => {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    // Full.
  }
}
fill()
const refill = setInterval(fill, 1)
console.log('full')
await lines.next()
clearInterval(refill)
for (const file of taken) closeSync(file)
console.log(`free after ${stats.acceptErrors} errors`)
await lines.next()
process.exit(0)
