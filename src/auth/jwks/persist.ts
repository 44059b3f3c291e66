/**
 * Turns a fetched key set into a file and back, so that a restart while the provider is down still validates.
 * Floor 2; opens no file: KeyCacheFiles does. What is read is checked as if it came from the network, and the file
 * must belong to us alone, since whoever can write it can issue tokens.
 */
import { createHash } from 'node:crypto'
import type { Log } from '../../base/index.ts'
import { isJsonObject, ownMember } from '../jwt/strict-json.ts'
import { MAX_KEY_SET_BYTES } from './document.ts'

/** What the operating system says about a file or folder. */
export interface FileFacts {
  readonly kind: 'file' | 'folder' | 'other'
  /** Permission bits, such as 0o600. */
  readonly mode: number
  readonly uid: number
  readonly sizeBytes: number
}

/** The few file operations that the key cache needs. Each rejects with the operating system's error. */
export interface KeyCacheFiles {
  /** The uid that this process runs as. */
  readonly ownUid: number
  /** Facts about `path` itself, links not followed; null when there is nothing. */
  stat(path: string): Promise<FileFacts | null>
  /**
   * Opens `path` without following a link, and gives the facts of what was opened together with its text, so that
   * nothing can be put in its place in between; null when there is nothing. Reads at most `maxBytes`.
   */
  read(path: string, maxBytes: number): Promise<{ readonly facts: FileFacts; readonly text: string } | null>
  /** Writes a new file with mode 0600 beside `path`, then renames it over `path`. */
  writeAtomically(path: string, text: string): Promise<void>
}

/** A key set as it was last fetched. */
export interface StoredKeySet {
  /** Unix ms at which the fetch was started. */
  readonly fetchedAtMs: number
  /** The document as it was fetched. */
  readonly text: string
}

const VERSION = 1
/** JSON escapes can lengthen the document. */
const MAX_FILE_BYTES = 2 * MAX_KEY_SET_BYTES + 4_096

/** One provider's place in `oidc.key_cache_directory`. A trouble with it is a warning, never a failure. */
export class KeyCache {
  readonly path: string
  readonly #folder: string
  readonly #issuer: string
  readonly #files: KeyCacheFiles
  readonly #log: Log

  constructor(folder: string, issuer: string, files: KeyCacheFiles, log: Log) {
    this.#folder = folder.replace(/(?<=.)\/+$/, '')
    this.#issuer = issuer
    this.#files = files
    this.#log = log
    // Not the issuer itself: it holds slashes, and is the provider's text.
    this.path = `${this.#folder}/keys-${createHash('sha256').update(issuer).digest('hex').slice(0, 16)}.json`
  }

  /** The stored set; null when there is none or it cannot be trusted. */
  async load(): Promise<StoredKeySet | null> {
    try {
      if (!(await this.#isFolderOurs())) return null
      const file = await this.#files.read(this.path, MAX_FILE_BYTES)
      if (file === null) return null
      const complaint = this.#judgeFile(file.facts)
      if (complaint !== null) return this.#ignore(complaint)
      return this.#parse(file.text)
    } catch (err) {
      return this.#ignore('cannot be read', err)
    }
  }

  /** Stores a set. Never rejects. */
  async save(stored: StoredKeySet): Promise<void> {
    try {
      if (!(await this.#isFolderOurs())) return
      await this.#files.writeAtomically(
        this.path,
        JSON.stringify({
          version: VERSION,
          issuer: this.#issuer,
          fetched_at_ms: stored.fetchedAtMs,
          document: stored.text,
        }),
      )
    } catch (err) {
      this.#ignore('cannot be written', err)
    }
  }

  async #isFolderOurs(): Promise<boolean> {
    const folder = await this.#files.stat(this.#folder)
    let complaint: string | null = null
    if (folder === null || folder.kind !== 'folder')
      complaint = 'its folder does not exist: create it with mode 0700'
    else if (folder.uid !== this.#files.ownUid && folder.uid !== 0)
      complaint = 'its folder belongs to another user'
    else if ((folder.mode & 0o022) !== 0) complaint = 'its folder is writable by others: chmod go-w'
    if (complaint !== null) this.#ignore(complaint)
    return complaint === null
  }

  #judgeFile(facts: FileFacts): string | null {
    if (facts.kind !== 'file') return 'is not a regular file'
    if (facts.uid !== this.#files.ownUid) return 'belongs to another user'
    if ((facts.mode & 0o177) !== 0) return 'has a mode other than 0600'
    return facts.sizeBytes > MAX_FILE_BYTES ? 'is too large' : null
  }

  #parse(text: string): StoredKeySet | null {
    const stored: unknown = JSON.parse(text)
    if (!isJsonObject(stored) || ownMember(stored, 'version') !== VERSION)
      return this.#ignore('has another format')
    if (ownMember(stored, 'issuer') !== this.#issuer) return this.#ignore('is of another issuer')
    const fetchedAtMs = ownMember(stored, 'fetched_at_ms')
    const document = ownMember(stored, 'document')
    if (
      typeof fetchedAtMs !== 'number' ||
      typeof document !== 'string' ||
      document.length > MAX_KEY_SET_BYTES
    )
      return this.#ignore('has another format')
    return { fetchedAtMs, text: document }
  }

  #ignore(complaint: string, err?: unknown): null {
    const fields = { path: this.path, issuer: this.#issuer, ...(err === undefined ? {} : { err }) }
    this.#log.warn(fields, `the key cache file is ignored: it ${complaint}`.replace('it its', 'its'))
    return null
  }
}
