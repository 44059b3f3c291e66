/**
 * The life of a stream as a table: state × event → state.
 * Floor 2; knows no frame layout. Server push is off, so the reserved states do not exist.
 *
 *            send/recv HEADERS
 *     IDLE ────────────────────▶ OPEN ──recv END──▶ HALF_CLOSED_REMOTE ──send END──▶ CLOSED
 *                                  └───send END──▶ HALF_CLOSED_LOCAL ───recv END──▶ CLOSED
 *     RST_STREAM, sent or received, leads from each of them to CLOSED.
 * @see RFC 9113 §5.1
 */
export const IDLE = 0
export const OPEN = 1
export const HALF_CLOSED_LOCAL = 2
export const HALF_CLOSED_REMOTE = 3
export const CLOSED = 4
export type StreamState = 0 | 1 | 2 | 3 | 4

export const OPENED = 0
export const SEND_END = 1
export const RECV_END = 2
export const RESET = 3
export type StreamEvent = 0 | 1 | 2 | 3

/** Marks a transition that a correct caller never asks for. */
export const ILLEGAL = -1

/** TRANSITIONS[state][event]. */
export const TRANSITIONS: readonly (readonly (StreamState | typeof ILLEGAL)[])[] = [
  /* IDLE               */ [OPEN, ILLEGAL, ILLEGAL, ILLEGAL],
  /* OPEN               */ [ILLEGAL, HALF_CLOSED_LOCAL, HALF_CLOSED_REMOTE, CLOSED],
  /* HALF_CLOSED_LOCAL  */ [ILLEGAL, ILLEGAL, CLOSED, CLOSED],
  /* HALF_CLOSED_REMOTE */ [ILLEGAL, CLOSED, ILLEGAL, CLOSED],
  /* CLOSED             */ [ILLEGAL, ILLEGAL, ILLEGAL, CLOSED],
]

/** Whether the peer may still send HEADERS or DATA. */
export function isPeerOpen(state: StreamState): boolean {
  return state === OPEN || state === HALF_CLOSED_LOCAL
}

/** Whether we may still send HEADERS or DATA. */
export function isLocalOpen(state: StreamState): boolean {
  return state === OPEN || state === HALF_CLOSED_REMOTE
}
