/** What the bench asks of a proxy under test: a name, a version, and to be started in front of a server. */
import type { Running } from '../load/fleet.ts'
import type { Ground } from '../load/ground.ts'

/** What a peer is started with. */
export interface PeerSetting {
  ground: Ground
  /** Port of the server behind, on 127.0.0.1, in plaintext. */
  upstreamPort: number
  /** Whether callers come by TLS (server certificate only: h2load has none of its own) or in plaintext. */
  isTls: boolean
  /** A number of this start, for file names. */
  turn: number
}

/** A proxy under test. */
export interface Peer {
  name: string
  /** Whether each call's token is checked; the bench proves it with a probe before it measures. */
  checksToken: boolean
  /** Its version, or the reason why it cannot be run here. */
  standing(): Promise<{ version: string } | { absent: string }>
  /** Starts it with one worker on a free port. */
  start(setting: PeerSetting): Promise<Running>
}
