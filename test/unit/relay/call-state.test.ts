import { describe, expect, test } from 'vitest'
import {
  ADMITTING,
  CALL_TRANSITIONS,
  CLOSED,
  DIALLING,
  HALF_CLOSED_EGRESS,
  HALF_CLOSED_INGRESS,
  ILLEGAL,
  ON_CLOSE,
  ON_EGRESS_END,
  ON_INGRESS_END,
  ON_OPEN,
  ON_PERMIT,
  ON_REDIAL,
  ON_REFUSE,
  ON_RENEW,
  REFUSED,
  RELAYING,
} from '../../../src/relay/call-state.ts'

const STATES = {
  ADMITTING,
  DIALLING,
  RELAYING,
  HALF_CLOSED_INGRESS,
  HALF_CLOSED_EGRESS,
  REFUSED,
  CLOSED,
}
const EVENTS = {
  ON_PERMIT,
  ON_REFUSE,
  ON_OPEN,
  ON_INGRESS_END,
  ON_EGRESS_END,
  ON_REDIAL,
  ON_RENEW,
  ON_CLOSE,
}

/** Every transition there is; what is not here is illegal. */
const LEGAL: Record<string, keyof typeof STATES> = {
  'ADMITTING ON_PERMIT': 'DIALLING',
  'ADMITTING ON_REFUSE': 'REFUSED',
  'ADMITTING ON_CLOSE': 'CLOSED',
  'DIALLING ON_OPEN': 'RELAYING',
  'DIALLING ON_REFUSE': 'REFUSED',
  'DIALLING ON_CLOSE': 'CLOSED',
  'RELAYING ON_INGRESS_END': 'HALF_CLOSED_INGRESS',
  'RELAYING ON_EGRESS_END': 'HALF_CLOSED_EGRESS',
  'RELAYING ON_REDIAL': 'DIALLING',
  'RELAYING ON_RENEW': 'ADMITTING',
  'RELAYING ON_REFUSE': 'REFUSED',
  'RELAYING ON_CLOSE': 'CLOSED',
  'HALF_CLOSED_INGRESS ON_EGRESS_END': 'HALF_CLOSED_EGRESS',
  'HALF_CLOSED_INGRESS ON_REDIAL': 'DIALLING',
  'HALF_CLOSED_INGRESS ON_RENEW': 'ADMITTING',
  'HALF_CLOSED_INGRESS ON_REFUSE': 'REFUSED',
  'HALF_CLOSED_INGRESS ON_CLOSE': 'CLOSED',
  'HALF_CLOSED_EGRESS ON_CLOSE': 'CLOSED',
  'REFUSED ON_CLOSE': 'CLOSED',
}

describe('The life of a call', () => {
  const cells = Object.entries(STATES).flatMap(([state, row]) =>
    Object.entries(EVENTS).map(([event, column]) => [state, event, row, column] as const),
  )

  test.each(cells)('%s, %s', (state, event, row, column) => {
    const next = LEGAL[`${state} ${event}`]
    expect(CALL_TRANSITIONS[row]![column]).toBe(next === undefined ? ILLEGAL : STATES[next])
  })

  test('has a row for each state and a column for each event', () => {
    expect(CALL_TRANSITIONS).toHaveLength(Object.keys(STATES).length)
    for (const row of CALL_TRANSITIONS) expect(row).toHaveLength(Object.keys(EVENTS).length)
  })

  test('never leaves CLOSED', () => {
    expect(CALL_TRANSITIONS[CLOSED]!.every((next) => next === ILLEGAL)).toBe(true)
  })
})
