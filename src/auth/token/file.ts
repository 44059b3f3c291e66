/**
 * Tokens from a file that someone else keeps fresh: the kubelet, a SPIFFE agent, a cron job.
 * Floor 2; knows no inotify: it is read every 30 s, and whoever watches the folder may ask the keeper to refresh.
 */
import { CredentialError } from '../../base/index.ts'
import type { Clock } from '../../base/index.ts'
import type { ReadFile } from '../ports.ts'
import { boundCertificate, checkToken, peekClaims } from './response.ts'
import { MAX_TOKEN_LIFE_MS } from './schedule.ts'
import { SecretReader } from './source.ts'
import type { FetchedToken, TokenSource } from './source.ts'

/** How often the file is read: the collector's own extension notices a change at once, the kubelet takes up to a minute. */
export const TOKEN_FILE_RECHECK_MS = 30_000

/** A token file as a source. The life of a JWT ends at its `exp`; of an opaque token nothing is known, it is used as it stands. */
export class TokenFileSource implements TokenSource {
  readonly kind = 'file'
  readonly #file: string
  readonly #clock: Clock
  readonly #secrets: SecretReader

  constructor(options: { readonly file: string; readonly readFile: ReadFile; readonly clock: Clock }) {
    this.#file = options.file
    this.#clock = options.clock
    this.#secrets = new SecretReader(options.readFile)
  }

  async fetchToken(): Promise<FetchedToken> {
    const text = await this.#secrets.read({ file: this.#file }, 'token')
    const accessToken = text.replace(/^bearer +/i, '')
    checkToken(accessToken, `token file ${this.#file}`)
    const claims = peekClaims(accessToken)
    const lifeMs =
      typeof claims?.exp === 'number' ? claims.exp * 1000 - this.#clock.wallMs() : MAX_TOKEN_LIFE_MS
    if (lifeMs <= 0)
      throw new CredentialError(
        'token_unusable',
        `token file ${this.#file}: the token has expired; renew the file`,
      )
    return {
      accessToken,
      lifeMs: Math.min(lifeMs, MAX_TOKEN_LIFE_MS),
      certificateSha256: boundCertificate(claims),
      recheckMs: TOKEN_FILE_RECHECK_MS,
    }
  }
}
