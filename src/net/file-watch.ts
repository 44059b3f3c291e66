/**
 * Files on disk into one call per change of their content, however they are replaced.
 * Floor 4; does not know what the files mean. Watches folders, since Kubernetes swaps a `..data` link and editors rename,
 * and reads again every 30 s, since watches get lost (network file systems, inotify limits).
 */
import { createHash } from 'node:crypto'
import { watch } from 'node:fs'
import { readFile as readFileOfNode } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ReadFile } from '../auth/index.ts'
import { NO_LOG } from '../base/index.ts'
import type { Clock, Log, Timer } from '../base/index.ts'

/** Reads a file with the operating system's rights of this process. */
export const readFile: ReadFile = (path) => readFileOfNode(path)

/** What was read, or why not, by path. */
export type FileContents = ReadonlyMap<string, Buffer | Error>

/** Calls `onEvent` whenever something in `folder` changes, and `onLost` when it can no longer tell. Returns the end. */
export type WatchFolder = (folder: string, onEvent: () => void, onLost: (error: Error) => void) => () => void

/** What a watch needs. */
export interface FileWatchOptions {
  readonly clock: Clock
  readonly paths: readonly string[]
  /** The content differs from what was last read or reported. Called once per change. */
  readonly onChanged: (contents: FileContents) => void
  readonly readFile?: ReadFile
  readonly watchFolder?: WatchFolder
  /** Ms between readings without an event; default 30 000 (configtls `reload_interval`). */
  readonly pollMs?: number
  readonly log?: Log
}

/** How long a folder must be quiet before its files are read: writers need several steps. */
export const QUIET_MS = 100
/** Default of `pollMs`. */
export const POLL_MS = 30_000

/** Watches a set of files as one. Nothing is reported before the first `read`, which sets what counts as known. */
export class FileWatch {
  readonly #options: FileWatchOptions
  readonly #readFile: ReadFile
  readonly #stopFolders = new Map<string, () => void>()
  #known: string | null = null
  #pollTimer: Timer | null = null
  #quietTimer: Timer | null = null
  #isChecking = false
  #mustCheckAgain = false
  #isClosed = false

  constructor(options: FileWatchOptions) {
    this.#options = options
    this.#readFile = options.readFile ?? readFile
  }

  /** Reads the files; what is read now counts as known. Never rejects: a file that cannot be read is an Error in the map. */
  async read(): Promise<FileContents> {
    const contents = await this.#readAll()
    this.#known = fingerprint(contents)
    return contents
  }

  /** Starts to watch. Harmless when it watches already. */
  start(): void {
    if (this.#isClosed || this.#pollTimer !== null) return
    this.#watchFolders()
    this.#armPoll()
  }

  /** Reads now and reports a change. Resolves when that is done; never rejects. */
  async check(): Promise<void> {
    if (this.#isChecking) {
      this.#mustCheckAgain = true
      return
    }
    this.#isChecking = true
    do {
      this.#mustCheckAgain = false
      const contents = await this.#readAll()
      const found = fingerprint(contents)
      if (this.#isClosed) break
      if (found !== this.#known) {
        this.#known = found
        this.#options.onChanged(contents)
      }
    } while (this.#mustCheckAgain)
    this.#isChecking = false
  }

  /** Ends the watch; nothing is reported any more. */
  close(): void {
    this.#isClosed = true
    this.#pollTimer?.cancel()
    this.#quietTimer?.cancel()
    for (const stop of this.#stopFolders.values()) stop()
    this.#stopFolders.clear()
  }

  #armPoll(): void {
    this.#pollTimer = this.#options.clock.setTimer(this.#options.pollMs ?? POLL_MS, () => {
      this.#watchFolders()
      this.#armPoll()
      void this.check()
    })
  }

  #watchFolders(): void {
    const watchFolder = this.#options.watchFolder ?? watchFolderOfNode
    for (const folder of new Set(this.#options.paths.map((path) => dirname(path)))) {
      if (this.#stopFolders.has(folder)) continue
      try {
        const stop = watchFolder(
          folder,
          () => {
            this.#onEvent()
          },
          (error) => {
            this.#stopFolders.get(folder)?.()
            this.#stopFolders.delete(folder)
            this.#say(folder, error)
          },
        )
        this.#stopFolders.set(folder, stop)
      } catch (error) {
        this.#say(folder, error)
      }
    }
  }

  #onEvent(): void {
    if (this.#isClosed) return
    this.#quietTimer?.cancel()
    this.#quietTimer = this.#options.clock.setTimer(QUIET_MS, () => {
      void this.check()
    })
  }

  #say(folder: string, error: unknown): void {
    const log = this.#options.log ?? NO_LOG
    log.debug({ folder, err: error }, 'the folder cannot be watched; its files are read at intervals only')
  }

  async #readAll(): Promise<FileContents> {
    const contents = new Map<string, Buffer | Error>()
    await Promise.all(
      this.#options.paths.map(async (path) => {
        try {
          contents.set(path, await this.#readFile(path))
        } catch (error) {
          contents.set(path, error instanceof Error ? error : new Error(String(error)))
        }
      }),
    )
    return contents
  }
}

/** A hash over all contents in the order of their paths; an unreadable file counts by its error's code. */
function fingerprint(contents: FileContents): string {
  const hash = createHash('sha256')
  for (const path of [...contents.keys()].sort()) {
    const content = contents.get(path)!
    if (content instanceof Error) hash.update(`${path}\0!${(content as NodeJS.ErrnoException).code ?? ''}\0`)
    else hash.update(`${path}\0${content.length}\0`).update(content)
  }
  return hash.digest('base64')
}

const watchFolderOfNode: WatchFolder = (folder, onEvent, onLost) => {
  const watcher = watch(folder, { persistent: false }, onEvent)
  watcher.on('error', onLost)
  return () => {
    watcher.close()
  }
}
