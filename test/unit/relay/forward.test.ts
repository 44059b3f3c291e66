import { describe, expect, test } from 'vitest'
import { messageOf, NOTHING_LEFT, RelayPair } from '../../support/relay-pair.ts'

describe('A call through the relay', () => {
  test('reaches the server and its answer comes back octet by octet', () => {
    const pair = new RelayPair()
    const call = pair.open().unary('/pkg.Service/Method', 100)
    pair.settle()
    expect(pair.server.last.body).toEqual(messageOf(100))
    expect(pair.server.last.isEnded).toBe(true)
    pair.server.last.ok(50)
    pair.settle()
    expect(call.headFields[':status']).toBe('200')
    expect(call.body).toEqual(messageOf(50))
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})
