/**
 * What a keeper asks for tokens: an identity provider or a file, behind one call; and where secrets come from.
 * Floor 2; knows no schedule and no cache: every call goes to the provider, every secret is read again.
 */
import { CredentialError } from '../../base/index.ts'
import type { ReadFile } from '../ports.ts'

/** A token as its source gave it. */
export interface FetchedToken {
  readonly accessToken: string
  /** How long it lives, in ms, counted from the start of the request for it; more than 0. */
  readonly lifeMs: number
  /** `cnf.x5t#S256` of the token when it is a JWT bound to a certificate (RFC 8705 §3.1); else null. */
  readonly certificateSha256: string | null
  /** For sources that are cheap to ask: ms after which to ask again, whatever the token's life. Null: the schedule says when. */
  readonly recheckMs: number | null
}

/** Where tokens come from. */
export interface TokenSource {
  /** For logs: `client_credentials`, `jwt_bearer`, `token_exchange` or `file`. */
  readonly kind: string
  /**
   * Gets a token.
   * @param signal aborted when the keeper no longer waits; the source may go on, its result is ignored
   * @throws CredentialError, and nothing else; its message holds neither a secret nor what the provider wrote
   */
  fetchToken(signal: AbortSignal): Promise<FetchedToken>
}

/** A secret in the configuration, or in a file that is read at each use. */
export type SecretRef = { readonly value: string } | { readonly file: string }

/** Reads secrets: each use reads the file again, so that a rotated secret is used at the next fetch. */
export class SecretReader {
  readonly #readFile: ReadFile
  constructor(readFile: ReadFile) {
    this.#readFile = readFile
  }

  /**
   * The secret, without white space around it (files end in a newline; the collector trims too).
   * @param what names it in the error, such as `client secret`
   * @throws CredentialError `secret_unreadable` with the file's name and the system's error code
   */
  async read(ref: SecretRef, what: string): Promise<string> {
    if ('value' in ref) return ref.value
    let text: string
    try {
      text = (await this.#readFile(ref.file)).toString('utf8').trim()
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new CredentialError('secret_unreadable', `cannot read the ${what} from ${ref.file}: ${code}`)
    }
    if (text === '') throw new CredentialError('secret_unreadable', `the ${what} file ${ref.file} is empty`)
    return text
  }
}
