/**
 * What an attack is, and what it may use: a name, what has to come of it, and a script on hostile peers.
 */
import { literals } from '../support/h2-pair.ts'
import type { Fields } from '../support/h2-pair.ts'
import { exportPath } from '../support/otlp-proto.ts'
import type { HostilePeer, PeerOptions } from './hostile-peer.ts'

/** A method that the default policy lets valid tokens call. */
export const EXPORT_PATH = exportPath('traces')

/** What an attack gets. */
export interface AttackGround {
  /** Dials the gateway, and says the preface and SETTINGS with `settings` unless they are null. The peer is cut at the end. */
  open(
    options?: Partial<PeerOptions> & {
      readonly settings?: readonly (readonly [number, number])[] | null
    },
  ): Promise<HostilePeer>
  /** A valid token; one with a forged signature; tokens that only look like ones. */
  readonly token: string
  mint(claims?: Readonly<Record<string, unknown>>): Promise<string>
  forge(): Promise<string>
  /** A token with this header and this payload, signed with a valid key. */
  sign(header: string, payload: string): Promise<string>
  /** A token under a kid that nobody has. */
  unknownKid(): string
  /** Client certificates, where the gateway speaks TLS; null in plaintext. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | null
  /** Whether the time for this attack is over. */
  readonly isOver: boolean
  /** How often the identity provider was asked for keys. */
  keyFetches(): number
  /** Sum of a metric over its series that carry these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  readonly adminPort: number
  /**
   * The hostile upstream's end of a connection of the gateway's: the one that stands, else the next one. Where there is a
   * hostile upstream; it has said SETTINGS unless it is mute.
   */
  upstream(): Promise<HostilePeer>
  /** A unary call through the workload role to the hostile upstream; resolves with its status. */
  call(messageBytes?: number, timeoutMs?: number): Promise<number>
  /** Records a finding: the attack has failed. */
  fault(what: string): void
  pause(ms: number): Promise<void>
}

/** What an attack wants of its gateway. */
export interface AttackStage {
  /** TLS with client certificates; default plaintext on loopback. */
  readonly tls?: 'require' | 'optional'
  /** Lines of the `limits` section. */
  readonly limits?: string
  /** Keys from a provider over HTTP instead of a file. */
  readonly hasProvider?: boolean
  /** A workload role beside the control plane, in the same process, whose upstream is the attacker; `mute` says nothing. */
  readonly hostileUpstream?: 'polite' | 'mute'
}

/** One attack. */
export interface Attack {
  readonly name: string
  /** What it is, with the numbers under which the field knows it. */
  readonly title: string
  /** `closed`: each peer that crossed a limit is cut off within a second. `served`: the gateway bears it. */
  readonly outcome: 'closed' | 'served'
  readonly stage?: AttackStage
  /** Rounds at most; default 40, with 50 ms between them, for as long as the time lasts. */
  readonly rounds?: number
  /** One round. */
  run(ground: AttackGround): Promise<void>
}

/** A request head: with a token, one that is forwarded. */
export function head(token: string | null, more: Fields = [], path = EXPORT_PATH): Fields {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...(token === null ? [] : ([['authorization', `Bearer ${token}`]] as const)),
    ...more,
  ]
}

/** The header block of a request head, all literals. */
export const block = (fields: Fields): Buffer => literals(fields)

/** A gRPC message of `bytes` octets with its prefix. */
export function message(bytes: number): Buffer {
  const octets = Buffer.alloc(5 + bytes)
  octets.writeUInt32BE(bytes, 1)
  return octets
}

/** A block that inserts `fields` into the table, in this order, each new (RFC 7541 §6.2.1). */
export function inserting(fields: Fields): Buffer {
  return Buffer.concat(
    fields.map((field) => {
      const octets = literals([field])
      octets[0] = 0x40
      return octets
    }),
  )
}
