/**
 * The commands, their options and their help.
 * Floor 8; each command's own code is loaded when it is asked for, so that a gateway starts without what it does not need.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError, TransportError } from '../base/index.ts'
import type { CertsOptions } from './certs/command.ts'
import type { CollectorConfigOptions } from './collector-config.ts'
import type { GeneratedPage } from './docs.ts'
import type { ExplainOptions } from './explain.ts'
import type { HealthcheckOptions } from './healthcheck.ts'
import type { InitOptions } from './init.ts'
import { EXIT, ROLE_NAMES } from './io.ts'
import type { CliIo } from './io.ts'
import type { ConfigChoice, StartRoles } from './run.ts'
import type { TokenOptions } from './token.ts'

/** What main.ts gives to the commands. */
export interface ProgramParts {
  readonly io: CliIo
  /** Starts the roles; loads them when it is called. */
  readonly startRoles: StartRoles
  /** Generated pages, beside those of cli/docs.ts. */
  readonly pages: () => Promise<readonly GeneratedPage[]>
  /** Told the exit code of the command that ran. */
  readonly onExitCode: (code: number) => void
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

function wholeNumber(value: string): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('write a whole number.')
  return number
}

function durationMs(value: string): number {
  const parts = /^(\d+)(ms|s)$/.exec(value)
  if (parts === null) throw new InvalidArgumentError('write a duration such as 2s.')
  return Number(parts[1]) * (parts[2] === 's' ? 1_000 : 1)
}

