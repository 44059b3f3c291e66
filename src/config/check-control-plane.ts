/**
 * The checks of the control plane role: is it certain whose tokens are accepted, and that clients are known?
 * Floor 1; fetches nothing.
 */
import { checkFieldName } from './check-field-name.ts'
import { checkIdleControlPlane, checkIdleProvider } from './check-idle.ts'
import { checkPolicy } from './check-policy.ts'
import { checkIssuer, checkListen, checkProviderUrl, checkUpstream } from './check-transport.ts'
import type { Findings } from './findings.ts'
import type { ControlPlaneConfig, OidcConfig } from './schema.ts'
import type { KeyPath } from './tree.ts'

const HOUR_MS = 3_600_000

/** Checks the control plane role. */
export function checkControlPlane(controlPlane: ControlPlaneConfig, findings: Findings): void {
  const path: KeyPath = ['control_plane']
  const { listen, upstream, oidc } = controlPlane
  checkListen(listen, [...path, 'listen'], findings)
  checkUpstream(upstream, listen, [...path, 'upstream'], findings)
  const tlsPath = [...path, 'listen', 'tls']
  if (
    listen.tls?.clientCaFile === undefined &&
    !findings.isWritten([...tlsPath, 'client_auth']) &&
    !listen.isPlaintext
  ) {
    const remedy = 'name the CA of the workloads’ certificates, or write client_auth: none if they have none'
    findings.fault(
      [...tlsPath, 'client_ca_file'],
      'is required and missing: clients must show a certificate',
      remedy,
    )
  }
  checkPolicy(controlPlane.policy, [...path, 'policy'], listen.tls?.clientAuth ?? 'none', findings)
  checkIdleControlPlane(controlPlane, findings)
  const isOpen = controlPlane.unsafeAllow?.includes('no_authentication') === true
  if (oidc !== undefined) checkOidc(oidc, listen.tls?.clientAuth ?? 'none', [...path, 'oidc'], findings)
  else if (isOpen) {
    findings.warn([...path, 'unsafe_allow'], 'tokens are not checked: whoever connects may call', 'add oidc')
  } else {
    findings.fault(
      [...path, 'oidc'],
      'is required and missing',
      'add oidc: {providers: [{issuer_url: …, audience: …}]}',
    )
  }
}

function checkOidc(oidc: OidcConfig, clientAuth: string, path: KeyPath, findings: Findings): void {
  const isShort = findings.isWritten([...path, 'issuer_url'])
  if (isShort && findings.isWritten([...path, 'providers'])) {
    findings.fault([...path, 'issuer_url'], 'contradicts providers', 'make it one of the providers')
    return
  }
  if (oidc.providers.length === 0) {
    findings.fault([...path, 'providers'], 'is required and missing', 'add {issuer_url: …, audience: …}')
  }
  const issuers = oidc.providers.map(({ issuerUrl }) => issuerUrl)
  for (const [index, provider] of oidc.providers.entries()) {
    const at = isShort ? path : [...path, 'providers', index]
    checkIssuer(provider.issuerUrl, [...at, 'issuer_url'], provider.unsafeAllow, findings)
    checkProviderUrl(provider.jwksUri, [...at, 'jwks_uri'], provider.unsafeAllow, findings)
    checkProviderUrl(provider.discoveryUrl, [...at, 'discovery_url'], provider.unsafeAllow, findings)
    if (issuers.indexOf(provider.issuerUrl) !== index) {
      findings.fault([...at, 'issuer_url'], 'is there twice', 'give one provider several audiences instead')
    }
    if (provider.ignoreAudience) {
      const problem = 'tokens meant for anyone else would be accepted'
      findings.requireAllowed([...at, 'ignore_audience'], 'ignore_audience', provider.unsafeAllow, problem)
    } else if (provider.audiences.length === 0) {
      const remedy = 'add the name that tokens for this gateway carry in aud, such as control-plane'
      findings.fault([...at, 'audience'], 'is required and missing', remedy)
    }
    if (provider.claimEqualsSan !== undefined && clientAuth === 'none') {
      const remedy = 'set listen.tls.client_auth to require'
      findings.fault([...at, 'claim_equals_san'], 'can never hold: callers show no certificate', remedy)
    }
    checkIdleProvider(provider, at, findings)
    if (provider.publicKeysFile !== undefined && provider.jwksUri !== undefined) {
      findings.fault([...at, 'jwks_uri'], 'contradicts public_keys_file', 'remove one of the two')
    }
  }
  for (const [index, { headerName }] of oidc.claimToHeaders.entries()) {
    checkFieldName(headerName, [...path, 'claim_to_headers', index, 'header_name'], findings)
  }
  if (oidc.maxLifetimeMs !== Infinity && oidc.maxLifetimeMs > HOUR_MS) {
    findings.warn(
      [...path, 'max_lifetime'],
      'tokens that live above an hour are hard to revoke',
      'write 1h or less',
    )
  }
}
