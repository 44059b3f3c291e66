/** What the bench asks of a proxy under test: a name, a version, and to be started in front of a server. */
import type { Running } from '../load/fleet.ts'
import type { Ground } from '../load/ground.ts'

/** What a peer is started with. */
export interface PeerSetting {
  ground: Ground
  /** Port of the server behind, on 127.0.0.1, in plaintext. */
  upstreamPort: number
  /** Whether callers come by mutual TLS, their certificate required where the peer can, or in plaintext. */
  isTls: boolean
  /** A number of this start, for file names. */
  turn: number
}

/** A proxy under test. */
export interface Peer {
  name: string
  /** Whether each call's token is checked; the bench proves it with a probe before it measures. */
  checksToken: boolean
  /** How long it is loaded before its first turn: just-in-time compilers need that, each worker's its own. Default 2 s. */
  warmUpSeconds?: number
  /** Its version, or the reason why it cannot be run here. */
  standing(): Promise<{ version: string } | { absent: string }>
  /** Starts it with one worker on a free port. */
  start(setting: PeerSetting): Promise<Running>
}
