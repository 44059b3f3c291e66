/**
 * The TLS sections, in configtls' words.
 * Floor 1; opens no file: check-files.ts does.
 * @see https://github.com/open-telemetry/opentelemetry-collector/tree/main/config/configtls
 */
import {
  choice,
  duration,
  flag,
  names,
  orElse,
  path,
  secret,
  text,
  unsafeAllow,
  withoutEffect,
  words,
} from './fields.ts'
import { section } from './section.ts'
import { CIPHER_SUITES, CURVES, TLS_VERSIONS } from './tls-names.ts'

const version = (description: string) => choice(description, TLS_VERSIONS)

const common = {
  ca_file: orElse(
    path('Certificates of the authorities that the peer must chain to, PEM.'),
    'the system’s authorities',
  ),
  ca_pem: text('The same as ca_file, written here.').optional(),
  include_system_ca_certs_pool: flag('Trust the system’s authorities beside those of ca_file.').prefault(
    false,
  ),
  cert_file: path('Our certificate and its chain, PEM.').optional(),
  cert_pem: text('The same as cert_file, written here.').optional(),
  key_file: path('Private key of our certificate, PEM.', { pathKind: 'secret' }).optional(),
  key_pem: secret('The same as key_file, written here.').optional(),
  min_version: version('Lowest TLS version.').prefault('1.2'),
  max_version: version('Highest TLS version.').prefault('1.3'),
  cipher_suites: orElse(
    names('Cipher suites of TLS 1.2, in Go’s names; those of TLS 1.3 are always on.', CIPHER_SUITES),
    'all of them',
  ),
  curve_preferences: orElse(
    names('Key exchange groups, the preferred first, in Go’s names.', CURVES),
    'what OpenSSL chooses',
  ),
  reload_interval: duration(
    'How often the files are read again, beside being watched; 0 for only being watched.',
    { minMs: 1_000, zeroIsNever: true },
  ).prefault('30s'),
}

/** TLS towards whom we dial. */
export const tlsClientSection = section(
  'TLS of the connections that we open.',
  {
    ...common,
    insecure: flag('Dial in plaintext.').prefault(false),
    insecure_skip_verify: flag('Do not verify the peer’s certificate.').prefault(false),
    server_name_override: orElse(
      text('Name to expect in the peer’s certificate, and to send as SNI.'),
      'host of the endpoint',
    ),
    allowed_sans: words(
      'Subject alternative names of which the peer must have one, such as DNS:otel.example.com.',
    ).optional(),
    unsafe_allow: unsafeAllow(['insecure', 'insecure_skip_verify']),
  },
  'configtls',
)

/** TLS towards the identity provider: as configtls, with what means nothing over HTTPS accepted without effect. */
export const tlsProviderSection = section(
  'TLS of the connections to the identity provider.',
  {
    ...common,
    insecure: withoutEffect('the scheme of the URL decides'),
    insecure_skip_verify: flag('Do not verify the provider’s certificate.').prefault(false),
    server_name_override: orElse(
      text('Name to expect in the provider’s certificate, and to send as SNI.'),
      'host of the URL',
    ),
    unsafe_allow: unsafeAllow(['insecure_skip_verify']),
  },
  'configtls',
)

const CLIENTS_CA = 'client_ca_file names the authorities of clients'

const tlsServerKeys = section(
  'TLS of the connections that we accept.',
  {
    ...common,
    ca_file: withoutEffect(CLIENTS_CA),
    ca_pem: withoutEffect(CLIENTS_CA),
    client_ca_file: path('Certificates of the authorities of client certificates, PEM.').optional(),
    client_ca_file_reload: withoutEffect('client_ca_file is always read again when it changes'),
    client_auth: orElse(
      choice(
        'Whether a client certificate is asked for; the control plane requires one unless this says otherwise.',
        ['require', 'optional', 'none'],
      ),
      '`require` with client_ca_file, else `none`',
    ),
    allowed_sans: words(
      'Subject alternative names of which a client must have one, such as URI:spiffe://example.org/workload; a trailing * matches any rest.',
    ).optional(),
    crl_file: path('Revocation list of the clients’ authority, PEM.').optional(),
  },
  'configtls',
)

/** TLS towards those who dial us. Without `client_auth`, certificates are required where `client_ca_file` names their CA. */
export const tlsServerSection = tlsServerKeys.transform((tls) => ({
  ...tls,
  clientAuth: tls.clientAuth ?? (tls.clientCaFile === undefined ? ('none' as const) : ('require' as const)),
}))
