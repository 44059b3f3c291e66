/** Every attack of the suite, in the order in which it runs. */
import type { Attack } from './attack.ts'
import { FLOODS } from './floods.ts'

export const ATTACKS: readonly Attack[] = [...FLOODS]
