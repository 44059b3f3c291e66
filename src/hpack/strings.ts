/**
 * Turns string literals into latin1 strings; names that come again are made once.
 * Floor 1; knows no table. What it keeps is the same for every connection: octets and the string they spell.
 * @see RFC 7541 §5.2
 */
import { decodeHuffman, HUFFMAN_FAULT, maxDecodedBytes } from './huffman.ts'

/** Names up to this many octets are kept; the longest that gRPC sends often is 23. */
const MAX_KEPT_NAME_BYTES = 32
/** Slots for names, a power of two: 8 KiB of octets a process. A name evicts the one it collides with. */
const NAME_SLOTS = 256
/** Added to a kept name's length when it was Huffman-coded, so that one comparison covers both. */
const HUFFMAN_MARK = 0x40

/** Grows to the longest Huffman string seen, hence to 8/5 of the longest header block that the caller lets through. */
let scratch = Buffer.allocUnsafeSlow(4096)
const nameOctets = new Uint8Array(NAME_SLOTS * MAX_KEPT_NAME_BYTES)
const nameLengths = new Uint8Array(NAME_SLOTS)
const names: string[] = Array.from({ length: NAME_SLOTS }, () => '')

/** The string that `block` spells from `start` to `end`, or null if its Huffman code is at fault. */
export function decodeString(block: Buffer, start: number, end: number, isHuffman: boolean): string | null {
  if (!isHuffman) return block.toString('latin1', start, end)
  const maxBytes = maxDecodedBytes(end - start)
  if (maxBytes > scratch.length) scratch = Buffer.allocUnsafeSlow(maxBytes * 2)
  const length = decodeHuffman(block, start, end, scratch)
  return length === HUFFMAN_FAULT ? null : scratch.toString('latin1', 0, length)
}

/** Like decodeString, for names: one that was decoded lately is not decoded again. */
export function decodeName(block: Buffer, start: number, end: number, isHuffman: boolean): string | null {
  const length = end - start
  if (length === 0 || length > MAX_KEPT_NAME_BYTES) return decodeString(block, start, end, isHuffman)
  let hash = length
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + block[i]!) | 0
  const slot = (hash ^ (hash >>> 8)) & (NAME_SLOTS - 1)
  const kept = slot * MAX_KEPT_NAME_BYTES
  const mark = isHuffman ? length | HUFFMAN_MARK : length
  if (nameLengths[slot] === mark) {
    let i = 0
    while (i < length && nameOctets[kept + i] === block[start + i]) i++
    if (i === length) return names[slot]!
  }
  const name = decodeString(block, start, end, isHuffman)
  if (name === null) return null
  for (let i = 0; i < length; i++) nameOctets[kept + i] = block[start + i]!
  nameLengths[slot] = mark
  names[slot] = name
  return name
}
