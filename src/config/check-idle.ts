/**
 * Keys that are understood and yet change nothing beside what else is written: none is ignored in silence.
 * Floor 1; opens nothing. A warning where the operator loses a wish, a fault where somebody would be let in.
 */
import type { Findings } from './findings.ts'
import type { OidcProviderConfig, Oauth2ClientConfig, ControlPlaneConfig, WorkloadConfig } from './schema.ts'
import type { KeyPath } from './tree.ts'

/** Warns of those of `keys` below `path` that are written. */
export function warnOfIdle(keys: readonly string[], path: KeyPath, why: string, findings: Findings): void {
  for (const key of keys)
    if (findings.isWritten([...path, key])) findings.warn([...path, key], `has no effect ${why}`, 'remove it')
}

/** Keys of `upstream.tls` that say how to speak TLS. */
const DIALLING_TLS = [
  'ca_pem',
  'cert_pem',
  'key_pem',
  'include_system_ca_certs_pool',
  'min_version',
  'max_version',
  'cipher_suites',
  'curve_preferences',
  'reload_interval',
  'insecure_skip_verify',
  'server_name_override',
  'allowed_sans',
]

/** The keys of TLS beside `insecure: true`. */
export function checkIdleTls(path: KeyPath, findings: Findings): void {
  for (const key of ['ca_file', 'cert_file', 'key_file', ...DIALLING_TLS])
    if (findings.isWritten([...path, key]))
      findings.warn([...path, key], 'has no effect with insecure: true', 'remove insecure')
}

/** Without tokens to check there are no callers to tell apart: rules would not be applied. */
export function checkIdleControlPlane(controlPlane: ControlPlaneConfig, findings: Findings): void {
  const path: KeyPath = ['control_plane']
  if (controlPlane.oidc !== undefined || controlPlane.unsafeAllow?.includes('no_authentication') !== true)
    return
  if (findings.isWritten([...path, 'policy'])) {
    const problem = 'would not be applied: without oidc every call passes'
    findings.fault([...path, 'policy'], problem, 'add oidc, or remove policy')
  }
  warnOfIdle(['on_expired'], path, 'without oidc', findings)
}

/** The same for a workload that puts no token on calls: every method passes. */
export function checkIdleWorkload(workload: WorkloadConfig, findings: Findings): void {
  const path: KeyPath = ['workload']
  const hasCredential =
    workload.identities !== undefined ||
    workload.oauth2client !== undefined ||
    workload.bearertokenauth.filename !== undefined
  if (hasCredential || workload.unsafeAllow?.includes('no_credential') !== true) return
  if (findings.isWritten([...path, 'allow_methods'])) {
    const problem = 'would not be applied: without a token every method passes'
    findings.fault([...path, 'allow_methods'], problem, 'add oauth2client, or remove allow_methods')
  }
  warnOfIdle(['bearertokenauth', 'on_invalid_client', 'on_rejected'], path, 'without a token', findings)
}

/** Keys that another one takes the place of. */
export function checkIdleProvider(provider: OidcProviderConfig, path: KeyPath, findings: Findings): void {
  if (provider.publicKeysFile !== undefined)
    warnOfIdle(['discovery_url', 'issuer_ca_path'], path, 'with public_keys_file', findings)
  else if (provider.jwksUri !== undefined) warnOfIdle(['discovery_url'], path, 'with jwks_uri', findings)
}

/** Keys of the grant and of the client's authentication that the chosen ones do not read. */
export function checkIdleGrant(client: Oauth2ClientConfig, path: KeyPath, findings: Findings): void {
  const { grantType, subjectTokenFile } = client
  const hasKey = client.clientCertificateKey !== undefined || client.clientCertificateKeyFile !== undefined
  const signsGrant = grantType.endsWith('jwt-bearer') && subjectTokenFile === undefined
  const hasSecret = client.clientSecret !== undefined || client.clientSecretFile !== undefined
  const signsClient =
    client.authStyle === 'private_key_jwt' || (client.authStyle === undefined && !hasSecret && hasKey)
  if (grantType === 'client_credentials')
    warnOfIdle(['subject_token_file'], path, 'with grant_type: client_credentials', findings)
  if (!signsGrant)
    warnOfIdle(['iss', 'claims'], path, 'unless the client signs the JWT of a jwt-bearer grant', findings)
  if (!signsGrant && !signsClient) {
    const signing = ['client_certificate_key', 'client_certificate_key_file', 'client_certificate_key_id']
    warnOfIdle(
      [...signing, 'signature_algorithm', 'audience'],
      path,
      'where the client signs no JWT',
      findings,
    )
  }
  if (client.authStyle !== undefined && client.authStyle !== 'basic' && client.authStyle !== 'post')
    warnOfIdle(
      ['client_secret', 'client_secret_file'],
      path,
      `with auth_style: ${client.authStyle}`,
      findings,
    )
  if (client.authStyle !== undefined && client.authStyle !== 'client_assertion_file')
    warnOfIdle(['client_assertion_file'], path, `with auth_style: ${client.authStyle}`, findings)
  if (client.tokenUrl !== undefined) warnOfIdle(['discovery_url'], path, 'with token_url', findings)
}
