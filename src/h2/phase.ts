/**
 * How far a connection is on its way out. Never goes back.
 * Floor 2; knows no frame.
 * @see RFC 9113 §6.8
 */
export const RUNNING = 0
/** GOAWAY(2^31−1) is out: the peer is asked to stop, what it still opens is served. */
export const ANNOUNCED = 1
/** GOAWAY with the last identifier is out: open streams end, new ones are ignored. */
export const DRAINING = 2
/** Nothing more is read or sent, but for what is in the writer. */
export const FINISHED = 3
export type ConnectionPhase = 0 | 1 | 2 | 3
