/**
 * One read from a socket, as far as somebody keeps views of it past the turn.
 * Floor 0; holds no octets, only their account: views pin the memory themselves.
 */

/** The account of one chunk. Made once a read, not once a view. */
export class Chunk {
  /** Octets of memory that any view of the chunk pins. */
  readonly bytes: number
  /** How many views are kept. */
  pinCount = 0

  constructor(bytes: number) {
    this.bytes = bytes
  }
}

/** A chunk of nothing, before the first read. */
export const NO_CHUNK = new Chunk(0)
