/**
 * Turns Huffman-coded strings into octets and strings into Huffman codes.
 * Floor 1; knows no field. The decoder is a state machine that takes an octet a step: a state is a node of the code
 * tree, and a step emits at most two symbols, since no code is shorter than five bits.
 * @see RFC 7541 §5.2, Appendix B
 */
import { CODE_BITS, CODES, EOS_SYMBOL } from './huffman-table.ts'

/** The octets are no Huffman string: EOS in it, more than 7 bits of padding, or padding other than ones. */
export const HUFFMAN_FAULT = -1

/** A step's result: bits 0-7 the next state, 8-9 the symbols emitted, 10 a fault, 16-23 and 24-31 the symbols. */
const STEP_COUNT_SHIFT = 8
const STEP_FAULT = 0x400
const NODE_COUNT = 256

/** Two children a node: above 0 a node, else the complement of a symbol. The root is 0 and nobody's child. */
const CHILDREN: Int16Array = growTree()
const STEPS: Int32Array = tabulate()
/** 1 for the states in which a string may end: the root, and up to 7 ones below it. */
const IS_END: Uint8Array = markEnds()

/** Octets that decodeHuffman may write for `length` octets of input: the shortest code is 5 bits; 2 are slack. */
export function maxDecodedBytes(length: number): number {
  return ((length * 8) / 5 + 2) | 0
}

/**
 * Decodes `octets` from `start` to `end` into `target` from its start.
 * @param target holds at least maxDecodedBytes(end - start)
 * @returns octets written, or HUFFMAN_FAULT
 */
export function decodeHuffman(octets: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = 0
  let at = 0
  let seen = 0
  for (let i = start; i < end; i++) {
    const step = STEPS[(state << 8) | octets[i]!]!
    // Both symbols are always written, and counted only if they are there: no branch to mispredict.
    target[at] = step >>> 16
    target[at + 1] = step >>> 24
    at += (step >>> STEP_COUNT_SHIFT) & 3
    seen |= step
    state = step & 0xff
  }
  return (seen & STEP_FAULT) !== 0 || IS_END[state] === 0 ? HUFFMAN_FAULT : at
}

/** Octets that `text` takes as a Huffman string. @param text latin1 */
export function huffmanBytes(text: string): number {
  let bits = 0
  for (let i = 0; i < text.length; i++) bits += CODE_BITS[text.charCodeAt(i)]!
  return (bits + 7) >>> 3
}

/**
 * Writes `text` as a Huffman string, padded with ones.
 * @param text latin1
 * @returns the offset after it
 */
export function encodeHuffman(text: string, target: Uint8Array, at: number): number {
  let pending = 0
  let pendingBits = 0
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i)
    let code = CODES[symbol]!
    let bits = CODE_BITS[symbol]!
    if (bits > 24) {
      // With the 7 bits that may be pending, the whole code would not fit in 31 bits: its head goes first.
      bits -= 16
      pending = (pending << bits) | (code >>> 16)
      pendingBits += bits
      while (pendingBits >= 8) {
        pendingBits -= 8
        target[at++] = pending >>> pendingBits
      }
      pending &= 0xff >>> (8 - pendingBits)
      code &= 0xffff
      bits = 16
    }
    pending = (pending << bits) | code
    pendingBits += bits
    while (pendingBits >= 8) {
      pendingBits -= 8
      target[at++] = pending >>> pendingBits
    }
    pending &= 0xff >>> (8 - pendingBits)
  }
  if (pendingBits > 0) target[at++] = (pending << (8 - pendingBits)) | (0xff >>> pendingBits)
  return at
}

function growTree(): Int16Array {
  const children = new Int16Array(NODE_COUNT * 2)
  let nodes = 1
  for (let symbol = 0; symbol <= EOS_SYMBOL; symbol++) {
    let node = 0
    for (let bit = CODE_BITS[symbol]! - 1; bit > 0; bit--) {
      const branch = node * 2 + ((CODES[symbol]! >>> bit) & 1)
      if (children[branch] === 0) children[branch] = nodes++
      node = children[branch]!
    }
    children[node * 2 + (CODES[symbol]! & 1)] = ~symbol
  }
  return children
}

/** Joins two steps of four bits for each step of eight, which is much quicker to set up than walking each by bits. */
function tabulate(): Int32Array {
  const halves = new Int32Array(NODE_COUNT * 16)
  for (let i = 0; i < halves.length; i++) halves[i] = walk(i >>> 4, i & 15)
  const steps = new Int32Array(NODE_COUNT * 256)
  for (let i = 0; i < steps.length; i++) {
    const first = halves[i >>> 4]!
    const second = halves[((first & 0xff) << 4) | (i & 15)]!
    const isFault = ((first | second) & STEP_FAULT) !== 0
    steps[i] = isFault ? STEP_FAULT : join(first, second)
  }
  return steps
}

/** At most one symbol ends in four bits, so each half has its symbol, if any, in bits 16-23. */
function join(first: number, second: number): number {
  const firstCount = (first >>> STEP_COUNT_SHIFT) & 1
  const secondCount = (second >>> STEP_COUNT_SHIFT) & 1
  const symbols = (first & 0xff0000) | ((second & 0xff0000) << (8 * firstCount))
  return symbols | ((firstCount + secondCount) << STEP_COUNT_SHIFT) | (second & 0xff)
}

/** Goes down the tree by four bits. */
function walk(state: number, nibble: number): number {
  let node = state
  let symbol = 0
  let count = 0
  for (let bit = 3; bit >= 0; bit--) {
    const child = CHILDREN[node * 2 + ((nibble >>> bit) & 1)]!
    if (child > 0) {
      node = child
      continue
    }
    if (~child === EOS_SYMBOL) return STEP_FAULT
    symbol = ~child
    count = 1
    node = 0
  }
  return (symbol << 16) | (count << STEP_COUNT_SHIFT) | node
}

function markEnds(): Uint8Array {
  const ends = new Uint8Array(NODE_COUNT)
  let node = 0
  for (let ones = 0; ones <= 7; ones++) {
    ends[node] = 1
    node = CHILDREN[node * 2 + 1]!
  }
  return ends
}
