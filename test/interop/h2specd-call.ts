/**
 * `node test/interop/h2specd-call.ts URL`: one call on an egress connection of our own core to URL's port; what h2specd runs
 * for each of its cases. Ends with the connection, or after a second and a half: h2specd allows three.
 */
import { connect } from 'node:net'
import { ByteBudget, DEFAULT_H2_LIMITS, H2Connection, H2Stats, type H2Handler } from '../../src/h2/index.ts'
import { createTurn, createWheel, NetStats, Pump, SystemClock } from '../../src/net/index.ts'
import { listOf, REQUEST } from '../support/h2-pair.ts'

const clock = new SystemClock()
const turn = createTurn(clock)
const wheel = createWheel({ clock, turn })
const state = { isCalled: false }

/** Makes one call as soon as it may, gives all credit back at once, and wants nothing else. */
const caller: H2Handler = {
  onCapacity(connection) {
    if (state.isCalled || !connection.canOpenStream) return
    state.isCalled = true
    const stream = connection.openStream(listOf(REQUEST), null, false, state)
    stream.sendData(Buffer.alloc(5), true)
  },
  onData: (stream, payload) => stream.credit(payload.length),
  onResponse: () => undefined,
  onRequest: () => undefined,
  onTrailers: () => undefined,
  onDataSent: () => undefined,
  onStreamReset: () => undefined,
  onStreamClosed: () => undefined,
  onGoaway: () => undefined,
  onClosed: () => undefined,
}

const socket = connect({
  port: Number(new URL(process.argv[2]!).port),
  host: '127.0.0.1',
  allowHalfOpen: true,
})
socket.once('error', () => process.exit(1))
socket.once('connect', () => {
  turn.begin()
  const connection = new H2Connection({
    isServer: false,
    handler: caller,
    turn,
    wheel,
    limits: DEFAULT_H2_LIMITS,
    stats: new H2Stats(),
    held: new ByteBudget(48 * 1024 * 1024),
  })
  connection.start()
  void new Pump({
    socket,
    connection,
    turn,
    clock,
    stats: new NetStats(),
    isIngress: false,
    peerName: 'h2specd',
    onClosed: () => process.exit(0),
  })
  caller.onCapacity(connection)
})
setTimeout(() => process.exit(0), 1_500)
