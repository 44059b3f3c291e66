/**
 * From a list of methods and services to the question whether a `:path` is on it.
 * Floor 2; decides nothing about callers.
 */
import { OTLP_EXPORT_METHODS } from './otlp-methods.ts'

/** Methods that may be called. */
export class MethodList {
  readonly #methods = new Set<string>()
  readonly #services = new Set<string>()

  /**
   * @param entries `/package.Service/Method`, `package.Service` or `package.Service/*`; null for the OTLP Export methods
   */
  constructor(entries: readonly string[] | null) {
    for (const entry of entries ?? OTLP_EXPORT_METHODS) {
      const [service, method] = entry.replace(/^\//, '').split('/')
      if (method === undefined || method === '*') this.#services.add(service!)
      else this.#methods.add(`/${service}/${method}`)
    }
  }

  /** Whether `path` (`/package.Service/Method`) is on the list. */
  has(path: string): boolean {
    return this.#methods.has(path) || this.#services.has(path.slice(1, path.lastIndexOf('/')))
  }
}
