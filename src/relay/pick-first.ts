/**
 * A dialer of many addresses into one of a single address: the first that can be reached (`balancer_name: pick_first`).
 * Floor 3; knows no socket. As in gRPC, it stays where it is while that works, and begins anew when it does not.
 * @see https://github.com/grpc/grpc/blob/master/doc/load-balancing.md
 */
import type { TransportError } from '../base/index.ts'
import type { DialListener, EgressDialer } from './ports.ts'

/** Picks the first address of another dialer that works, for all connections. */
export class PickFirst implements EgressDialer {
  onChange: () => void = () => {}
  readonly #dialer: EgressDialer
  /** Where the last connection was made; null before the first, and when that address is no more. */
  #picked: string | null = null
  /** How often the address that was picked has gone from the list: connections to it take no new calls then. */
  #lostCount = 0

  constructor(dialer: EgressDialer) {
    this.#dialer = dialer
    dialer.onChange = () => {
      if (this.#picked !== null && !dialer.addresses.includes(this.#picked)) {
        this.#picked = null
        this.#lostCount++
      }
      this.onChange()
    }
  }

  /** One for all, by the name of the endpoint; none while it is not resolved. */
  get addresses(): readonly string[] {
    return this.#dialer.addresses.length === 0 ? [] : [this.#dialer.authority]
  }

  get generation(): number {
    return this.#dialer.generation + this.#lostCount
  }

  get authority(): string {
    return this.#dialer.authority
  }

  get scheme(): 'http' | 'https' {
    return this.#dialer.scheme
  }

  dial(_address: string, listener: DialListener): void {
    const { addresses } = this.#dialer
    const picked = this.#picked
    // What works first, then the others in their order.
    const order = picked === null ? addresses : [picked, ...addresses.filter((address) => address !== picked)]
    this.#dialFrom(order, 0, listener)
  }

  resolveAgain(): void {
    this.#dialer.resolveAgain()
  }

  #dialFrom(order: readonly string[], at: number, listener: DialListener): void {
    const address = order[at]!
    this.#dialer.dial(address, {
      onConnected: () => {
        this.#picked = address
        return listener.onConnected()
      },
      onDialFailed: (error: TransportError) => {
        if (this.#picked === address) this.#picked = null
        if (at + 1 < order.length) this.#dialFrom(order, at + 1, listener)
        else listener.onDialFailed(error)
      },
    })
  }
}
