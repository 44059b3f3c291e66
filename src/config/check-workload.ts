/**
 * The checks of the workload role: is there exactly one way to a token, and is it complete?
 * Floor 1; fetches nothing.
 */
import { checkFieldName } from './check-field-name.ts'
import { checkIdleGrant, checkIdleWorkload } from './check-idle.ts'
import {
  checkIssuer,
  checkListen,
  checkProviderUrl,
  checkTlsClient,
  checkUpstream,
} from './check-transport.ts'
import type { Findings } from './findings.ts'
import type { BearerTokenConfig, Oauth2ClientConfig, WorkloadConfig } from './schema.ts'
import type { KeyPath } from './tree.ts'

/** Checks the workload role. */
export function checkWorkload(workload: WorkloadConfig, findings: Findings): void {
  checkListen(workload.listen, ['workload', 'listen'], findings)
  checkUpstream(workload.upstream, workload.listen, ['workload', 'upstream'], findings)
  checkIdentities(workload, findings)
  checkIdleWorkload(workload, findings)
  if (workload.identities === undefined) {
    const isOpen = workload.unsafeAllow?.includes('no_credential') === true
    checkCredential(workload, ['workload'], isOpen, findings)
  }
}

interface Credential {
  readonly oauth2client?: Oauth2ClientConfig | undefined
  readonly bearertokenauth?: BearerTokenConfig | undefined
}

function checkCredential(source: Credential, path: KeyPath, mayBeMissing: boolean, findings: Findings): void {
  const { oauth2client, bearertokenauth } = source
  const bearer: KeyPath = [...path, 'bearertokenauth']
  if (bearertokenauth !== undefined) {
    checkFieldName(bearertokenauth.header, [...bearer, 'header'], findings)
  }
  const hasToken = bearertokenauth?.filename !== undefined
  if (oauth2client === undefined && !hasToken && !mayBeMissing) {
    const remedy =
      'add it with issuer_url, client_id and client_secret_file, or bearertokenauth with filename'
    findings.fault([...path, 'oauth2client'], 'is required and missing: there is no way to a token', remedy)
  }
  if (oauth2client !== undefined && hasToken) {
    const remedy = 'keep one of the two'
    findings.fault([...bearer, 'filename'], 'contradicts oauth2client: there are two ways to a token', remedy)
  }
  if (oauth2client !== undefined) checkOauth2Client(oauth2client, [...path, 'oauth2client'], findings)
}

function checkOauth2Client(client: Oauth2ClientConfig, path: KeyPath, findings: Findings): void {
  if (client.issuerUrl === undefined && client.tokenUrl === undefined) {
    const remedy = 'add it, such as https://keycloak.example.com/realms/opentelemetry, or token_url'
    findings.fault([...path, 'issuer_url'], 'is required and missing', remedy)
  }
  checkIssuer(client.issuerUrl, [...path, 'issuer_url'], client.unsafeAllow, findings)
  checkProviderUrl(client.discoveryUrl, [...path, 'discovery_url'], client.unsafeAllow, findings)
  checkProviderUrl(client.tokenUrl, [...path, 'token_url'], client.unsafeAllow, findings)
  for (const [value, file, key] of [
    [client.clientId, client.clientIdFile, 'client_id'],
    [client.clientSecret, client.clientSecretFile, 'client_secret'],
    [client.clientCertificateKey, client.clientCertificateKeyFile, 'client_certificate_key'],
  ] as const) {
    if (value !== undefined && file !== undefined) {
      findings.fault([...path, key], `contradicts ${key}_file`, `remove ${key}`)
    }
  }
  if (client.clientId === undefined && client.clientIdFile === undefined) {
    findings.fault([...path, 'client_id'], 'is required and missing', 'add the client’s name at the provider')
  }
  const hasSigningKey =
    client.clientCertificateKey !== undefined || client.clientCertificateKeyFile !== undefined
  const signsItself = client.grantType.endsWith('jwt-bearer') && hasSigningKey
  if (client.grantType !== 'client_credentials' && client.subjectTokenFile === undefined && !signsItself) {
    const remedy = 'name the file with the token to present'
    findings.fault([...path, 'subject_token_file'], 'is required with this grant_type', remedy)
  }
  checkClientAuthentication(client, path, findings)
  checkIdleGrant(client, path, findings)
  if (client.tls !== undefined) checkTlsClient(client.tls, [...path, 'tls'], findings)
}

/** Each way to authenticate the client needs its own material (auth.md §1). */
function checkClientAuthentication(client: Oauth2ClientConfig, path: KeyPath, findings: Findings): void {
  const hasSecret = client.clientSecret !== undefined || client.clientSecretFile !== undefined
  const hasKey = client.clientCertificateKey !== undefined || client.clientCertificateKeyFile !== undefined
  const hasAssertion = client.clientAssertionFile !== undefined
  const hasCertificate = client.tls?.certFile !== undefined || client.tls?.certPem !== undefined
  const missing = (key: string): void => {
    findings.fault(
      [...path, key],
      `is required with auth_style: ${client.authStyle}`,
      `add it, or choose another auth_style`,
    )
  }
  switch (client.authStyle) {
    case 'basic':
    case 'post':
      if (!hasSecret) missing('client_secret_file')
      break
    case 'private_key_jwt':
      if (!hasKey) missing('client_certificate_key_file')
      break
    case 'client_assertion_file':
      if (!hasAssertion) missing('client_assertion_file')
      break
    case 'tls':
      if (!hasCertificate) missing('tls')
      break
    case undefined:
      if (!hasSecret && !hasKey && !hasAssertion && !hasCertificate) {
        const remedy = 'add the file with the client’s secret, or see auth_style for other ways'
        findings.fault([...path, 'client_secret_file'], 'is required and missing', remedy)
      }
  }
}

function checkIdentities(workload: WorkloadConfig, findings: Findings): void {
  const { identities, routes = [] } = workload
  const names = identities?.map(({ name }) => name) ?? []
  for (const [index, identity] of (identities ?? []).entries()) {
    const path = ['workload', 'identities', index]
    if (names.indexOf(identity.name) !== index) {
      findings.fault([...path, 'name'], `${identity.name} is there twice`, 'give each identity its own name')
    }
    checkCredential(identity, path, false, findings)
  }
  if (identities !== undefined && workload.oauth2client !== undefined) {
    findings.fault(['workload', 'oauth2client'], 'contradicts identities', 'make it one of the identities')
  }
  for (const [index, route] of routes.entries()) {
    if (!names.includes(route.identity)) {
      const remedy = names.length === 0 ? 'add identities' : `write one of ${names.join(', ')}`
      findings.fault(
        ['workload', 'routes', index, 'identity'],
        `no identity is called ${route.identity}`,
        remedy,
      )
    }
  }
}
