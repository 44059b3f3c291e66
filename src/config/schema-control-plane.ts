/**
 * The control plane role: validation in the words of the oidc extension and Envoy's jwt_authn.
 * Floor 1; validates no token.
 */
import { z } from 'zod'
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from '../base/index.ts'
import {
  choice,
  duration,
  flag,
  orElse,
  path,
  text,
  unsafeAllow,
  url,
  withoutEffect,
  words,
} from './fields.ts'
import { section } from './section.ts'
import { listenSection, upstreamSection } from './schema-grpc.ts'
import { policySection } from './schema-policy.ts'

const DEFAULT_ALGORITHMS: SignatureAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']

const NOT_A_COLLECTOR = 'authgw hands claims on by claim_to_headers'

const providerKeys = {
  audience: text('Audience that a token must have.').optional(),
  audiences: words('Audiences of which a token must have one.').optional(),
  ignore_audience: flag('Accept tokens for any audience.').prefault(false),
  issuer_ca_path: path('Certificates of the authorities of the provider’s own TLS, PEM.').optional(),
  username_claim: withoutEffect(NOT_A_COLLECTOR),
  groups_claim: withoutEffect(NOT_A_COLLECTOR),
}

const providerSection = section(
  'An issuer whose tokens are accepted.',
  {
    issuer_url: url('The issuer, exactly as the iss claim says it.'),
    ...providerKeys,
    public_keys_file: path(
      'File with the issuer’s key set (JWKS), watched; in place of fetching it.',
    ).optional(),
    jwks_uri: orElse(url('Where the key set is, in place of discovery.'), 'from discovery'),
    discovery_url: orElse(
      url('Where the discovery document is, when the issuer is reached under another name.'),
      'below issuer_url',
    ),
    algorithms: words('Signature algorithms that are accepted.', SIGNATURE_ALGORITHMS).prefault(
      DEFAULT_ALGORITHMS,
    ),
    require_token_type: orElse(
      choice('typ header that a token must have; without it, JWT, at+jwt and none are accepted.', ['at+jwt']),
      'JWT, at+jwt or none',
    ),
    claim_equals_san: text(
      'Claim, such as client_id, that must equal a name in the client certificate, for providers that bind no tokens.',
    ).optional(),
    allowed_clients: words('client_id or azp that a token must have one of.').optional(),
    allowed_subjects: words('sub that a token must have one of.').optional(),
    unsafe_allow: unsafeAllow(['ignore_audience', 'http_issuer']),
  },
  'the oidc extension, Envoy jwt_authn',
)

/** `audience` and `audiences` are one list to the roles. */
const provider = providerSection.transform(({ audience, audiences, ...rest }) => ({
  ...rest,
  audiences: [...(audience === undefined ? [] : [audience]), ...(audiences ?? [])],
}))

const claimToHeader = section('A claim that is handed to the collector as metadata.', {
  header_name: text('Field to put it in; lower-cased, and stripped from what callers send.'),
  claim_name: text('Claim; a dot steps into an object. An array is joined by commas.'),
})

const oidcKeys = section(
  'Which tokens are accepted.',
  {
    providers: z.array(provider).describe('Issuers, chosen by the iss claim.').optional(),
    issuer_url: url('The only issuer, exactly as the iss claim says it; in place of providers.').optional(),
    ...providerKeys,
    attribute: choice('Field that holds the token.', ['authorization', 'Authorization']).prefault(
      'authorization',
    ),
    clock_skew: duration('How far clocks may differ for exp, nbf and iat.', { maxMs: 300_000 }).prefault(
      '30s',
    ),
    max_lifetime: duration('Longest life of a token, from iat to exp; 0 for any.', {
      zeroIsNever: true,
    }).prefault('0'),
    forward: flag('Leave the token on the call for the collector.').prefault(false),
    claim_to_headers: z
      .array(claimToHeader)
      .describe('Claims that the collector gets as metadata.')
      .prefault([]),
    key_cache_directory: path(
      'Folder where the last good key sets are kept, so that a restart survives an outage of the provider. It has to be there, belong to authgw’s user or root, and be writable by nobody else (mode 0700); else it is ignored, with a warning.',
      { pathKind: 'folder' },
    ).optional(),
    key_max_stale: duration('How long keys are used while they cannot be fetched again.', {
      minMs: 1_000,
    }).prefault('24h'),
    unsafe_allow: unsafeAllow(['ignore_audience', 'http_issuer']),
  },
  'the oidc extension, Envoy jwt_authn',
)

/** The old form with one issuer is a provider like any other to the roles. */
const oidcSection = oidcKeys.transform((oidc) => {
  const { issuerUrl, audience, audiences, ignoreAudience, issuerCaPath, unsafeAllow, providers, ...rest } =
    oidc
  if (issuerUrl === undefined) return { ...rest, providers: providers ?? [] }
  const only: z.output<typeof provider> = {
    issuerUrl,
    audiences: [...(audience === undefined ? [] : [audience]), ...(audiences ?? [])],
    ignoreAudience,
    issuerCaPath,
    unsafeAllow,
    algorithms: DEFAULT_ALGORITHMS,
    usernameClaim: undefined,
    groupsClaim: undefined,
  }
  return { ...rest, providers: [only, ...(providers ?? [])] }
})

/** The control plane role. */
export const controlPlaneSection = section(
  'The control plane role: in front of a collector, checks the token of every call.',
  {
    listen: listenSection,
    upstream: upstreamSection,
    oidc: oidcSection.optional(),
    policy: policySection.prefault({}),
    on_expired: choice(
      'When a token has expired a moment ago: retry answers UNAVAILABLE, so that a stock collector fetches another; fail answers UNAUTHENTICATED.',
      ['retry', 'fail'],
    ).prefault('retry'),
    max_stream_duration: duration(
      'Streams end with UNAVAILABLE after so long; 0 for when their token does.',
      { zeroIsNever: true },
    ).prefault('0'),
    unsafe_allow: unsafeAllow(['no_authentication']),
  },
  'authgw',
)
