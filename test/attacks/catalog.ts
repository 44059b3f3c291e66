/** Every attack of the suite, in the order in which it runs. */
import type { Attack } from './attack.ts'
import { CONNECTIONS } from './connections.ts'
import { FLOODS } from './floods.ts'
import { HEADERS } from './headers.ts'
import { SMUGGLING } from './smuggling.ts'
import { TOKENS } from './tokens.ts'
import { UPSTREAMS } from './upstreams.ts'
import { WINDOWS } from './windows.ts'

export const ATTACKS: readonly Attack[] = [
  ...FLOODS,
  ...HEADERS,
  ...WINDOWS,
  ...SMUGGLING,
  ...TOKENS,
  ...CONNECTIONS,
  ...UPSTREAMS,
]
