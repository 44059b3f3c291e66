/**
 * The workload role: token acquisition in the words of the oauth2client extension, injection in those of
 * bearertokenauth and Envoy.
 * Floor 1; fetches nothing.
 */
import { z } from 'zod'
import { SIGNATURE_ALGORITHMS } from '../base/index.ts'
import {
  choice,
  duration,
  leaf,
  orElse,
  path,
  secret,
  text,
  textMap,
  unsafeAllow,
  url,
  withoutEffect,
  words,
} from './fields.ts'
import { section } from './section.ts'
import { listenSection, upstreamSection } from './schema-grpc.ts'
import { tlsProviderSection } from './schema-tls.ts'

const GRANT_TYPES = [
  'client_credentials',
  'urn:ietf:params:oauth:grant-type:jwt-bearer',
  'urn:ietf:params:oauth:grant-type:token-exchange',
] as const

const oauth2clientSection = section(
  'How the token is got.',
  {
    issuer_url: url('The issuer; its discovery document names the token endpoint.').optional(),
    discovery_url: orElse(
      url('Where the discovery document is, when the issuer is reached under another name.'),
      'below issuer_url',
    ),
    token_url: orElse(url('The token endpoint, in place of discovery.'), 'from discovery'),
    client_id: text('Identifier of the client.').optional(),
    client_id_file: path('File that holds it, read again at each fetch.').optional(),
    client_secret: secret('Secret of the client.').optional(),
    client_secret_file: path('File that holds it, read again at each fetch.', {
      pathKind: 'secret',
    }).optional(),
    scopes: words('Scopes to ask for.').optional(),
    endpoint_params: textMap(
      'Further parameters of the token request, such as {audience: control-plane}.',
    ).optional(),
    grant_type: choice('Grant to use.', GRANT_TYPES).prefault('client_credentials'),
    auth_style: orElse(
      choice(
        'How the client authenticates: HTTP Basic, in the body, with a JWT that it signs, with a JWT from a file, or with its certificate.',
        ['basic', 'post', 'private_key_jwt', 'client_assertion_file', 'tls'],
      ),
      '`basic` with a secret, else `private_key_jwt` with a key, else `client_assertion_file` with one, else `tls`',
    ),
    signature_algorithm: orElse(
      choice('Algorithm of the JWT that the client signs.', SIGNATURE_ALGORITHMS),
      'that of the key: RS256, ES256, ES384, ES512 or EdDSA',
    ),
    client_certificate_key: secret('Private key that signs it, PEM.').optional(),
    client_certificate_key_file: path('File that holds it, read again at each fetch.', {
      pathKind: 'secret',
    }).optional(),
    client_certificate_key_id: text('kid of that key.').optional(),
    client_assertion_file: path(
      'File with a JWT that authenticates the client, such as a projected service-account token.',
      { pathKind: 'secret' },
    ).optional(),
    subject_token_file: path(
      'File with the token to exchange or the assertion to present (token-exchange, jwt-bearer).',
      { pathKind: 'secret' },
    ).optional(),
    iss: orElse(text('iss of the JWT that the client signs; client_id when left out.'), 'client_id'),
    audience: orElse(
      text(
        'aud of the JWT that the client signs. When left out: the issuer for private_key_jwt, the token endpoint for jwt-bearer.',
      ),
      'the issuer, or the token endpoint',
    ),
    claims: textMap('Further claims of the JWT that the client signs.').optional(),
    expiry_buffer: orElse(
      duration(
        'How long before its end a token is refreshed, at most 20 % of its life; scaled to its life when left out.',
      ),
      '20 % of the life, 10 s to 300 s',
    ),
    timeout: duration('How long a request to the provider may take.', { minMs: 100, maxMs: 60_000 }).prefault(
      '5s',
    ),
    tls: tlsProviderSection.optional(),
    unsafe_allow: unsafeAllow(['http_issuer']),
  },
  'the oauth2client extension',
)

const overwrite = leaf<'overwrite' | 'keep' | 'refuse'>(
  'What happens to the field when the caller has set it: true overwrites it, false keeps it, refuse refuses the call.',
  {
    type: 'true, false or refuse',
    expects: 'true, false or refuse',
    json: { enum: [true, false, 'refuse'] },
  },
  (value) => {
    if (value === true || value === 'true') return 'overwrite'
    if (value === false || value === 'false') return 'keep'
    return value === 'refuse' ? value : { problem: 'is none of true, false, refuse', remedy: 'write true' }
  },
)

const bearertokenauthSection = section(
  'How the token is put on a call.',
  {
    header: text('Field to put it in.').prefault('authorization'),
    scheme: text('Word before the token.').prefault('Bearer'),
    filename: path('File that holds the token, watched; in place of oauth2client.', {
      pathKind: 'secret',
    }).optional(),
    overwrite: overwrite.prefault(true),
    allow_request_without_credential: withoutEffect(
      'the control plane would refuse the call for good; it is answered UNAVAILABLE, to be tried again',
    ),
  },
  'bearertokenauth, Envoy',
)

const identity = section('One of several identities.', {
  name: text('Name by which routes choose it.'),
  oauth2client: oauth2clientSection.optional(),
  bearertokenauth: bearertokenauthSection.optional(),
})

const route = section('Which identity calls go out under. The longest prefix that fits is taken.', {
  prefix: text('Beginning of the method, such as /opentelemetry.proto.collector.logs.v1.; / fits all.'),
  identity: text('Name of the identity to use.'),
})

/** The workload role. */
export const workloadSection = section(
  'The workload role: next to a collector, puts a token on every call.',
  {
    listen: listenSection,
    upstream: upstreamSection,
    oauth2client: oauth2clientSection.optional(),
    bearertokenauth: bearertokenauthSection.prefault({}),
    identities: z
      .array(identity)
      .describe('Several identities, chosen by routes; the first is the default.')
      .optional(),
    routes: z.array(route).describe('Which identity a call goes out under.').optional(),
    allow_methods: orElse(
      words(
        'Methods (/package.Service/Method) and services (package.Service) that may be called; the OTLP Export methods when left out.',
      ),
      'the OTLP Export methods',
    ),
    on_invalid_client: choice(
      'When the provider refuses our client: retry answers UNAVAILABLE, which exporters try again; fail answers UNAUTHENTICATED, at which they drop.',
      ['retry', 'fail'],
    ).prefault('retry'),
    on_rejected: choice(
      'When the control plane refuses a fresh token twice: hold answers UNAVAILABLE; pass passes UNAUTHENTICATED on.',
      ['hold', 'pass'],
    ).prefault('hold'),
    on_denied: choice(
      'When the control plane answers PERMISSION_DENIED: pass passes it on; hold answers UNAVAILABLE.',
      ['pass', 'hold'],
    ).prefault('pass'),
    max_stream_duration: duration('Streams end with UNAVAILABLE after so long; 0 for never.', {
      zeroIsNever: true,
    }).prefault('0'),
    unsafe_allow: unsafeAllow(['no_credential']),
  },
  'authgw',
)
