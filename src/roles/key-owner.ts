/**
 * The control plane role's issuers into keepers of their keys: one of each, however many workers use them.
 * Floor 7; fetches no key itself: keepers do.
 */
import { KeyCache, KeyKeeper } from '../auth/index.ts'
import type { OidcConfig, OidcProviderConfig } from '../config/index.ts'
import { HttpClient, PrivateFiles, readFile, type TlsContext } from '../net/index.ts'
import { feedKeys } from './feed.ts'
import type { Machine } from './machine.ts'
import { openTls } from './tls.ts'
import { watchFiles, type WatchedFiles } from './watch-files.ts'

/** The owner of one issuer's keys, with all that it reads. */
export class KeyOwner {
  readonly keeper: KeyKeeper
  readonly #machine: Machine
  readonly #client: HttpClient
  readonly #tls: TlsContext | null
  /** Null unless the keys come from a local file. */
  readonly #files: WatchedFiles | null

  private constructor(
    machine: Machine,
    keeper: KeyKeeper,
    client: HttpClient,
    tls: TlsContext | null,
    files: WatchedFiles | null,
  ) {
    this.#machine = machine
    this.keeper = keeper
    this.#client = client
    this.#tls = tls
    this.#files = files
  }

  /** Makes one. Nothing is fetched before `keeper.start()`. @throws ConfigError */
  static async create(
    machine: Machine,
    oidc: OidcConfig,
    provider: OidcProviderConfig,
    path: string,
  ): Promise<KeyOwner> {
    const { issuerCaPath, publicKeysFile } = provider
    const tls =
      issuerCaPath === undefined
        ? null
        : await openTls(machine, { side: 'client', section: { caFile: issuerCaPath }, path, role: 'idp' })
    const client = new HttpClient({ tls })
    const keeper = createKeeper(machine, oidc, provider, client)
    feedKeys(machine.metrics, keeper, oidc.keyMaxStaleMs)
    const files =
      publicKeysFile === undefined
        ? null
        : await watchFiles(machine, [publicKeysFile], () => void keeper.reload())
    return new KeyOwner(machine, keeper, client, tls, files)
  }

  /** No keys ever: unready. Keys, but the last fetch failed: degraded (no-loss.md, Readiness). */
  report(): void {
    const { readiness } = this.#machine
    const { failure, hadKeys } = this.keeper.state
    const name = `keys ${this.keeper.issuer}`
    if (!hadKeys) {
      readiness.markUnready(
        name,
        'keys_never_loaded',
        failure === null ? 'the first fetch is under way' : `last attempt: ${failure}`,
      )
    } else if (failure !== null) readiness.markDegraded(name, failure, 'the last good keys are in use')
    else readiness.markReady(name)
  }

  /** Reads certificates and a local key file again. */
  async reload(): Promise<void> {
    await this.#tls?.reload()
    if (this.#files !== null) await this.keeper.reload()
  }

  close(): void {
    this.#files?.close()
    this.keeper.close()
    this.#tls?.close()
    void this.#client.close()
  }
}

function createKeeper(
  machine: Machine,
  oidc: OidcConfig,
  provider: OidcProviderConfig,
  client: HttpClient,
): KeyKeeper {
  const { clock, log } = machine
  const folder = oidc.keyCacheDirectory
  return new KeyKeeper(
    {
      issuer: provider.issuerUrl,
      jwksUri: provider.jwksUri ?? null,
      discoveryUrl: provider.discoveryUrl ?? null,
      publicKeysFile: provider.publicKeysFile ?? null,
      allowsHttp: (provider.unsafeAllow ?? []).includes('http_issuer'),
      maxStaleMs: oidc.keyMaxStaleMs,
    },
    {
      clock,
      log,
      fetch: client.fetch,
      readFile,
      cache: folder === undefined ? null : new KeyCache(folder, provider.issuerUrl, new PrivateFiles(), log),
    },
  )
}
