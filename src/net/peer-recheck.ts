/**
 * A change of the trust bundle into a new verdict on every live peer: kept, cut, or asked to come again.
 * Floor 4; knows no call. auth.md §6: a peer that is no longer trusted is gone within 5 s.
 */
import type { TLSSocket } from 'node:tls'
import { NO_LOG, TransportError } from '../base/index.ts'
import type { Clock, Log, Turn } from '../base/index.ts'
import type { PeerIdentity } from '../auth/index.ts'
import { PeerTrust } from './peer-trust.ts'
import type { TrustOpinion } from './peer-trust.ts'
import type { Pump } from './pump.ts'
import type { NetStats } from './stats.ts'
import type { TrustBundle } from './tls-material.ts'

/** An accepted connection, as long as it lives. */
export interface LivePeer {
  readonly peer: PeerIdentity
  readonly pump: Pump
  /** Null on plaintext. */
  readonly tlsSocket: TLSSocket | null
}

/** What a recheck needs. */
export interface PeerRecheckOptions {
  readonly clock: Clock
  readonly turn: Turn
  readonly stats: NetStats
  readonly log?: Log
}

/** Peers judged before others get a turn of the event loop: a path costs some 0.3 ms. */
const PEERS_PER_TURN = 16

/** Judges live peers again. A newer bundle overtakes an older one that is still under way. */
export class PeerRecheck {
  readonly #options: PeerRecheckOptions
  #round = 0

  constructor(options: PeerRecheckOptions) {
    this.#options = options
  }

  /** Judges `peers` by `bundle`. Never rejects: a peer that cannot be judged is asked to come again. */
  async run(bundle: TrustBundle, peers: Iterable<LivePeer>): Promise<void> {
    const round = ++this.#round
    const { clock, log = NO_LOG } = this.#options
    const verified = [...peers].filter(({ peer }) => peer.isVerified)
    if (verified.length === 0) return
    let trust: PeerTrust | null = null
    try {
      trust = await PeerTrust.load(bundle)
    } catch (error) {
      log.error(
        { err: error },
        'live peers cannot be judged by the new trust bundle; they are asked to come again',
      )
    }
    let judged = 0
    for (const live of verified) {
      if (round !== this.#round) return
      if (++judged % PEERS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      if (!live.pump.socket.destroyed) this.#apply(live, await judge(trust, live, clock.wallMs()))
    }
  }

  #apply(live: LivePeer, { verdict, reason }: TrustOpinion): void {
    if (verdict === 'trusted') return
    const { turn, stats, log = NO_LOG } = this.#options
    const { address } = live.peer
    turn.begin()
    if (verdict === 'doubtful') {
      log.info({ address, reason }, 'a peer is asked to come again after a change of trust')
      live.pump.connection.drainStreams()
      return
    }
    stats.peersUntrusted++
    log.warn({ address, reason }, 'a peer is closed: its certificate is no longer trusted')
    live.pump.close(
      new TransportError('local_close', `peer ${address}: its certificate is no longer trusted`),
    )
  }
}

async function judge(trust: PeerTrust | null, live: LivePeer, wallMs: number): Promise<TrustOpinion> {
  if (trust === null) return { verdict: 'doubtful', reason: 'the trust bundle cannot be read' }
  try {
    return await trust.judge(live.tlsSocket === null ? [] : chainOf(live.tlsSocket), wallMs)
  } catch (error) {
    return { verdict: 'doubtful', reason: error instanceof Error ? error.message : 'it cannot be judged' }
  }
}

/** The certificates that the peer showed, the leaf first, and those that OpenSSL found to go with them. */
function chainOf(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = []
  const seen = new Set<string>()
  let certificate = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain
}
