import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TransportError } from '../../src/base/index.ts'
import {
  Dialer,
  Listener,
  NetStats,
  SystemClock,
  createTurn,
  createWheel,
  formatEndpoint,
} from '../../src/net/index.ts'
import type { DialerOptions, ListenerOptions } from '../../src/net/index.ts'
import { EchoAcceptor, PlainConnection } from '../support/pumped.ts'

const clock = new SystemClock()
const turn = createTurn(clock)
const wheel = createWheel({ clock, turn })
let folder: string
/** Waits for what other sockets and the kernel do in their own time. */
const until = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 10_000, interval: 10 })
let stats: NetStats
let acceptor: EchoAcceptor
const closers: (() => unknown)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-net-'))
  stats = new NetStats()
  acceptor = new EchoAcceptor(turn)
})

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  rmSync(folder, { recursive: true, force: true })
})

async function listen(
  options: Partial<ListenerOptions> = {},
): Promise<{ listener: Listener; addresses: string[] }> {
  const listener = new Listener({
    endpoint: '127.0.0.1:0',
    tls: null,
    acceptor,
    clock,
    turn,
    wheel,
    stats,
    ...options,
  })
  closers.push(() => listener.close())
  const endpoints = await listener.listen()
  return { listener, addresses: endpoints.map(formatEndpoint) }
}

function makeDialer(endpoint: string, options: Partial<DialerOptions> = {}): Dialer {
  const dialer = new Dialer({ endpoint, tls: null, clock, turn, stats, ...options })
  closers.push(() => {
    dialer.close()
  })
  return dialer
}

function dial(dialer: Dialer, address = dialer.addresses[0]!): Promise<PlainConnection | TransportError> {
  return new Promise((resolve) => {
    dialer.dial(address, {
      onConnected: () => {
        const connection = new PlainConnection(turn)
        resolve(connection)
        return connection
      },
      onDialFailed: resolve,
    })
  })
}

async function connected(dialer: Dialer, address?: string): Promise<PlainConnection> {
  const result = await dial(dialer, address)
  if (result instanceof TransportError) throw result
  return result
}

function rawClient(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  closers.push(() => socket.destroy())
  return socket
}

