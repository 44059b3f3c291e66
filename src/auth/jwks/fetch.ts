/**
 * Turns a provider's settings into the text of its key set: discovery, the key set's address, or a local file.
 * Floor 2; keeps nothing and schedules nothing (refresh.ts does), and opens no socket: HttpFetch and ReadFile are ports.
 * OpenID Connect Discovery 1.0 §4, RFC 8414 §3.3 (issuer check), RFC 7517.
 */
import { CredentialError, type Clock } from '../../base/index.ts'
import { isJsonObject, ownMember } from '../jwt/strict-json.ts'
import type { HttpFetch, ReadFile } from '../ports.ts'
import { MAX_KEY_SET_BYTES } from './document.ts'

/** Where a provider's keys come from. */
export interface KeySource {
  /** The issuer as tokens name it. */
  readonly issuer: string
  /** The key set's address; null to learn it by discovery. */
  readonly jwksUri?: string | null
  /** The discovery document's address; null for `<issuer>/.well-known/openid-configuration`. */
  readonly discoveryUrl?: string | null
  /** A local JWK set or PEM file in place of the network; null for none. */
  readonly publicKeysFile?: string | null
  /** Whether plain http to other hosts is allowed (`unsafe_allow_http_issuer`); default false. */
  readonly allowsHttp?: boolean
}

/** Ports of a fetch. */
export interface KeyFetchPorts {
  readonly clock: Clock
  readonly fetch: HttpFetch
  readonly readFile: ReadFile
}

/** Time for one fetch, discovery included, in ms (auth.md §3). */
const FETCH_TIMEOUT_MS = 5_000
/** Redirects that are followed, within one origin. */
const MAX_REDIRECTS = 3

/** Whether a provider may be asked at `url`: https, or http on this machine, or http when that is allowed. */
export function isAllowedUrl(url: string, allowsHttp: boolean): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname, username, password } = new URL(url)
  if (username !== '' || password !== '') return false
  if (protocol === 'https:') return true
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  return protocol === 'http:' && (isLoopback || allowsHttp)
}

/** Where discovery looks for `issuer`, a trailing slash of which is not doubled. */
export function defaultDiscoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
}

/** Fetches key set texts of one provider, and remembers between fetches only where the key set is. */
export class KeySetFetcher {
  readonly #source: KeySource
  readonly #ports: KeyFetchPorts
  #discoveredUri: string | null = null

  constructor(source: KeySource, ports: KeyFetchPorts) {
    this.#source = source
    this.#ports = ports
  }

