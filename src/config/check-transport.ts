/**
 * The checks of what both roles have: listener, upstream, TLS, URLs of the identity provider.
 * Floor 1; opens nothing.
 */
import { checkIdleTls } from './check-idle.ts'
import { isLocalEndpoint, isLoopbackHost } from './endpoint.ts'
import type { Findings } from './findings.ts'
import type { ListenConfig, TlsClientConfig, TlsServerConfig, UpstreamConfig } from './schema.ts'
import type { KeyPath } from './tree.ts'

/** Checks a listener. Plaintext only on loopback or a UNIX socket, unless it is said to be meant (auth.md §6). */
export function checkListen(listen: ListenConfig, path: KeyPath, findings: Findings): void {
  const { endpoint } = listen
  if (listen.isPlaintext && !isLocalEndpoint(endpoint)) {
    const problem = `${endpoint.text} would be open to the network in plaintext`
    if (listen.unsafeAllow?.includes('plaintext') === true) {
      findings.warn([...path, 'endpoint'], problem, 'add tls when you can')
    } else {
      const remedy =
        'add tls beside it, listen on localhost, or write unsafe_allow: [plaintext] if that is meant'
      findings.fault([...path, 'endpoint'], problem, remedy)
    }
  }
  if (listen.transport !== undefined && (listen.transport === 'unix') !== (endpoint.kind === 'unix')) {
    const remedy = endpoint.kind === 'unix' ? 'write transport: unix' : 'write endpoint: unix:///path/of.sock'
    findings.fault([...path, 'transport'], `is ${listen.transport}, and the endpoint is not`, remedy)
  }
  if (listen.tls !== undefined) checkTlsServer(listen.tls, [...path, 'tls'], findings)
}

/** Checks the TLS of a listener. */
export function checkTlsServer(tls: TlsServerConfig, path: KeyPath, findings: Findings): void {
  checkPair(tls, path, findings)
  if (
    tls.certFile === undefined &&
    tls.certPem === undefined &&
    tls.keyFile === undefined &&
    tls.keyPem === undefined
  ) {
    findings.fault(
      [...path, 'cert_file'],
      'is required and missing',
      'add cert_file and key_file; authgw certs makes them',
    )
  }
  if (tls.clientAuth !== 'none' && tls.clientCaFile === undefined) {
    const remedy = 'name the CA of the client certificates, or write client_auth: none'
    findings.fault([...path, 'client_ca_file'], `is required with client_auth: ${tls.clientAuth}`, remedy)
  }
  if (tls.clientAuth === 'none') {
    for (const [value, key] of [
      [tls.clientCaFile, 'client_ca_file'],
      [tls.allowedSans, 'allowed_sans'],
      [tls.crlFile, 'crl_file'],
    ] as const) {
      if (value !== undefined) {
        findings.fault(
          [...path, key],
          'has no effect without client certificates',
          key === 'client_ca_file' ? 'remove it, or client_auth: none' : 'write client_auth: require',
        )
      }
    }
  }
}

/** Checks an upstream. */
export function checkUpstream(
  upstream: UpstreamConfig,
  listen: ListenConfig,
  path: KeyPath,
  findings: Findings,
): void {
  const { endpoint, tls } = upstream
  if (endpoint.kind === 'tcp' && endpoint.port === 0) {
    findings.fault(
      [...path, 'endpoint'],
      'port 0 cannot be dialled',
      'write the port of the collector, such as 4317',
    )
  }
  const dialsItself =
    endpoint.kind === 'unix'
      ? listen.endpoint.kind === 'unix' && listen.endpoint.path === endpoint.path
      : listen.endpoint.kind === 'tcp' &&
        listen.endpoint.port === endpoint.port &&
        (listen.endpoint.host === endpoint.host ||
          (isLoopbackHost(listen.endpoint.host) && isLoopbackHost(endpoint.host)))
  if (dialsItself) {
    findings.fault(
      [...path, 'endpoint'],
      'is the address this role listens on',
      'write the address of the next hop',
    )
  }
  if (tls === undefined) return
  if (tls.insecure) {
    if (!isLocalEndpoint(endpoint)) {
      const problem = `calls to ${endpoint.text} would leave this machine in plaintext`
      findings.requireAllowed([...path, 'tls', 'insecure'], 'insecure', tls.unsafeAllow, problem)
    }
    checkIdleTls([...path, 'tls'], findings)
  }
  checkTlsClient(tls, [...path, 'tls'], findings)
}

