/**
 * `npm run bench` and `npm run bench:quick`: authgw and its peers in front of the same server, in turns (A B C A B C …), so
 * that what else the machine does falls on all of them alike. The long run also measures latency, memory, growth and the
 * CPU of a whole control plane, and writes bench/results/bench-<date>.json, .md and .svg. What is absent is named.
 */
import { parseArgs } from 'node:util'
import { grpcGoLoad, haproxy as haproxyPackage, nghttp2 } from '../../test/interop/tools/catalog.ts'
import { ensure } from '../../test/interop/tools/cache.ts'
import { isOnPath } from '../../test/interop/tools/run.ts'
import { PEERS } from '../peers/index.ts'
import { prepareGround } from './ground.ts'
import type { Ground } from './ground.ts'
import { measureLatency } from './latency.ts'
import { measure } from './measure.ts'
import type { Contender } from './measure.ts'
import { measureMemory } from './memory.ts'
import { plot } from './plot.ts'
import { PROFILES } from './profiles.ts'
import { report } from './report.ts'
import { circumstances, writeResults } from './results.ts'
import type { Results } from './results.ts'
import { plans } from './settings.ts'
import { measureSpans } from './spans.ts'

const PARTS = ['cpu', 'latency', 'memory', 'spans']
const LATENCY_PEERS = ['authgw', 'nghttpx', 'haproxy', 'node:http2 twin']

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    peers: { type: 'string' },
    profiles: { type: 'string' },
    sizes: { type: 'string' },
    parts: { type: 'string' },
    install: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const HELP = `node bench/load/run.ts [--quick] [flags]
  --quick            1 KiB, plaintext, all heads, some minutes; prints only
  --rounds N         how often each proxy has its turn (quick 3, else 5)
  --seconds N        how long a turn is (quick 2, else 3; whole ones)
  --peers a,b        only these: ${PEERS.map((peer) => peer.name).join(', ')}
  --profiles a,b     only these: ${PROFILES.map((profile) => profile.name).join(', ')}
  --sizes 1,16,100   only these sizes of a message, in KiB
  --parts a,b        only these: ${PARTS.join(', ')} (quick: cpu)
  --install          first install what is missing and can be had

A run with --peers, --profiles, --sizes or --parts is a part of one: it prints, and writes nothing.`

if (flags.help) {
  console.log(HELP)
  process.exit(0)
}
if (flags.install)
  for (const component of [nghttp2, haproxyPackage, grpcGoLoad]) {
    const { name, state, remark } = await ensure(component, isOnPath)
    console.log(`${name}: ${state}, ${remark}`)
  }

const say = (line: string): void => console.log(line)
const words = (flag: string | undefined): string[] | undefined => flag?.split(',')
const parts = words(flags.parts) ?? (flags.quick ? ['cpu'] : PARTS)
const isWhole =
  !flags.quick && [flags.peers, flags.profiles, flags.sizes, flags.parts].every((flag) => flag === undefined)

async function main(): Promise<number> {
  if (!(await isOnPath('h2load')) || !(await isOnPath('nghttpd'))) {
    console.log('h2load or nghttpd is absent (nghttp2-client, nghttp2-server): nothing can be measured here.')
    return 0
  }
  const ground = await prepareGround()
  try {
    return await measureAll(ground)
  } finally {
    ground.remove()
  }
}

async function measureAll(ground: Ground): Promise<number> {
  const beganMs = performance.now()
  const results: Results = {
    ...circumstances(),
    elapsedSeconds: 0,
    settings: [],
    latency: null,
    memory: null,
    spans: null,
    absences: [],
  }
  const contenders = await findContenders(results)
  if (parts.includes('cpu')) await measureSettings(ground, contenders, results)
  const inLatency = contenders.filter(({ peer }) => LATENCY_PEERS.includes(peer.name))
  if (parts.includes('latency')) results.latency = await measureLatency(ground, inLatency, say)
  if (parts.includes('memory')) results.memory = await measureMemory(ground, contenders, say)
  if (parts.includes('spans')) results.spans = await measureSpans(ground, say)
  if (results.spans !== null && 'absent' in results.spans)
    results.absences.push(`CPU per 1000 spans: ${results.spans.absent}`)
  results.absences = [...new Set(results.absences)]
  results.elapsedSeconds = Math.round((performance.now() - beganMs) / 1000)
  const text = report(results)
  console.log(`\n${text}`)
  if (isWhole) console.log(`\nWritten: ${writeResults(results, text, plot(results))}.json, .md and .svg`)
  return isFaultless(results) ? 0 : 1
}

/** Whether every call of every part was answered, and every check was made. */
function isFaultless({ settings, latency, memory, spans }: Results): boolean {
  const failed = [
    ...(latency?.contenders.map((each) => each.failed) ?? []),
    ...(memory?.growth.map((each) => each.failed) ?? []),
    ...(spans !== null && 'ways' in spans ? spans.ways.map((each) => each.failed) : []),
  ]
  return settings.every(({ faults }) => faults.length === 0) && failed.every((count) => count === 0)
}

async function findContenders({ absences }: Results): Promise<Contender[]> {
  const contenders: Contender[] = []
  const wishes = words(flags.peers)
  const unknown = wishes?.find((name) => PEERS.every((peer) => peer.name !== name))
  if (unknown !== undefined) throw new Error(`no peer is called ${unknown}\n${HELP}`)
  for (const peer of PEERS.filter(({ name }) => wishes?.includes(name) ?? true)) {
    const standing = await peer.standing()
    if ('absent' in standing) absences.push(`${peer.name}: ${standing.absent}`)
    else contenders.push({ peer, version: standing.version })
  }
  return contenders
}

async function measureSettings(ground: Ground, contenders: Contender[], results: Results): Promise<void> {
  const choice = {
    isQuick: flags.quick,
    rounds: Number(flags.rounds ?? (flags.quick ? 3 : 5)),
    seconds: Number(flags.seconds ?? (flags.quick ? 2 : 3)),
    peers: words(flags.peers),
    profiles: words(flags.profiles),
    sizes: words(flags.sizes)?.map(Number),
  }
  for (const { setting, peers } of plans(choice)) {
    const lack = setting.profile.lack()
    if (lack !== null) {
      results.absences.push(`profile ${setting.profile.name}: ${lack}`)
      continue
    }
    const chosen = contenders.filter(({ peer }) => peers.includes(peer.name))
    const figures = await measure(ground, chosen, setting, say)
    results.settings.push(figures)
    results.absences.push(...figures.absences)
  }
}

process.exitCode = await main()
