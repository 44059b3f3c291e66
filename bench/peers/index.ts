/** All proxies that the bench can put beside each other; authgw is the first, and ratios are taken against the others. */
import { authgw, authgwTwoWorkers, authgwWorkload } from './authgw.ts'
import { envoy } from './envoy.ts'
import { haproxy, haproxyJwt } from './haproxy.ts'
import { nghttpx } from './nghttpx.ts'
import { nginx } from './nginx.ts'
import type { Peer } from './peer.ts'
import { twin } from './twin.ts'

export const PEERS: Peer[] = [
  authgw,
  authgwWorkload,
  authgwTwoWorkers,
  twin,
  nghttpx,
  haproxy,
  haproxyJwt,
  nginx,
  envoy,
]
