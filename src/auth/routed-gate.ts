/**
 * Several identities behind one listener: the path of a call says which gate decides.
 * Floor 2; decides nothing itself.
 */
import { ROUTE_DENIED } from './credential-refusals.ts'
import type { CallFacts, Gate } from './gate.ts'
import { Permit } from './verdict.ts'
import type { Refusal, Verdict } from './verdict.ts'

/** Calls whose path begins with `prefix` go to `gate`; the longest prefix wins. `/` takes what is left. */
export interface GateRoute {
  readonly prefix: string
  readonly gate: Gate
}

/** A gate of gates. */
export class RoutedGate implements Gate {
  readonly #routes: readonly GateRoute[]
  readonly #gateOf = new WeakMap<Permit, Gate>()

  constructor(routes: readonly GateRoute[]) {
    this.#routes = [...routes].sort((a, b) => b.prefix.length - a.prefix.length)
  }

  admit(call: CallFacts): Verdict | Promise<Verdict> {
    const route = this.#routes.find(({ prefix }) => call.path.startsWith(prefix))
    if (route === undefined) return ROUTE_DENIED.of(call.path)
    return this.#remember(route.gate, route.gate.admit(call))
  }

  isCurrent(permit: Permit, wallMs: number): boolean {
    return this.#gateOf.get(permit)?.isCurrent(permit, wallMs) ?? false
  }

  renew(permit: Permit): Promise<Verdict> | Refusal | null {
    const gate = this.#gateOf.get(permit)
    if (gate === undefined) return null
    const verdict = gate.renew(permit)
    if (verdict instanceof Promise) return this.#remember(gate, verdict) as Promise<Verdict>
    return verdict
  }

  #remember(gate: Gate, verdict: Verdict | Promise<Verdict>): Verdict | Promise<Verdict> {
    if (verdict instanceof Promise)
      return verdict.then((settled) => {
        if (settled instanceof Permit) this.#gateOf.set(settled, gate)
        return settled
      })
    if (verdict instanceof Permit) this.#gateOf.set(verdict, gate)
    return verdict
  }
}