  /** The text of the key set. Rejects with a CredentialError after five seconds at most. */
  async fetchText(): Promise<string> {
    const { publicKeysFile } = this.#source
    if (publicKeysFile !== null && publicKeysFile !== undefined) return this.#readFile(publicKeysFile)
    const abort = new AbortController()
    let timer
    const expired = new Promise<never>((_, reject) => {
      timer = this.#ports.clock.setTimer(FETCH_TIMEOUT_MS, () => {
        const error = new CredentialError('idp_timeout', `no answer within ${FETCH_TIMEOUT_MS / 1_000} s`)
        reject(error)
        abort.abort(error)
      })
    })
    try {
      return await Promise.race([this.#fetchKeySet(abort.signal), expired])
    } finally {
      ;(timer as { cancel(): void } | undefined)?.cancel()
    }
  }

  async #readFile(path: string): Promise<string> {
    let bytes: Buffer
    try {
      bytes = await this.#ports.readFile(path)
    } catch (cause) {
      throw new CredentialError('keys_unreadable', `${path} cannot be read`, { cause })
    }
    if (bytes.length > MAX_KEY_SET_BYTES) throw tooLarge(path)
    return bytes.toString('utf8')
  }

  async #fetchKeySet(signal: AbortSignal): Promise<string> {
    const configuredUri = this.#source.jwksUri ?? null
    const knownUri = configuredUri ?? this.#discoveredUri
    if (knownUri !== null) {
      try {
        return await this.#get(knownUri, signal)
      } catch (error) {
        // It may have moved: the next attempt asks discovery again.
        this.#discoveredUri = null
        throw error
      }
    }
    const discoveredUri = await this.#discover(signal)
    const text = await this.#get(discoveredUri, signal)
    this.#discoveredUri = discoveredUri
    return text
  }

  async #discover(signal: AbortSignal): Promise<string> {
    const { issuer, discoveryUrl } = this.#source
    const url = discoveryUrl ?? defaultDiscoveryUrl(issuer)
    const metadata = parseMetadata(await this.#get(url, signal), url)
    const found = ownMember(metadata, 'issuer')
    if (found !== issuer)
      throw new CredentialError(
        'idp_issuer_mismatch',
        `the discovery document at ${url} is of issuer ${quote(found)}, not of ${quote(issuer)}; set issuer_url to the former if that is what tokens carry`,
      )
    const jwksUri = ownMember(metadata, 'jwks_uri')
    if (typeof jwksUri !== 'string')
      throw new CredentialError('idp_malformed', `the discovery document at ${url} names no jwks_uri`)
    return jwksUri
  }

  /** GET with redirects followed within one origin only: another host would have to be trusted as the issuer is. */
  async #get(address: string, signal: AbortSignal): Promise<string> {
    let url = address
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      if (!isAllowedUrl(url, this.#source.allowsHttp ?? false))
        throw new CredentialError(
          'idp_malformed',
          `${quote(url)} is not an https URL; plain http is for loopback only`,
        )
      const response = await this.#request(url, signal)
      if (response.status < 300 || response.status > 399) return readBody(response, url)
      await response.body?.cancel()
      const location = response.headers.get('location') ?? ''
      const target = URL.canParse(location, url) ? new URL(location, url) : null
      if (target === null || target.origin !== new URL(url).origin)
        throw new CredentialError('idp_status', `${url} redirects to another host, which is not followed`)
      url = target.href
    }
    throw new CredentialError('idp_status', `${address} redirects more than ${MAX_REDIRECTS} times`)
  }

  async #request(url: string, signal: AbortSignal): Promise<Response> {
    try {
      return await this.#ports.fetch(url, {
        headers: { accept: 'application/json' },
        redirect: 'manual',
        signal,
      })
    } catch (cause) {
      throw cause instanceof CredentialError ? cause : networkError(url, cause)
    }
  }
}

async function readBody(response: Response, url: string): Promise<string> {
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new CredentialError(
      response.status === 429 ? 'idp_rate_limited' : 'idp_status',
      `${url} answered ${response.status}`,
    )
  }
  const chunks: Uint8Array[] = []
  let byteCount = 0
  try {
    for await (const chunk of response.body ?? []) {
      byteCount += chunk.length
      // Leaving the loop cancels the body.
      if (byteCount > MAX_KEY_SET_BYTES) throw tooLarge(url)
      chunks.push(chunk)
    }
  } catch (cause) {
    throw cause instanceof CredentialError ? cause : networkError(url, cause)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseMetadata(text: string, url: string): Readonly<Record<string, unknown>> {
  try {
    const metadata: unknown = JSON.parse(text)
    if (isJsonObject(metadata)) return metadata
  } catch {
    // Falls through: what is not JSON is as malformed as JSON of another type.
  }
  throw new CredentialError('idp_malformed', `the discovery document at ${url} is not a JSON object`)
}

function tooLarge(place: string): CredentialError {
  return new CredentialError('idp_malformed', `${place} holds more than ${MAX_KEY_SET_BYTES / 1_048_576} MiB`)
}

const TLS_CODE = /^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED)/

function networkError(url: string, cause: unknown): CredentialError {
  const inner = cause instanceof Error ? ((cause.cause as { code?: unknown } | undefined)?.code ?? '') : ''
  const code = typeof inner === 'string' ? inner : ''
  return new CredentialError(
    TLS_CODE.test(code) ? 'idp_tls' : 'idp_unreachable',
    `${new URL(url).origin} cannot be reached${code === '' ? '' : ` (${code})`}`,
    { cause },
  )
}

function quote(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 256)) : 'unknown'
}
