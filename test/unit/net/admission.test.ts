import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { NetStats, openFileLimit } from '../../../src/net/index.ts'
import type { AdmissionLimits } from '../../../src/net/index.ts'
import { Admission } from '../../../src/net/admission.ts'
import { FakeClock } from '../../support/fake-clock.ts'

class FakePeer extends EventEmitter {
  destroyed = false
  remotePort: number
  remoteAddress: string
  localAddress = '10.0.0.1'
  localPort = 4317
  constructor(remotePort: number, remoteAddress = '192.0.2.1') {
    super()
    this.remotePort = remotePort
    this.remoteAddress = remoteAddress
  }
  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

let clock: FakeClock
let stats: NetStats
let port: number

beforeEach(() => {
  clock = new FakeClock()
  stats = new NetStats()
  port = 1
})

const admission = (limits: Partial<AdmissionLimits>): Admission => new Admission(stats, clock, limits)
const socketOf = (peer: FakePeer): Socket => peer as unknown as Socket

function come(door: Admission, isTls = true, address = '192.0.2.1') {
  const peer = new FakePeer(port++, address)
  return { peer, visitor: door.admit(socketOf(peer), address, isTls) }
}

describe('admission', () => {
  test('counts connections until they close', () => {
    const door = admission({ maxConnections: 2 })
    const first = come(door, false)
    come(door, false)
    expect(come(door, false).visitor).toBeNull()
    expect(stats).toMatchObject({ ingressOpen: 2, refusedByTotal: 1 })
    first.peer.destroy()
    expect(come(door, false).visitor).not.toBeNull()
  })

  test('limits an address without a verified certificate, and no other address', () => {
    const door = admission({ maxConnectionsPerAddress: 2 })
    come(door)
    come(door)
    expect(come(door).visitor).toBeNull()
    expect(come(door, true, '192.0.2.2').visitor).not.toBeNull()
    expect(stats.refusedByAddress).toBe(1)
  })

  test('no longer counts a peer against its address once it is verified', () => {
    const door = admission({ maxConnectionsPerAddress: 1 })
    for (let i = 0; i < 10; i++) {
      const { peer, visitor } = come(door)
      expect(visitor).not.toBeNull()
      door.onHandshakeDone(door.find(socketOf(peer))!, true)
    }
    const anonymous = come(door)
    door.onHandshakeDone(anonymous.visitor!, false)
    expect(come(door).visitor).toBeNull()
    anonymous.peer.destroy()
    expect(come(door).visitor).not.toBeNull()
  })

  test('refuses a handshake too many while all are young, and lets an old one give way', async () => {
    const door = admission({ maxPendingHandshakes: 2 })
    const first = come(door)
    const second = come(door)
    expect(come(door).visitor).toBeNull()
    await clock.advance(1_000)
    expect(come(door).visitor).not.toBeNull()
    expect(first.peer.destroyed).toBe(true)
    expect(second.peer.destroyed).toBe(false)
    expect(stats).toMatchObject({ refusedByHandshakes: 2, handshakesPending: 2, ingressOpen: 2 })
  })

  test('finds a visitor by both ends of its connection until its handshake is done or it has gone', () => {
    const door = admission({})
    const { peer, visitor } = come(door)
    expect(door.find(socketOf(peer))).toBe(visitor)
    expect(door.find(socketOf(new FakePeer(9_999)))).toBeNull()
    door.onHandshakeDone(visitor!, true)
    expect(door.find(socketOf(peer))).toBeNull()
    peer.destroy()
    expect(stats).toMatchObject({ handshakesPending: 0, ingressOpen: 0 })
  })

  test('counts nothing twice when a visitor is released and then closes', () => {
    const door = admission({ maxConnectionsPerAddress: 2 })
    const { peer, visitor } = come(door)
    come(door)
    door.release(visitor!)
    door.release(visitor!)
    peer.destroy()
    expect(stats).toMatchObject({ handshakesPending: 1, ingressOpen: 1 })
    expect(come(door).visitor).not.toBeNull()
    expect(come(door).visitor).toBeNull()
  })

  test('cuts every pending handshake when it closes', () => {
    const door = admission({})
    const pending = come(door)
    const done = come(door)
    door.onHandshakeDone(done.visitor!, true)
    door.refuseAll()
    expect(pending.peer.destroyed).toBe(true)
    expect(done.peer.destroyed).toBe(false)
  })

  test('keeps file descriptors in reserve', () => {
    expect(admission({ maxConnections: 1e9 }).limits.maxConnections).toBeLessThanOrEqual(openFileLimit() - 64)
    const folder = mkdtempSync(join(tmpdir(), 'authgw-limits-'))
    const file = join(folder, 'limits')
    writeFileSync(
      file,
      'Max processes  1 2 x\nMax open files            1024                 4096                 files\n',
    )
    expect(openFileLimit(file)).toBe(1_024)
    writeFileSync(file, 'Max open files            unlimited            unlimited            files\n')
    expect(openFileLimit(file)).toBe(Infinity)
    rmSync(folder, { recursive: true })
    expect(openFileLimit(file)).toBe(Infinity)
  })
})
