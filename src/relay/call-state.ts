/**
 * The life of a call as a table: state × event → state.
 * Floor 3; knows no stream.
 *
 *   ADMITTING ──REFUSED──▶ REFUSED ──CLOSE──▶ CLOSED
 *       │ PERMITTED            ▲ REFUSED
 *       ▼                      │
 *   DIALLING ──OPENED──▶ RELAYING ──INGRESS_END──▶ HALF_CLOSED_INGRESS
 *       ▲                  │   │                      │        │
 *       └─────RETRY────────┴───┼──────────────────────┘        │
 *                 EGRESS_END   ▼                               ▼ EGRESS_END
 *                     HALF_CLOSED_EGRESS  ──────CLOSE─────▶ CLOSED
 *
 * RETRY leads back to ADMITTING for a fresh credential and to DIALLING for another connection; REFUSED is an answer of
 * our own, at any time before the egress one has ended; CLOSE leads from everywhere to CLOSED.
 */
export const ADMITTING = 0
export const DIALLING = 1
export const RELAYING = 2
export const HALF_CLOSED_INGRESS = 3
export const HALF_CLOSED_EGRESS = 4
export const REFUSED = 5
export const CLOSED = 6
export type CallState = 0 | 1 | 2 | 3 | 4 | 5 | 6

/** The gate gave a Permit. */
export const ON_PERMIT = 0
/** We answer ourselves. */
export const ON_REFUSE = 1
/** The egress stream is open; what was held is on it. */
export const ON_OPEN = 2
/** The caller has ended its side, and the egress leg knows. */
export const ON_INGRESS_END = 3
/** The answer has ended. */
export const ON_EGRESS_END = 4
/** The egress leg did not begin the call: another connection. */
export const ON_REDIAL = 5
/** The egress leg refused the credential: another one. */
export const ON_RENEW = 6
/** Both legs are done. */
export const ON_CLOSE = 7
export type CallEvent = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7

/** Marks a transition that no correct path asks for. */
export const ILLEGAL = -1
type Next = CallState | typeof ILLEGAL

/** CALL_TRANSITIONS[state][event]. */
export const CALL_TRANSITIONS: readonly (readonly Next[])[] = [
  /*                        PERMIT    REFUSE   OPEN      INGRESS_END          EGRESS_END          REDIAL    RENEW      CLOSE  */
  /* ADMITTING           */ [DIALLING, REFUSED, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, CLOSED],
  /* DIALLING            */ [ILLEGAL, REFUSED, RELAYING, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, CLOSED],
  /* RELAYING            */ [
    ILLEGAL,
    REFUSED,
    ILLEGAL,
    HALF_CLOSED_INGRESS,
    HALF_CLOSED_EGRESS,
    DIALLING,
    ADMITTING,
    CLOSED,
  ],
  /* HALF_CLOSED_INGRESS */ [
    ILLEGAL,
    REFUSED,
    ILLEGAL,
    ILLEGAL,
    HALF_CLOSED_EGRESS,
    DIALLING,
    ADMITTING,
    CLOSED,
  ],
  /* HALF_CLOSED_EGRESS  */ [ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, CLOSED],
  /* REFUSED             */ [ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, CLOSED],
  /* CLOSED              */ [ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL],
]
