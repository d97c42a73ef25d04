import type { Command } from 'commander'
import type { Register } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import { isOpen } from '../../model/access.ts'
import { TASK_DEFAULTS as usual } from '../../model/task.ts'
import { type AccessFlags, accessOptions, withFlags } from '../access-flags.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { type DefinitionFlags, definitionOptions, toPatch, withoutNulls } from '../definition-flags.ts'
import { print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { hasScaleFlags, type ScaleFlags, scaleOptions, withScaleFlags } from '../scale-flags.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'
import { newWakeOptions, type WakeFlags, withWakeFlags } from '../wake-flags.ts'

const LEFT_OUT = `
Defaults: --port ${usual.port} --memory ${usual.memory} --cpus ${usual.cpus} --pids ${usual.pids} --ready port
--start-within ${usual.startWithin} --idle-after ${usual.idleAfter} --grace ${usual.grace} --ws hold; a volume is at ${usual.volumePath}`

type Flags = CallFlags & DefinitionFlags & AccessFlags & ScaleFlags & Pick<WakeFlags, 'ignore' | 'answer'>

export function define(command: Command, terminal: Terminal): void {
  newWakeOptions(
    scaleOptions(
      accessOptions(
        definitionOptions(
          command
            .argument('<name>', 'the name of the app; also the first label of its hostname if no --domain is given')
            .argument('[command...]', "after --: what to run in place of the image's command")
            .option('--image <image>', 'the container image; must be given'),
        ),
      ),
    ),
  ).action(async (name: string, words: string[], flags: Flags) => {
    if (flags.image === undefined)
      throw new ShadowError('bad-input', `no image is given for ${name}`, {
        hint: 'shadow register NAME --image IMAGE',
      })
    const { master, front } = await findTarget(terminal, flags)
    const access = withFlags(flags, name)
    const definition = withoutNulls(await toPatch(flags, words, terminal))
    if (!isOpen(access)) definition['access'] = access
    if (flags.ignore !== undefined || flags.answer !== undefined) definition['wake'] = withWakeFlags(flags, name)
    if (hasScaleFlags(flags)) definition['scale'] = withScaleFlags(flags)
    // The flags are free text. The master's schema decides whether they are a valid definition.
    const app = await master.call('registerApp', {
      body: { name, ...definition } as Register,
      query: DIGESTS,
    })
    print(terminal, flags.json, printable(app), () => `${urlsOf(app, front).join('\n')}\n`)
    terminal.err(`${app.name} is registered; its first request wakes it\n`)
    terminal.err(hintOfLocalhost(app.domains))
  })
  command.addHelpText('after', LEFT_OUT)
  callsMaster(
    command,
    'shadow register blog --image ghost --domain blog.localhost --volume 1GiB --idle-after 5m',
    'shadow register site --image busybox --port 8080 -- httpd -f -p 8080',
  )
}

// Browsers and curl resolve such names by themselves (RFC 6761, 6.3); the resolver of Debian's C library does not.
function hintOfLocalhost(domains: readonly string[]): string {
  const name = domains.find(domain => domain.endsWith('.localhost'))
  if (name === undefined) return ''
  return `hint: browsers and curl know ${name}; for Node, Python and npm add "127.0.0.1 ${name}" to /etc/hosts\n`
}
