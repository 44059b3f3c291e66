/**
 * Keycloak with the realm of deploy/pattern-5, in a copy of its own, so that what it stores ends with the run.
 *
 * ```ts
 * const keycloak = new Keycloak({ home, folder, secret, tokenLifeSeconds: 10, port })
 * await keycloak.service.start()
 * await keycloak.service.stop(); keycloak.forget()      // the next start makes new keys
 * keycloak.tokensOf('workload')                         // tokens given so far
 * ```
 */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PROJECT } from '../../support/project-files.ts'
import { isAnswering, Service } from './service.ts'

/** What to start. */
export interface KeycloakOptions {
  /** `bin/kc.sh` of the installed one. */
  readonly program: string
  /** The run's folder. */
  readonly folder: string
  readonly port: number
  readonly secret: string
  readonly tokenLifeSeconds: number
  /** Further clients: id → whom their tokens are for. */
  readonly clients?: Readonly<Record<string, string>>
  /** Further realms, made like the first one. */
  readonly realms?: readonly string[]
}

interface Client {
  clientId: string
  protocolMappers?: { name: string; config: Record<string, string> }[]
}
interface Realm {
  realm: string
  accessTokenLifespan: number
  clients: Client[]
}

/** Keycloak as the README of deploy/pattern-5 starts it. */
export class Keycloak {
  readonly service: Service
  readonly #home: string
  readonly #options: KeycloakOptions

  constructor(options: KeycloakOptions) {
    this.#options = options
    this.#home = join(options.folder, 'keycloak')
    const installed = dirname(dirname(options.program))
    cpSync(installed, this.#home, {
      recursive: true,
      filter: (from) => from !== join(installed, 'data') && from !== join(installed, 'lib/lib'),
    })
    symlinkSync(join(installed, 'lib/lib'), join(this.#home, 'lib/lib'))
    this.#writeRealms()
    this.service = new Service({
      name: 'keycloak',
      program: join(this.#home, 'bin/kc.sh'),
      args: [
        'start-dev',
        '--import-realm',
        '--http-host',
        'localhost',
        '--http-port',
        String(options.port),
        '--log-level=INFO,org.keycloak.events:debug',
      ],
      folder: options.folder,
      env: {
        WORKLOAD_CLIENT_SECRET: options.secret,
        JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx512m',
        JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1',
      },
      isReady: () => isAnswering(`${this.issuer()}/.well-known/openid-configuration`),
      // Some 15 s on a free machine; minutes on one that does much else.
      readyMs: 300_000,
    })
  }

  /** The issuer URL of a realm. */
  issuer(realm = 'opentelemetry'): string {
    return `http://localhost:${this.#options.port}/realms/${realm}`
  }

  /** Throws away what it stores: at its next start it imports the realms again, and makes new keys. */
  forget(): void {
    rmSync(join(this.#home, 'data/h2'), { recursive: true, force: true })
  }

  /** How many tokens a client was given, as its log of events says. */
  tokensOf(clientId: string): number {
    return this.service
      .log()
      .split('\n')
      .filter((line) => line.includes('type="CLIENT_LOGIN"') && line.includes(`clientId="${clientId}"`))
      .length
  }

  #writeRealms(): void {
    const { tokenLifeSeconds, clients = {}, realms = [] } = this.#options
    const folder = join(this.#home, 'data/import')
    mkdirSync(folder, { recursive: true })
    const text = readFileSync(join(PROJECT, 'deploy/pattern-5/opentelemetry-realm.json'), 'utf8')
    for (const name of ['opentelemetry', ...realms]) {
      const realm = JSON.parse(text) as Realm
      realm.realm = name
      realm.accessTokenLifespan = tokenLifeSeconds
      const workload = realm.clients.find(({ clientId }) => clientId === 'workload')!
      for (const [clientId, audience] of Object.entries(clients)) {
        const client = structuredClone({ ...workload, clientId })
        const { config } = client.protocolMappers![0]!
        delete config['included.client.audience']
        config['included.custom.audience'] = audience
        realm.clients.push(client)
      }
      writeFileSync(join(folder, `${name}-realm.json`), JSON.stringify(realm, null, 2))
    }
  }
}
