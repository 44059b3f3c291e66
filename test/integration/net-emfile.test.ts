import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'

const SCRIPT = join(import.meta.dirname, '../support/crowded-listener.ts')

/** What a connection to `port` says to `hello`: the echo, or how it ended. */
function greeting(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const end = (outcome: string): void => {
      socket.destroy()
      resolve(outcome)
    }
    socket.on('data', (chunk: Buffer) => {
      end(chunk.toString())
    })
    socket.on('error', () => {
      end('refused')
    })
    socket.on('close', () => {
      end('refused')
    })
    socket.setTimeout(1_000, () => {
      end('unanswered')
    })
    socket.write('hello')
  })
}

test('a listener without file descriptors lives on, and accepts again when there are some', async () => {
  const child = spawn('sh', ['-c', `ulimit -n 256; exec "$0" "$1"`, process.execPath, SCRIPT], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const port = Number(((await lines.next()).value as string).slice('port '.length))
    expect(await greeting(port)).toBe('hello')
    child.stdin.write('\n')
    expect((await lines.next()).value).toBe('full')
    expect(await greeting(port)).not.toBe('hello')
    expect(await greeting(port)).not.toBe('hello')
    expect(child.exitCode).toBeNull()
    child.stdin.write('\n')
    expect((await lines.next()).value).toMatch(/^free after \d+ errors$/)
    expect(await greeting(port)).toBe('hello')
  } finally {
    child.kill('SIGKILL')
  }
})
