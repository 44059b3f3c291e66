/**
 * The tables of the lower rooms into the pages that operators read: docs/errors.md, docs/limits.md and docs/metrics.md.
 * Floor 7; writes no file. `authgw render-docs` does, and checks that they are up to date.
 */
import { FIXED_AUTH_LIMITS, REFUSAL_REASONS, type FixedLimit } from '../auth/index.ts'
import { READINESS_REASONS } from '../admin/index.ts'
import { CREDENTIAL_ERRORS, FAULTS, TRANSPORT_ERRORS, type Explanation } from '../base/index.ts'
import { formatDuration, formatSize, limitKeys } from '../config/index.ts'
import { grpcStatusName } from '../grpc/index.ts'
import { LIMITS } from '../h2/index.ts'
import {
  CONNECT_TIMEOUT_MS,
  FINISH_MS,
  HONEST_HANDSHAKE_MS,
  LINGER_MS,
  MAX_BODY_BYTES,
  MAX_WAITING_BYTES,
  MAX_WAITING_IN_ALL_BYTES,
  MIN_WAITING_BYTES,
  RESERVED_FILES,
} from '../net/index.ts'
import { RELAY_REASONS } from '../relay/index.ts'
import { renderMetricsDoc } from '../telemetry/index.ts'

/** The pages, by path from the top of the project. */
export const REFERENCE_PAGES: readonly { readonly file: string; readonly render: () => string }[] = [
  { file: 'docs/errors.md', render: renderErrorsPage },
  { file: 'docs/limits.md', render: renderLimitsPage },
  { file: 'docs/metrics.md', render: renderMetricsDoc },
]

const RADIUS = { stream: 'the stream', connection: 'the connection', flood: 'the connection' } as const

const generated = (sources: string): string =>
  `<!-- Generated from ${sources} by \`authgw render-docs\`; changes here are overwritten. -->`

const headings = (table: Readonly<Record<string, Explanation>>): string[] =>
  Object.entries(table).map(
    ([code, { cause, remedy }]) => `### \`${code}\`\n\n${cause}\n\n**What to do.** ${remedy}`,
  )

/** Gives docs/errors.md: a heading for every refusal, answer, error and fault. */
export function renderErrorsPage(): string {
  const answers = Object.entries(RELAY_REASONS).map(
    ([reason, { status, retryDelaySeconds, text, remedy }]) =>
      `### \`${reason}\`\n\n${grpcStatusName(status)}${retryDelaySeconds === null ? '' : `, to be tried again after ${retryDelaySeconds} s`}: \`${text}\`. ${remedy}`,
  )
  const faults = Object.entries(FAULTS).map(
    ([token, { code, radius, source, text }]) =>
      `### \`${token}\`\n\n${text} Ends ${RADIUS[radius]} with ${code}. ${source}.`,
  )
  return `${[
    generated(
      'src/auth/verdict.ts, src/relay/reasons.ts, src/base/errors.ts, src/admin/readiness-reasons.ts and src/base/faults.ts',
    ),
    '# Errors',
    'Every name here is stable: it is the label of a metric, and alerts may use it.',
    '## Refusals',
    'Why a call was refused. The name travels in the trailer `authgw-reason`, is counted on both sides, and stands in the log line of the denial. What the caller reads in `grpc-message` names the class and never a secret; callers without a verified client certificate read only `unauthenticated` or `permission denied`.',
    ...headings(REFUSAL_REASONS),
    '## Answers of authgw itself',
    'Why a call ended that no gate refused: the upstream, a limit, a deadline, or something that is no gRPC. The label `reason` of `authgw_local_answers_total`. "Row" is a row of [no-loss.md](no-loss.md).',
    ...answers,
    '## Credentials and keys',
    'Why a token or a key set could not be had: the label `result` of `authgw_token_refreshes_total` and `authgw_key_fetches_total`, and the reason that readiness gives. Calls meanwhile are answered UNAVAILABLE, which exporters try again.',
    ...headings(CREDENTIAL_ERRORS),
    '## Readiness',
    'Why a part is degraded or not ready, beside the reasons above: in `/readyz?verbose`, and the label `reason` of `authgw_degraded`.',
    ...headings(READINESS_REASONS),
    '## Connections',
    'Why a connection could not be made, or ended. In the log; the calls on it end UNAVAILABLE.',
    ...headings(TRANSPORT_ERRORS),
    '## Protocol faults',
    'What a peer did against HTTP/2, HPACK or a limit, how far it reaches, and the section or limit it breaks.',
    ...faults,
  ].join('\n\n')}\n`
}

