/** What the long run and the quick one measure: heads, sizes, TLS, and the proxies beside each other in each. */
import type { Setting } from './measure.ts'
import { PROFILES } from './profiles.ts'

/** A setting, and the names of the proxies in it. */
export interface Plan {
  setting: Setting
  peers: string[]
}

/** What a command line may choose. */
export interface PlanChoice {
  isQuick: boolean
  rounds: number
  seconds: number
  peers?: string[] | undefined
  profiles?: string[] | undefined
  sizes?: number[] | undefined
}

const KIB = 1024
const CONNECTIONS = 8
const CONCURRENCY = 50
const QUICK_PEERS = ['authgw', 'node:http2 twin', 'nghttpx', 'haproxy', 'haproxy + jwt']
const ALL_PEERS = [
  'authgw',
  'authgw workload',
  'authgw 2 workers',
  'node:http2 twin',
  'nghttpx',
  'haproxy',
  'haproxy + jwt',
  'nginx',
  'envoy',
]
const SIZE_PEERS = ['authgw', 'nghttpx', 'haproxy', 'node:http2 twin']
const TLS_PEERS = ['authgw', 'nghttpx', 'haproxy', 'haproxy + jwt']

/** Profile, KiB, TLS, proxies. */
const LONG: readonly (readonly [string, number, boolean, string[]])[] = [
  ['constant', 1, false, ALL_PEERS],
  ['grpc-go', 1, false, ['authgw', 'nghttpx', 'haproxy', 'node:http2 twin']],
  ['grpc-js', 1, false, ['authgw', 'nghttpx', 'node:http2 twin']],
  ['constant', 16, false, SIZE_PEERS],
  ['constant', 100, false, SIZE_PEERS],
  ['constant', 1, true, TLS_PEERS],
  ['constant', 16, true, TLS_PEERS],
  ['constant', 100, true, TLS_PEERS],
]
const QUICK: typeof LONG = PROFILES.map(({ name }) => [name, 1, false, QUICK_PEERS] as const)

/** The settings to measure, in their order. */
export function plans(choice: PlanChoice): Plan[] {
  const { isQuick, rounds, seconds } = choice
  return (isQuick ? QUICK : LONG)
    .filter(
      ([profile, kib]) =>
        (choice.profiles?.includes(profile) ?? true) && (choice.sizes?.includes(kib) ?? true),
    )
    .map(([name, kib, isTls, peers]) => ({
      setting: {
        profile: PROFILES.find((profile) => profile.name === name)!,
        rounds,
        load: { seconds, connections: CONNECTIONS, concurrency: CONCURRENCY, size: kib * KIB, isTls },
      },
      peers: peers.filter((peer) => choice.peers?.includes(peer) ?? true),
    }))
}
