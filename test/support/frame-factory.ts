import { FrameFlag, FrameType } from '../../src/frame/index.ts'

/** A frame to be built: legal by default, illegal where the spec says so. */
export interface FrameSpec {
  type: keyof typeof FrameType | number
  stream?: number
  /** Flag names, or the octet itself. PADDED and PRIORITY are added by `pad` and `dependsOn`. */
  flags?: readonly (keyof typeof FrameFlag)[] | number
  /** Octets, or text in hex with spaces allowed. Stands between the prefix and the padding. */
  payload?: Buffer | string
  /** Octets of padding; adds PADDED and the pad length octet. */
  pad?: number
  /** Adds PRIORITY and its five octets (HEADERS) or writes them (PRIORITY). */
  dependsOn?: number
  isExclusive?: boolean
  weight?: number
  /** A length that is not the payload's. */
  claimedLength?: number
  /** Sets the reserved bit before the stream identifier. */
  reservedBit?: boolean
}

/** Octets from hex text; white space is allowed. Throws on anything else. */
export function hex(text: string): Buffer {
  const digits = text.replaceAll(/\s+/g, '')
  const bytes = Buffer.from(digits, 'hex')
  if (bytes.length * 2 !== digits.length) throw new Error(`not hex: ${text}`)
  return bytes
}

/** Octets as hex text, octet by octet. */
export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((octet) => octet.toString(16).padStart(2, '0')).join(' ')
}

/** The wire bytes of one frame. */
export function frame(spec: FrameSpec): Buffer {
  const type = typeof spec.type === 'number' ? spec.type : FrameType[spec.type]
  const body = typeof spec.payload === 'string' ? hex(spec.payload) : (spec.payload ?? Buffer.alloc(0))
  const parts: Buffer[] = []
  let flags = flagOctet(spec.flags)
  if (spec.pad !== undefined) {
    flags |= FrameFlag.PADDED
    parts.push(Buffer.from([spec.pad]))
  }
  if (spec.dependsOn !== undefined) {
    if (type !== FrameType.PRIORITY) flags |= FrameFlag.PRIORITY
    const word = (spec.dependsOn | (spec.isExclusive === true ? 0x80000000 : 0)) >>> 0
    parts.push(uint32(word), Buffer.from([spec.weight ?? 15]))
  }
  parts.push(body, Buffer.alloc(spec.pad ?? 0))
  const payload = Buffer.concat(parts)
  const head = Buffer.alloc(9)
  head.writeUIntBE(spec.claimedLength ?? payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(((spec.stream ?? 0) | (spec.reservedBit === true ? 0x80000000 : 0)) >>> 0, 5)
  return Buffer.concat([head, payload])
}

/** The wire bytes of several frames, one after the other. */
export function frames(...specs: FrameSpec[]): Buffer {
  return Buffer.concat(specs.map((spec) => frame(spec)))
}

/** The payload of SETTINGS with these entries. */
export function settingsPayload(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat(
    entries.map(([id, value]) => Buffer.concat([Buffer.from([id >>> 8, id]), uint32(value)])),
  )
}

/** The payload of GOAWAY. */
export function goawayPayload(lastStreamId: number, code: number, debug = ''): Buffer {
  return Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(debug)])
}

/** Four octets, most significant first. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** `length` octets that differ from their neighbours, so that a shifted or lost one shows. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + seed) & 0xff
  return bytes
}

/** Cuts `bytes` at these offsets, which are put in order; each piece is a copy of its own. */
export function cutAt(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const edges = [0, ...offsets.map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b), bytes.length]
  return edges.slice(1).map((to, index) => Buffer.from(bytes.subarray(edges[index], to)))
}

/** Cuts `bytes` into pieces of `size` octets. */
export function cutEvery(bytes: Buffer, size: number): Buffer[] {
  return cutAt(
    bytes,
    Array.from({ length: Math.ceil(bytes.length / size) - 1 }, (_, index) => (index + 1) * size),
  )
}

function flagOctet(flags: FrameSpec['flags']): number {
  if (flags === undefined) return 0
  if (typeof flags === 'number') return flags
  return flags.reduce((octet, name) => octet | FrameFlag[name], 0)
}