/** Limits of sockets and of the identity provider's answers that no configuration changes. */
const FIXED_NET_LIMITS: readonly FixedLimit[] = [
  {
    subject: 'answer of an identity provider',
    unit: 'bytes',
    value: MAX_BODY_BYTES,
    text: 'Larger: the request fails.',
  },
  {
    subject: 'octets that wait in a socket',
    unit: 'bytes',
    value: MAX_WAITING_BYTES,
    text: 'Then the connection gives no more until it has drained.',
  },
  {
    subject: 'octets that wait in all sockets of a worker',
    unit: 'bytes',
    value: MAX_WAITING_IN_ALL_BYTES,
    text: `Then no socket takes more than ${formatSize(MIN_WAITING_BYTES)}.`,
  },
  {
    subject: 'file descriptors kept in reserve',
    unit: 'count',
    value: RESERVED_FILES,
    text: 'For the upstream, files and the admin endpoint: `max_connections` is never more than `ulimit -n` less these.',
  },
  {
    subject: 'TLS handshake under way that gives way to a new one',
    unit: 'ms',
    value: HONEST_HANDSHAKE_MS,
    text: 'When there are `max_pending_handshakes`, the oldest goes if it is older than this; else the new one is refused.',
  },
  {
    subject: 'time to read a last GOAWAY',
    unit: 'ms',
    value: LINGER_MS,
    text: 'After a fault what the peer sends is discarded for so long; then the socket is cut.',
  },
  {
    subject: 'time for an orderly end to leave the socket',
    unit: 'ms',
    value: FINISH_MS,
    text: 'Then the socket is cut.',
  },
  {
    subject: 'connection attempt to an upstream',
    unit: 'ms',
    value: CONNECT_TIMEOUT_MS,
    text: 'Unless `upstream` says otherwise; then the next address is tried.',
  },
]

/** Gives docs/limits.md: every limit with its default, and what it bounds. */
export function renderLimitsPage(): string {
  const ofConnections = new Map<string, string>(Object.values(LIMITS).map(({ key, text }) => [key, text]))
  const keys = limitKeys()
  const row = (key: string, text: string | null, meaning: string): string =>
    `| \`${key}\` | ${text === null ? '–' : `\`${text}\``} | ${meaning.replaceAll('|', '\\|')} |`
  const fixed = [...FIXED_AUTH_LIMITS, ...FIXED_NET_LIMITS].map(
    (entry) => `| ${entry.subject} | \`${valueText(entry)}\` | ${entry.text} |`,
  )
  return `${[
    generated('src/h2/limits.ts, src/config/schema-limits.ts and src/auth/fixed-limits.ts'),
    '# Limits',
    'What one peer can cost is bounded, everywhere. The defaults suit; a breach is counted by its name (`authgw_limit_breaches_total`, [errors.md](errors.md)). The keys stand under `limits` in the configuration. GOAWAY means that the connection ends, and its calls with it.',
    '## Of each connection',
    [
      '| key | default | what it bounds, and what happens on a breach |',
      '|---|---|---|',
      ...keys
        .filter(({ key }) => ofConnections.has(key))
        .map(({ key, defaultText }) => row(key, defaultText, ofConnections.get(key)!)),
    ].join('\n'),
    '`max_concurrent_streams` is 250, and 1000 on loopback and UNIX sockets. The largest message is `listen.max_recv_msg_size_mib`, 64 MiB: a larger one is refused with RESOURCE_EXHAUSTED when its length is read.',
    '## Of listeners, clients and the process',
    [
      '| key | default | what it bounds |',
      '|---|---|---|',
      ...keys
        .filter(({ key }) => !ofConnections.has(key))
        .map(({ key, defaultText, description }) => row(key, defaultText, description)),
    ].join('\n'),
    'Limits of the process are divided by the number of workers.',
    '## Fixed',
    ['| what | limit | what happens on a breach |', '|---|---|---|', ...fixed].join('\n'),
  ].join('\n\n')}\n`
}

function valueText({ unit, value }: FixedLimit): string {
  if (unit === 'bytes') return formatSize(value)
  return unit === 'ms' ? formatDuration(value) : String(value)
}
