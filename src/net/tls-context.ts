/**
 * Files of certificates and keys into the TLS material in use: loaded once, then swapped whole or not at all.
 * Floor 4; knows no socket. A change that does not fit together keeps the last good material and says so.
 */
import { NO_LOG, Published } from '../base/index.ts'
import type { Clock, Log, Snapshot, SnapshotSource } from '../base/index.ts'
import type { ReadFile } from '../auth/index.ts'
import { FileWatch } from './file-watch.ts'
import type { FileContents, WatchFolder } from './file-watch.ts'
import type { NetStats } from './stats.ts'
import { TlsMaterialError, buildTlsMaterial, tlsFiles } from './tls-material.ts'
import type { TlsMaterial, TlsOptions, TlsSide } from './tls-material.ts'

/** What a TLS context needs. */
export interface TlsContextOptions {
  readonly side: TlsSide
  readonly tls: TlsOptions
  readonly clock: Clock
  readonly stats: NetStats
  /** Ms between readings of the files without an event; default 30 000. */
  readonly reloadIntervalMs?: number
  readonly readFile?: ReadFile
  readonly watchFolder?: WatchFolder
  readonly log?: Log
}

/** The TLS material of one listener or endpoint, kept up to date. */
export class TlsContext implements SnapshotSource<TlsMaterial> {
  readonly side: TlsSide
  readonly #options: TlsContextOptions
  readonly #published = new Published<TlsMaterial>()
  readonly #watch: FileWatch
  /** Whether the last attempt to load worked; false keeps the last good material in use. */
  isLastReloadOk = true
  /** Unix ms of the last load that worked. */
  loadedAtMs = 0
  /** What the files held when the material in use was made, keys included: for other processes of ours, never for a log. */
  contents: FileContents = new Map()

  private constructor(options: TlsContextOptions) {
    this.side = options.side
    this.#options = options
    const { clock, readFile, watchFolder, log, reloadIntervalMs } = options
    this.#watch = new FileWatch({
      clock,
      paths: tlsFiles(options.tls),
      onChanged: (contents) => {
        this.#swap(contents)
      },
      ...(reloadIntervalMs !== undefined && { pollMs: reloadIntervalMs }),
      ...(readFile && { readFile }),
      ...(watchFolder && { watchFolder }),
      ...(log && { log }),
    })
  }

  /**
   * Loads the material and starts to watch its files.
   * @throws TlsMaterialError with every problem: the operator's to mend before start
   */
  static async open(options: TlsContextOptions): Promise<TlsContext> {
    const context = new TlsContext(options)
    const contents = await context.#watch.read()
    context.#publish(buildTlsMaterial(options.side, options.tls, contents), contents)
    context.#warnIfExpired(context.material)
    if (tlsFiles(options.tls).length > 0) context.#watch.start()
    return context
  }

  get current(): Snapshot<TlsMaterial> | null {
    return this.#published.current
  }

  /** The material in use. */
  get material(): TlsMaterial {
    return this.#published.current!.value
  }

  /** Grows with each swap. */
  get generation(): number {
    return this.#published.current!.generation
  }

  subscribe(listener: (snapshot: Snapshot<TlsMaterial>) => void): () => void {
    return this.#published.subscribe(listener)
  }

  /** Reads the files now (SIGHUP). Resolves when a change, if any, is in use or refused. */
  reload(): Promise<void> {
    return this.#watch.check()
  }

  /** Stops to watch; the material stays. */
  close(): void {
    this.#watch.close()
  }

  #swap(contents: FileContents): void {
    const { side, tls, stats } = this.#options
    const log = this.#options.log ?? NO_LOG
    stats.reloads++
    try {
      const material = buildTlsMaterial(side, tls, contents)
      this.#refuseExpired(material)
      this.isLastReloadOk = true
      this.#publish(material, contents)
      log.info(
        { side, not_after: isoDate(material.notAfterMs), generation: this.generation },
        'TLS certificates were reloaded',
      )
    } catch (error) {
      stats.reloadsFailed++
      this.isLastReloadOk = false
      const reason = error instanceof TlsMaterialError ? error.message : `unexpected: ${String(error)}`
      log.error({ side, reason }, 'changed TLS files cannot be used; the last good ones stay in use')
    }
  }

  /** An expired certificate is no improvement on a valid one. */
  #refuseExpired(material: TlsMaterial): void {
    const wallMs = this.#options.clock.wallMs()
    if (material.notAfterMs > wallMs || this.material.notAfterMs <= wallMs) return
    throw new TlsMaterialError([
      {
        option: 'cert_file',
        problem: `the new certificate expired at ${isoDate(material.notAfterMs)}`,
        remedy: 'issue a new one; the one in use is still valid',
      },
    ])
  }

  #warnIfExpired(material: TlsMaterial): void {
    if (material.notAfterMs > this.#options.clock.wallMs()) return
    const log = this.#options.log ?? NO_LOG
    log.error(
      { side: this.side, not_after: isoDate(material.notAfterMs) },
      'the TLS certificate has expired: peers will refuse it; issue a new one',
    )
  }

  #publish(material: TlsMaterial, contents: FileContents): void {
    this.contents = contents
    this.loadedAtMs = this.#options.clock.wallMs()
    this.#published.publish(material)
  }
}

function isoDate(ms: number): string | null {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : null
}
