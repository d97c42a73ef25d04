import { Command, CommanderError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { asShadowError, isFailure, ShadowError } from '../lib/errors.ts'
import { CommandExit } from './command-exit.ts'
import { type Verb, verbs } from './commands.ts'
import { paint, type Terminal } from './terminal.ts'

/** Runs one command line. Returns the exit code; errors are printed on stderr. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    if (argv[0] === 'complete' && argv[1] === '--') {
      // What the scripts of `shadow completion` call at each press of the tab key.
      const { complete } = await import('./completion.ts')
      await complete(argv.slice(2), verbs, terminal)
      return 0
    }
    await program(terminal).parseAsync(argv, { from: 'user' })
    return 0
  } catch (thrown) {
    if (thrown instanceof CommandExit) return thrown.exitCode
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0 // --help and --version end this way
    const error = thrown instanceof CommanderError ? misused(thrown) : asShadowError(thrown)
    if (thrown instanceof CommanderError && thrown.code === 'commander.help') return error.exitCode // a command is missing; help was shown
    terminal.err(argv.includes('--json') ? `${JSON.stringify(error.toProblem())}\n` : describe(error, terminal))
    return error.exitCode
  }
}

/** All verbs with their descriptions. The options of a verb are defined only when it is called, so that the others are not loaded. */
function program(terminal: Terminal): Command {
  const shadow = new Command('shadow')
    .description('Apps that run only while somebody uses them.')
    .version(packageJson.version)
    .usage('COMMAND')
    .helpCommand(false)
    // A verb with flags may have sub-verbs with flags of the same names.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err, outputError: () => undefined })
    .addHelpText('after', '\nMore: shadow COMMAND --help, shadow help settings, shadow help errors')
    .hook('preSubcommand', async (_, command) => {
      const { define } = await (verbs[command.name()] as Verb).load()
      define(command, terminal)
    })
  for (const [name, { says }] of Object.entries(verbs)) shadow.command(name).description(says)
  return shadow
}

function misused(error: CommanderError): ShadowError {
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const hint = suggestion?.replace(/^\((.*)\)$/, '$1').replace('Did you', 'did you')
  return new ShadowError('bad-input', message, { hint })
}

function describe(error: ShadowError, terminal: Terminal): string {
  const faults = (error.details.faults ?? []).filter(({ message }) => !error.message.includes(message))
  const lines = [
    `${paint(terminal, 'red', 'error:')} ${error.message}`,
    ...faults.map(({ field, message }) => `  ${field}: ${message}`),
  ]
  const hint = error.details.hint ?? usualHint(error)
  if (hint !== undefined) lines.push(`hint: ${hint}`)
  if (error.code === 'internal' && error.cause instanceof Error) lines.push(error.cause.stack ?? error.cause.message)
  return `${lines.join('\n')}\n`
}

function usualHint(error: ShadowError): string | undefined {
  if (isFailure(error, 'master-unreachable')) return 'is it running? on one machine everything is started by: shadow up'
  if (isFailure(error, 'unauthorised'))
    return 'show another one: SHADOW_TOKEN, or shadow context add NAME --url URL --token TOKEN'
  return undefined
}
