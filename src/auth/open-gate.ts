/**
 * Lets every call pass, for roles whose check is switched off by an `unsafe_allow` in the configuration.
 * Floor 2; looks at nothing. Kept in this room because a Permit can be made here alone.
 */
import type { Gate } from './gate.ts'
import { mintPermit, type Permit } from './verdict.ts'

/** A gate that stands open. */
export class OpenGate implements Gate {
  readonly #permit: Permit

  /** @param keepsAuthorization whether the caller's own `authorization` goes on to the upstream */
  constructor(keepsAuthorization: boolean) {
    this.#permit = mintPermit({
      principal: { issuer: '', subject: '', client: '' },
      fields: [],
      dropsAuthorization: !keepsAuthorization,
      validUntilMs: Infinity,
      endsAtMs: Infinity,
      credentialGeneration: 0,
      egressIdentity: '',
    })
  }

  admit(): Permit {
    return this.#permit
  }

  isCurrent(): boolean {
    return true
  }

  renew(): null {
    return null
  }
}