/** Builds the program. Parsing its arguments runs a command. */
export function makeProgram(parts: ProgramParts): Command {
  const { io, onExitCode } = parts
  const program = new Command('authgw')
    .description(
      'Puts an OIDC token on every gRPC call (workload), and checks it on every call (control plane).',
    )
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  authgw --config workload.yaml
  authgw --config base.yaml --config local.yaml --set admin.endpoint=localhost:9999
  authgw validate --config workload.yaml
  authgw token --config workload.yaml
  authgw explain --config control-plane.yaml --token-file token --method logs
  authgw init --out demo --issuer https://keycloak.example.com/realms/opentelemetry

Signals of a running gateway: SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reads the configuration again.
Exit codes: 0 clean, 1 failed, 2 bad configuration or usage.`,
    )
  addRun(program, parts)
  addConfigCommands(program, io, onExitCode)
  addTrials(program, io, onExitCode)
  addCerts(program, io, onExitCode)
  addInit(program, io, onExitCode)
  addRenderDocs(program, parts)
  program
    .command('version')
    .description('print the version of authgw and of Node')
    .action(() => io.out(`authgw ${io.version} (node ${io.nodeVersion})\n`))
  return program
}

function withConfig(command: Command): Command {
  return command
    .addOption(
      new Option('-c, --config <file>', 'configuration file; may be given again, later ones win')
        .argParser(collect)
        .default([], '')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('-s, --set <key=value>', 'a setting that wins over the files; may be given again')
        .argParser(collect)
        .default([], ''),
    )
    .hook('preAction', (_, action) => {
      const { config } = action.opts<ConfigChoice>()
      if (config.length === 0 && action.args.length === 0)
        action.error("error: required option '-c, --config <file>' not specified")
    })
}

function addRun(program: Command, { io, startRoles, onExitCode }: ProgramParts): void {
  withConfig(program.command('run', { isDefault: true }))
    .description('run the gateway (the default command)')
    .addOption(
      new Option('--log-level <level>', 'least severity to log, in place of the configuration’s').choices([
        'debug',
        'info',
        'warn',
        'error',
      ]),
    )
    .addHelpText('after', '\nExample:\n  authgw --config workload.yaml --log-level debug')
    .allowExcessArguments()
    .action(async (options: ConfigChoice, command: Command) => {
      const unknown = command.args[0]
      if (unknown !== undefined) command.error(`error: unknown command '${unknown}'; see authgw --help`)
      const { run } = await import('./run.ts')
      onExitCode(await run(options, startRoles, io))
    })
}

function addConfigCommands(program: Command, io: CliIo, onExitCode: (code: number) => void): void {
  withConfig(program.command('validate'))
    .description('check a configuration and the files it names; list every fault with its line')
    .option('--skip-files', 'do not open certificates, keys and secrets')
    .addHelpText('after', '\nExample:\n  authgw validate --config workload.yaml && systemctl reload authgw')
    .action(async (options: ConfigChoice & { skipFiles?: boolean }) => {
      const { runValidate } = await import('./validate.ts')
      onExitCode(runValidate(options, io))
    })
  withConfig(program.command('print-config'))
    .description(
      'print the configuration that is in force: files merged, references replaced, secrets masked',
    )
    .option('--no-defaults', 'leave out what was not written')
    .addHelpText(
      'after',
      '\nExample:\n  authgw print-config --config base.yaml --config local.yaml --no-defaults',
    )
    .action(async (options: ConfigChoice & { defaults: boolean }) => {
      const { runPrintConfig } = await import('./validate.ts')
      onExitCode(runPrintConfig(options, io))
    })
  withConfig(program.command('print-collector-config'))
    .description('print the configuration of the stock collector beside authgw, made to fit this one')
    .addOption(
      new Option('--role <role>', 'which role’s collector, when the configuration has both').choices(
        ROLE_NAMES,
      ),
    )
    .addHelpText(
      'after',
      `
Beside the workload role: an exporter that retries for ever and a queue on disk. Behind the control plane role: a receiver
that keeps the metadata of calls, and a processor that turns who it was into resource attributes.

Example:
  authgw print-collector-config --config workload.yaml > collector.yaml && otelcol validate --config collector.yaml`,
    )
    .action(async (options: CollectorConfigOptions) => {
      const { runPrintCollectorConfig } = await import('./collector-config.ts')
      onExitCode(runPrintCollectorConfig(options, io))
    })
  withConfig(program.command('healthcheck'))
    .description('ask the admin endpoint whether the gateway is ready: 0 if it is, 1 if not')
    .option('--liveness', 'ask whether it is alive, which never depends on others')
    .addOption(
      new Option('--timeout <duration>', 'how long to wait').argParser(durationMs).default(2_000, '2s'),
    )
    .addHelpText('after', '\nExample:\n  authgw healthcheck --config /etc/authgw/config.yaml --liveness')
    .action(async ({ timeout, ...options }: ConfigChoice & HealthcheckOptions & { timeout: number }) => {
      const [{ loadChosen }, { runHealthcheck }] = await Promise.all([
        import('./run.ts'),
        import('./healthcheck.ts'),
      ])
      const { config } = loadChosen(options, io, false)
      onExitCode(await runHealthcheck(config, { ...options, timeoutMs: timeout }, io))
    })
}

function addTrials(program: Command, io: CliIo, onExitCode: (code: number) => void): void {
  withConfig(program.command('token'))
    .description('fetch a token once, as the gateway would, and print its claims and times; never the token')
    .option('--identity <name>', 'which identity, when the configuration has several (default: all of them)')
    .addHelpText(
      'after',
      `
What cannot be had is said by its class (docs/errors.md), such as invalid_client or idp_unreachable; the exit code is then 1.

Example:
  authgw token --config workload.yaml`,
    )
    .action(async (options: TokenOptions) => {
      const { runToken } = await import('./token.ts')
      onExitCode(await runToken(options, io))
    })
  withConfig(program.command('explain'))
    .description('say which check or rule decides about a token and a method; nothing is sent')
    .option('-m, --method <method>', 'traces, metrics, logs, profiles, or /package.Service/Method', 'traces')
    .option('-t, --token-file <file>', 'file with the token (default: the standard input)')
    .addOption(new Option('--keys <file>', 'the issuer’s keys, JWKS or PEM').conflicts('online'))
    .option('--online', 'fetch the issuer’s keys')
    .option('--client-cert <file>', 'the certificate that the caller shows, PEM; taken for verified')
    .addHelpText(
      'after',
      `
Without --keys and --online the keys are those of public_keys_file, or the last good ones in oidc.key_cache_directory;
where there are none, the signature is left open. Exit code 0 when the call would pass, 1 when not.

Examples:
  authgw explain --config control-plane.yaml --token-file token --method logs --online
  printf %s "$TOKEN" | authgw explain --config control-plane.yaml --client-cert workload.pem`,
    )
    .action(async (options: ExplainOptions) => {
      const { runExplain } = await import('./explain.ts')
      onExitCode(await runExplain(options, io))
    })
}

function addCerts(program: Command, io: CliIo, onExitCode: (code: number) => void): void {
  const certs = program
    .command('certs')
    .description('make development certificates: a CA, then servers and clients that it signs')
    .addHelpText(
      'after',
      `
Examples:
  authgw certs ca --out certs
  authgw certs server --out certs --name control-plane --san DNS:control-plane.example.com,IP:10.0.0.7
  authgw certs client --out certs --name workload --san URI:spiffe://example.org/workload
  authgw certs server --out certs --name control-plane --profile certs/control-plane.csr.json`,
    )
  for (const [use, text] of [
    ['ca', 'make a certificate authority: ca.pem and ca-key.pem'],
    ['server', 'make a server certificate, for localhost unless --san says otherwise'],
    ['client', 'make a client certificate'],
    ['peer', 'make a certificate for both sides'],
  ] as const) {
    certs
      .command(use)
      .description(text)
      .requiredOption('-o, --out <folder>', 'where to write; made if missing')
      .option('-n, --name <name>', `name of the files: name.pem and name-key.pem (default: ${use})`)
      .option('--cn <name>', 'common name (default: the name of the files)')
      .option('--san <names...>', 'subject alternative names: DNS:…, IP:…, URI:…, with commas between')
      .option('-p, --profile <file>', 'certificate request profile in cfssl’s JSON')
      .option('--ca <file>', 'certificate of the CA (default: ca.pem in the folder)')
      .option('--ca-key <file>', 'key of the CA (default: ca-key.pem in the folder)')
      .addOption(
        new Option('--days <number>', 'life in days (default: 365, for a CA 3650)').argParser(wholeNumber),
      )
      .option('-f, --force', 'overwrite files that are there')
      .action(async (options: CertsOptions) => {
        const { runCerts } = await import('./certs/command.ts')
        onExitCode(await runCerts(use, options, io))
      })
  }
}

function addInit(program: Command, io: CliIo, onExitCode: (code: number) => void): void {
  program
    .command('init')
    .description('write a working pair of configurations, certificates, Keycloak settings and collector YAML')
    .requiredOption('-o, --out <folder>', 'where to write; made if missing')
    .option('--issuer <url>', 'issuer of the tokens', 'http://localhost:8080/realms/opentelemetry')
    .option('--host <name>', 'host name of the control plane gateway, as workloads dial it', 'localhost')
    .option('-f, --force', 'overwrite files that are there')
    .addHelpText(
      'after',
      '\nExample:\n  authgw init --out demo --issuer https://keycloak.example.com/realms/opentelemetry --host cp.example.com',
    )
    .action(async (options: InitOptions) => {
      const { runInit } = await import('./init.ts')
      onExitCode(await runInit(options, io))
    })
}

function addRenderDocs(program: Command, { io, pages, onExitCode }: ProgramParts): void {
  program
    .command('render-docs')
    .description('write the pages that are made from tables in the code; for those who change authgw')
    .option('--check', 'write nothing; fail when a page is out of date')
    .option('-o, --out <folder>', 'top of the project', '.')
    .addHelpText('after', '\nExample:\n  authgw render-docs --check')
    .action(async ({ check, out }: { check?: boolean; out: string }) => {
      const { PAGES, runRenderDocs } = await import('./docs.ts')
      onExitCode(runRenderDocs([...PAGES, ...(await pages())], out, check === true, io))
    })
}

/** What commander throws when it has printed a message or help. */
interface ProgramExit {
  readonly code: string
  readonly exitCode: number
}

/** Runs `args` (without node and script). Gives the exit code. A fault of the operator's is printed, never thrown. */
export async function runProgram(
  args: readonly string[],
  parts: Omit<ProgramParts, 'onExitCode'>,
): Promise<number> {
  let exitCode: number = EXIT.ok
  const program = makeProgram({ ...parts, onExitCode: (code) => (exitCode = code) })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof ConfigError) {
      const { formatRefusal } = await import('./report.ts')
      parts.io.err(formatRefusal(error.faults))
      return EXIT.usage
    }
    if (error instanceof Error && error.name === 'UsageError' && 'remedy' in error) {
      parts.io.err(`${error.message}  → ${String(error.remedy)}\n`)
      return EXIT.usage
    }
    if (error instanceof TransportError || (error instanceof Error && 'syscall' in error)) {
      parts.io.err(`${error.message}\n`)
      return EXIT.failed
    }
    if (error instanceof Error && 'exitCode' in error && 'code' in error) {
      return (error as unknown as ProgramExit).exitCode === 0 ? EXIT.ok : EXIT.usage
    }
    throw error
  }
}
