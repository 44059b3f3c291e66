import { anonymousPeer, BearerGate, KeyKeeper, Policy } from '../../src/auth/index.ts'
import type {
  BearerGateOptions,
  CallFacts,
  KeyKeeperOptions,
  PeerIdentity,
  PolicyOptions,
  ProviderOptions,
  Refusal,
  Verdict,
} from '../../src/auth/index.ts'
import type { Permit } from '../../src/auth/index.ts'
import { NO_LOG, type Log } from '../../src/base/index.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { TestIssuer, type IssuerOptions, type MintOptions } from './issuer.ts'

export const TRACES = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

/** A peer with a verified certificate. */
export function verifiedPeer(over: Partial<PeerIdentity> = {}): PeerIdentity {
  return {
    isVerified: true,
    isLocal: false,
    certificateSha256: 'LEAF',
    dnsNames: [],
    uris: [],
    notAfterMs: Infinity,
    address: '192.0.2.1',
    ...over,
  }
}

/** What a control plane's gate needs around it, without a network: issuer, keeper of its keys, clock. */
export interface GateBench {
  readonly clock: FakeClock
  readonly issuer: TestIssuer
  readonly keeper: KeyKeeper
  readonly gate: BearerGate
  readonly lines: Record<string, unknown>[]
  /** Facts of a call with this token. */
  readonly call: (token: string | null, over?: Partial<CallFacts>) => CallFacts
  /** As `gate.admit`, always with a promise. */
  readonly admit: (token: string | null, over?: Partial<CallFacts>) => Promise<Verdict>
  /** Asks with a token minted to order. */
  readonly admitMinted: (options?: MintOptions, over?: Partial<CallFacts>) => Promise<Verdict>
}

export interface GateBenchOptions {
  readonly issuer?: IssuerOptions
  readonly provider?: Partial<ProviderOptions>
  readonly policy?: PolicyOptions
  readonly gate?: Partial<BearerGateOptions>
  readonly keeper?: Partial<KeyKeeperOptions>
  /** Whether the keys are fetched before the test begins; default true. */
  readonly startsWithKeys?: boolean
}

/** A log that keeps its lines. */
export function recordingLog(lines: Record<string, unknown>[]): Log {
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, ...fields })
  }
  const log: Log = {
    ...NO_LOG,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  }
  return log
}

export async function gateBench(options: GateBenchOptions = {}): Promise<GateBench> {
  const clock = new FakeClock()
  const issuer = await TestIssuer.create(clock, options.issuer)
  const lines: Record<string, unknown>[] = []
  const log = recordingLog(lines)
  const keeper = new KeyKeeper(
    { issuer: issuer.issuer, ...options.keeper },
    {
      clock,
      log,
      fetch: issuer.fetch,
      readFile: () => Promise.reject(new Error('no file')),
      cache: null,
    },
  )
  const gate = new BearerGate(
    {
      providers: [{ issuer: issuer.issuer, audiences: ['control-plane'], ...options.provider }],
      policy: new Policy(options.policy),
      ...options.gate,
    },
    { clock, log, keys: new Map([[issuer.issuer, keeper]]) },
  )
  if (options.startsWithKeys !== false) {
    keeper.start()
    await until(() => keeper.state.keyCount > 0)
  }
  const call = (token: string | null, over: Partial<CallFacts> = {}): CallFacts => ({
    path: TRACES,
    authorization: token === null ? null : `Bearer ${token}`,
    authorizationCount: token === null ? 0 : 1,
    isAuthgwHop: false,
    peer: verifiedPeer(),
    receivedAtMs: clock.wallMs(),
    timeoutMs: Infinity,
    ...over,
  })
  const admit = async (token: string | null, over: Partial<CallFacts> = {}): Promise<Verdict> =>
    gate.admit(call(token, over))
  return {
    clock,
    issuer,
    keeper,
    gate,
    lines,
    call,
    admit,
    admitMinted: async (mint, over) => admit(await issuer.mint(mint), over),
  }
}

/** Waits until `condition` holds, moving no fake clock: real cryptography takes its own time on other threads. */
export async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 4_000
  while (!condition() && performance.now() < endMs) await settle()
  if (!condition()) throw new Error('what the test waits for does not happen')
}

/** The refusal in a verdict; throws on a permit. */
export function refused(verdict: Verdict): Refusal {
  if (verdict.kind !== 'refusal') throw new Error('the call was permitted')
  return verdict
}

/** The permit in a verdict; throws on a refusal. */
export function permitted(verdict: Verdict): Permit {
  if (verdict.kind !== 'permit') throw new Error(`the call was refused: ${verdict.reason}`)
  return verdict
}

export { anonymousPeer }