/** Checks the TLS of connections that we open. */
export function checkTlsClient(
  tls: Omit<TlsClientConfig, 'insecure' | 'unsafeAllow' | 'allowedSans'> & {
    readonly unsafeAllow?: readonly string[] | undefined
  },
  path: KeyPath,
  findings: Findings,
): void {
  checkPair(tls, path, findings)
  if (tls.insecureSkipVerify) {
    const problem = 'anyone could answer in the peer’s place'
    findings.requireAllowed(
      [...path, 'insecure_skip_verify'],
      'insecure_skip_verify',
      tls.unsafeAllow,
      problem,
    )
  }
}

type KeyMaterial = Pick<
  TlsServerConfig,
  'certFile' | 'certPem' | 'keyFile' | 'keyPem' | 'minVersion' | 'maxVersion'
>

function checkPair(
  tls: KeyMaterial & { readonly caFile?: unknown; readonly caPem?: unknown },
  path: KeyPath,
  findings: Findings,
): void {
  for (const [file, pem, name] of [
    [tls.caFile, tls.caPem, 'ca'],
    [tls.certFile, tls.certPem, 'cert'],
    [tls.keyFile, tls.keyPem, 'key'],
  ] as const) {
    if (file !== undefined && pem !== undefined) {
      findings.fault([...path, `${name}_pem`], `contradicts ${name}_file`, 'remove one of the two')
    }
  }
  const hasCertificate = tls.certFile !== undefined || tls.certPem !== undefined
  const hasKey = tls.keyFile !== undefined || tls.keyPem !== undefined
  if (hasCertificate && !hasKey) {
    findings.fault(
      [...path, 'key_file'],
      'is required with cert_file',
      'add the private key of the certificate',
    )
  }
  if (hasKey && !hasCertificate) {
    findings.fault(
      [...path, 'cert_file'],
      'is required with key_file',
      'add the certificate of the private key',
    )
  }
  if (tls.minVersion > tls.maxVersion) {
    findings.fault([...path, 'min_version'], 'is above max_version', 'write min_version: "1.2"')
  }
}

/** Where a provider tells about itself, below its issuer (OpenID Connect Discovery §4, RFC 8414 §3). */
const WELL_KNOWN = '/.well-known/'

/** Checks an issuer: what tokens carry in `iss`, not the address of the document that says so. */
export function checkIssuer(
  issuer: string | undefined,
  path: KeyPath,
  allowed: readonly string[] | undefined,
  findings: Findings,
): void {
  checkProviderUrl(issuer, path, allowed, findings)
  const at = issuer?.indexOf(WELL_KNOWN) ?? -1
  if (at > 0) {
    const remedy = `write ${issuer!.slice(0, at)}; the rest is found from there`
    findings.fault(path, 'is the address of the discovery document, not the issuer', remedy)
  }
}

/** Checks a URL of the identity provider: http only on loopback (auth.md §3). */
export function checkProviderUrl(
  url: string | undefined,
  path: KeyPath,
  allowed: readonly string[] | undefined,
  findings: Findings,
): void {
  if (url === undefined) return
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || isLoopbackHost(hostname)) return
  const problem = `${url} is not https: keys and secrets could be read and changed on the way`
  if (allowed?.includes('http_issuer') === true) {
    findings.warn(path, problem, 'write https:// when the provider can')
    return
  }
  findings.fault(path, problem, 'write https://, or unsafe_allow: [http_issuer] beside it if that is meant')
}