describe('from a dialer to a listener', () => {
  test('octets go both ways over TCP', async () => {
    const { addresses } = await listen()
    const dialer = makeDialer(addresses[0]!)
    await dialer.start()
    const connection = await connected(dialer)
    connection.send('hello ', Buffer.from('gateway'))
    await until(() => {
      expect(connection.text).toBe('hello gateway')
    })
    expect(acceptor.peers[0]).toMatchObject({ isVerified: false, isLocal: true, address: '127.0.0.1' })
    expect(stats).toMatchObject({ ingressOpen: 1, egressOpen: 1, egressBytesOut: 13, ingressBytesIn: 13 })
  })

  test('octets go both ways over a UNIX socket, which only owner and group may use', async () => {
    const path = join(folder, 'otlp.sock')
    await listen({ endpoint: `unix://${path}` })
    expect(statSync(path).mode & 0o777).toBe(0o660)
    const connection = await connected(makeDialer(`unix://${path}`))
    connection.send('hello')
    await until(() => {
      expect(connection.text).toBe('hello')
    })
    expect(acceptor.peers[0]).toMatchObject({ isLocal: true, address: 'unix' })
  })

  test('localhost listens on both loopback addresses with one port', async () => {
    const { addresses } = await listen({ endpoint: 'localhost:0' })
    const port = addresses[0]!.split(':')[1]!
    expect(addresses).toEqual([`127.0.0.1:${port}`, `[::1]:${port}`])
    const connection = await connected(makeDialer(addresses[1]!))
    connection.send('six')
    await until(() => {
      expect(connection.text).toBe('six')
    })
    expect(acceptor.peers[0]).toMatchObject({ isLocal: true, address: '::1' })
  })

  test('16 MiB in large and small pieces arrive whole and in order', async () => {
    const { addresses } = await listen()
    const connection = await connected(makeDialer(addresses[0]!))
    const pieces = Array.from({ length: 1024 }, (_, at) => Buffer.alloc(16_384, at & 0xff))
    connection.send(...pieces)
    await until(() => {
      expect(connection.received.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(16 * 1024 * 1024)
    })
    expect(Buffer.concat(connection.received).equals(Buffer.concat(pieces))).toBe(true)
  })

  test('a peer that closes ends the connection with closed_by_peer, at both ends', async () => {
    const { addresses } = await listen()
    const dialer = makeDialer(addresses[0]!)
    const connection = await connected(dialer)
    await until(() => {
      expect(acceptor.connections).toHaveLength(1)
    })
    acceptor.connections[0]!.finish('bye')
    await until(() => {
      expect(connection.closings.length).toBeGreaterThan(0)
      expect(acceptor.connections[0]!.closings).toEqual([null])
    })
    expect(connection.text).toBe('bye')
    expect(connection.closings[0]).toMatchObject({ code: 'closed_by_peer' })
    await until(() => {
      expect(stats).toMatchObject({ ingressOpen: 0, egressOpen: 0 })
    })
    expect(dialer.openCount).toBe(0)
  })
})

describe('a listener', () => {
  test('says which port is in use and what to do', async () => {
    const { addresses } = await listen()
    await expect(listen({ endpoint: addresses[0]! })).rejects.toThrow(
      /listen on 127\.0\.0\.1:\d+: the port is in use; find its owner .* or choose another port/,
    )
  })

  test('removes the socket file of a process that has gone', async () => {
    const path = join(folder, 'stale.sock')
    const { listener } = await listen({ endpoint: `unix://${path}` })
    const copy = join(folder, 'copy.sock')
    // A hard link keeps the socket's file when its owner closes it.
    linkSync(path, copy)
    await listener.close()
    await listen({ endpoint: `unix://${copy}` })
    const connection = await connected(makeDialer(`unix://${copy}`))
    connection.send('x')
    await until(() => {
      expect(connection.text).toBe('x')
    })
  })

  test('leaves a file alone that is no socket, and a socket that somebody answers', async () => {
    const file = join(folder, 'notes')
    writeFileSync(file, 'precious')
    await expect(listen({ endpoint: `unix://${file}` })).rejects.toThrow(/a file that is no socket/)
    expect(statSync(file).size).toBe(8)
    const path = join(folder, 'taken.sock')
    await listen({ endpoint: `unix://${path}` })
    await expect(listen({ endpoint: `unix://${path}` })).rejects.toThrow(/another process listens there/)
    await connected(makeDialer(`unix://${path}`))
  })

  test('takes no new connections after stopAccepting, and keeps the open ones', async () => {
    const { listener, addresses } = await listen()
    const dialer = makeDialer(addresses[0]!)
    const connection = await connected(dialer)
    await until(() => {
      expect(listener.openCount).toBe(1)
    })
    listener.stopAccepting()
    await until(async () => {
      expect(await dial(dialer)).toMatchObject({ code: 'connect_refused' })
    })
    connection.send('still here')
    await until(() => {
      expect(connection.text).toBe('still here')
    })
  })

  test('closes a connection that the relay does not want', async () => {
    acceptor.refuses = true
    const { addresses } = await listen()
    const connection = await connected(makeDialer(addresses[0]!))
    await until(() => {
      expect(connection.closings).toHaveLength(1)
    })
    expect(stats).toMatchObject({ refusedByRelay: 1, ingressOpen: 0 })
  })

  test('survives a bug in whom it gives connections to', async () => {
    const bugs: unknown[] = []
    const { addresses } = await listen({
      acceptor: {
        accept: () => {
          throw new Error('bug')
        },
      },
      onBug: (bug) => bugs.push(bug),
    })
    const connection = await connected(makeDialer(addresses[0]!))
    await until(() => {
      expect(connection.closings).toHaveLength(1)
    })
    expect(bugs).toHaveLength(1)
    expect(stats.ingressOpen).toBe(0)
  })

  test('refuses connections above its total and takes one again when another has gone', async () => {
    const { addresses } = await listen({ limits: { maxConnections: 2 } })
    const dialer = makeDialer(addresses[0]!)
    const first = await connected(dialer)
    await connected(dialer)
    const third = await connected(dialer)
    await until(() => {
      expect(third.closings).toHaveLength(1)
    })
    expect(stats.refusedByTotal).toBe(1)
    first.finish('')
    await until(() => {
      expect(stats.ingressOpen).toBe(1)
    })
    const fourth = await connected(dialer)
    fourth.send('in')
    await until(() => {
      expect(fourth.text).toBe('in')
    })
  })

  test('holds no more than the cap for a client that never reads, and cuts it when told to close', async () => {
    const { listener, addresses } = await listen()
    const client = rawClient(Number(addresses[0]!.split(':')[1]))
    client.pause()
    await until(() => {
      expect(acceptor.connections).toHaveLength(1)
    })
    const connection = acceptor.connections[0]!
    const piece = Buffer.alloc(16_384)
    connection.send(...Array.from({ length: 4096 }, () => piece))
    await until(() => {
      expect(connection.drainCalls.length).toBeGreaterThan(1)
    })
    const [live] = listener.livePeers()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(live!.pump.socket.writableLength).toBeLessThan(1024 * 1024 + piece.length)
    expect(live!.pump.socket.writableLength).toBeGreaterThan(0)
    expect(connection.queuedBytes).toBeGreaterThan(32 * 1024 * 1024)
    const startMs = performance.now()
    await listener.close()
    expect(performance.now() - startMs).toBeLessThan(2_000)
    expect(connection.closings).toHaveLength(1)
  })

  test('does not read from a peer while the connection does not want to', async () => {
    const { addresses } = await listen()
    const client = rawClient(Number(addresses[0]!.split(':')[1]))
    client.write('one')
    await until(() => {
      expect(acceptor.connections[0]?.text).toBe('one')
    })
    const connection = acceptor.connections[0]!
    connection.wantsRead = false
    connection.send('-')
    await until(() => {
      expect(stats.readPauses).toBe(1)
    })
    client.write('two')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(connection.text).toBe('one')
    connection.wantsRead = true
    connection.send('-')
    await until(() => {
      expect(connection.text).toBe('onetwo')
    })
  })
})

describe('a dial', () => {
  test('whose owner has a bug is closed, and nothing else is', async () => {
    const { addresses } = await listen()
    const bugs: unknown[] = []
    const dialer = makeDialer(addresses[0]!, { onBug: (bug) => bugs.push(bug) })
    dialer.dial(addresses[0]!, {
      onConnected: () => {
        throw new Error('bug')
      },
      onDialFailed: () => {},
    })
    await until(() => {
      expect(bugs).toHaveLength(1)
      expect(acceptor.connections[0]?.closings).toHaveLength(1)
    })
    expect(stats.egressOpen).toBe(0)
  })

  test('by name goes to what the name resolves to', async () => {
    const { addresses } = await listen()
    const port = addresses[0]!.split(':')[1]!
    const dialer = makeDialer(`dns:///collector.example:${port}`, {
      lookup: () => Promise.resolve(['127.0.0.1']),
    })
    expect(dialer.addresses).toEqual([])
    const onChange = vi.fn<() => void>()
    dialer.onChange = onChange
    await dialer.start()
    expect(onChange).toHaveBeenCalledTimes(1)
    expect(dialer).toMatchObject({ authority: `collector.example:${port}`, scheme: 'http', generation: 0 })
    expect(dialer.resolveError).toBeNull()
    const connection = await connected(dialer)
    connection.send('named')
    await until(() => {
      expect(connection.text).toBe('named')
    })
  })

  test('speaks of `localhost` to a UNIX socket, and of what the configuration says instead', () => {
    expect(makeDialer('unix:///run/x.sock').authority).toBe('localhost')
    expect(makeDialer('unix:///run/x.sock', { authority: 'otel' }).authority).toBe('otel')
    expect(makeDialer('[::1]:4317').authority).toBe('[::1]:4317')
  })

  test('fails with connect_refused where nobody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const result = await dial(makeDialer(`127.0.0.1:${port}`))
    expect(result).toMatchObject({ code: 'connect_refused' })
    expect((result as Error).message).toBe(`dial 127.0.0.1:${port}: nobody listens there (ECONNREFUSED)`)
    expect(stats).toMatchObject({ egressDials: 1, egressDialsFailed: 1, egressOpen: 0 })
  })

  test('fails with connect_refused where the UNIX socket does not exist', async () => {
    const result = await dial(makeDialer(`unix://${join(folder, 'none.sock')}`))
    expect(result).toMatchObject({ code: 'connect_refused' })
    expect((result as Error).message).toContain('the socket file does not exist')
  })

  test('that is under way ends with local_close when its dialer is closed', async () => {
    const { addresses } = await listen()
    const dialer = makeDialer(addresses[0]!)
    const result = dial(dialer)
    dialer.close()
    expect(await result).toMatchObject({ code: 'local_close' })
  })
})
