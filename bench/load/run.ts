/**
 * `npm run bench:quick` and `npm run bench`: authgw and its peers in front of the same server, in turns (A B C A B C …), so
 * that what else the machine does falls on all of them alike. Prints CPU of the proxy per call and the ratios; the long
 * one also writes bench/results/<date>.json and .md. What is absent is named, with its reason.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { arch, cpus, release } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { grpcGoLoad, haproxy as haproxyPackage, nghttp2 } from '../../test/interop/tools/catalog.ts'
import { ensure } from '../../test/interop/tools/cache.ts'
import { isOnPath } from '../../test/interop/tools/run.ts'
import { PEERS } from '../peers/index.ts'
import { prepareGround } from './ground.ts'
import type { Ground } from './ground.ts'
import { measure } from './measure.ts'
import type { Contender, Setting, SettingFigures } from './measure.ts'
import { PROFILES } from './profiles.ts'
import { report } from './report.ts'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    peers: { type: 'string' },
    profiles: { type: 'string' },
    sizes: { type: 'string' },
    tls: { type: 'boolean' },
    install: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const HELP = `node bench/load/run.ts [--quick] [flags]
  --quick            1 KiB, plaintext, both head profiles, about two minutes; prints only
  --rounds N         how often each proxy has its turn (quick 3, else 5)
  --seconds N        how long a turn is (quick 2, else 4)
  --peers a,b        only these: ${PEERS.map((peer) => peer.name).join(', ')}
  --profiles a,b     only these: ${PROFILES.map((profile) => profile.name).join(', ')}
  --sizes 1,16,100   KiB of a message (quick 1)
  --tls              also with TLS towards callers (default without --quick)
  --install          first install what is missing and can be had`

/** The words of a comma-separated flag, or all. */
const chosen = (flag: string | undefined, all: string[]): string[] => flag?.split(',') ?? all

if (flags.help) {
  console.log(HELP)
  process.exit(0)
}
if (flags.install)
  for (const component of [nghttp2, haproxyPackage, grpcGoLoad]) {
    const { name, state, remark } = await ensure(component, isOnPath)
    console.log(`${name}: ${state}, ${remark}`)
  }

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
  const absences: string[] = []
  const contenders: Contender[] = []
  for (const name of chosen(flags.peers, flags.quick ? QUICK_PEERS : PEERS.map((peer) => peer.name))) {
    const peer = PEERS.find((candidate) => candidate.name === name)
    if (peer === undefined) throw new Error(`no peer is called ${name}\n${HELP}`)
    const standing = await peer.standing()
    if ('absent' in standing) absences.push(`${name}: ${standing.absent}`)
    else contenders.push({ peer, version: standing.version })
  }
  const found: SettingFigures[] = []
  for (const setting of settings()) {
    const lack = setting.profile.lack()
    if (lack !== null) {
      absences.push(`profile ${setting.profile.name}: ${lack}`)
      continue
    }
    const figures = await measure(ground, contenders, setting, (line) => console.log(line))
    found.push(figures)
    absences.push(...figures.absences)
  }
  const text = report(found, [...new Set(absences)])
  console.log(`\n${text}`)
  if (!flags.quick) writeResults(found, text)
  return found.some(({ faults }) => faults.length > 0) ? 1 : 0
}

const QUICK_PEERS = ['authgw', 'node:http2 twin', 'nghttpx', 'haproxy', 'haproxy + jwt']

function settings(): Setting[] {
  const rounds = Number(flags.rounds ?? (flags.quick ? 3 : 5))
  const seconds = Number(flags.seconds ?? (flags.quick ? 2 : 4))
  const sizes = chosen(flags.sizes, flags.quick ? ['1'] : ['1', '16', '100']).map(
    (size) => Number(size) * 1024,
  )
  const wishes = chosen(
    flags.profiles,
    PROFILES.map((profile) => profile.name),
  )
  const all: Setting[] = []
  for (const isTls of (flags.tls ?? !flags.quick) ? [false, true] : [false])
    for (const size of sizes)
      for (const profile of PROFILES.filter(({ name }) => wishes.includes(name)))
        all.push({ profile, rounds, load: { seconds, connections: 8, concurrency: 50, size, isTls } })
  return all
}

function writeResults(found: SettingFigures[], text: string): void {
  const folder = resolve(import.meta.dirname, '../results')
  const name = join(folder, new Date().toISOString().slice(0, 16).replaceAll(':', ''))
  mkdirSync(folder, { recursive: true })
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release(), arch: arch() }
  writeFileSync(
    `${name}.json`,
    `${JSON.stringify({ machine, node: process.version, settings: found }, null, 1)}\n`,
  )
  writeFileSync(`${name}.md`, `${text}\n`)
  console.log(`\nWritten: ${name}.json and .md`)
}

process.exitCode = await main()
