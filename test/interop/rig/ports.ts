/**
 * Gives ports below those that the system hands out by itself, and none twice: with dozens of programs and hundreds of
 * connections, a port that was free a moment ago is soon somebody's outgoing one.
 */
import { createServer } from 'node:net'

const FIRST = 20_000
const COUNT = 12_000

let next = Math.floor(Math.random() * COUNT)

/** A port on which nothing listens. */
export async function takePort(): Promise<number> {
  for (;;) {
    const port = FIRST + (next++ % COUNT)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}
