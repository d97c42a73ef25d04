import type { Command } from 'commander'
import type { Register } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import { labels } from '../../model/labels.ts'
import { TEMPLATE_DEFAULTS as usual } from '../../model/session.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { type DefinitionFlags, definitionOptions, toPatch, withoutNulls } from '../definition-flags.ts'
import { allApps, orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type RuleFlags = {
  readonly lifetime?: string
  readonly whenIdle?: string
  readonly most?: string
  readonly visitors?: string
  readonly ports?: string
  readonly authUrl?: string
  readonly warm?: string
  readonly pool?: string
  readonly volumeFrom?: string
}

const ruleOptions = (command: Command): Command =>
  command
    .option('--lifetime <time>', 'how long a session lives at most; default: as long as somebody uses it')
    .option(
      '--when-idle <what>',
      `end or sleep: what becomes of a session that nobody uses; default: ${usual.whenIdle}`,
    )
    .option('--most <count>', `most sessions at a time; default: ${usual.most}`)
    .option('--visitors <who>', `token or all: who may visit a session; default: ${usual.visitors}`)
    .option('--ports <which>', `main or all: which ports of a session have a hostname; default: ${usual.ports}`)
    .option(
      '--auth-url <url>',
      'asked about each visit without a token, and before a connect that passes its visitor on',
    )
    .option('--warm <count>', 'sessions that are kept started ahead of time; default: none')
    .option('--pool <labels>', 'labels that a node must have to take its sessions: disk=ssd,zone=eu-1')
    .option('--volume-from <source>', 'app:NAME or snapshot:NAME/ID: what the first volume of a session is a copy of')

/** The rules as the API takes them; its schema decides whether they are valid. */
const rulesOf = ({
  lifetime,
  whenIdle,
  most,
  visitors,
  ports,
  authUrl,
  warm,
  pool,
  volumeFrom,
}: RuleFlags): object => ({
  ...(lifetime !== undefined && { lifetime }),
  ...(whenIdle !== undefined && { whenIdle }),
  ...(most !== undefined && { most: Number(most) }),
  ...(visitors !== undefined && { visitors }),
  ...(ports !== undefined && { ports }),
  ...(authUrl !== undefined && { authUrl }),
  ...(warm !== undefined && { warm: Number(warm) }),
  ...(pool !== undefined && { pool: labels(pool) }),
  ...(volumeFrom !== undefined && { volumeFrom }),
})

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    ruleOptions(
      definitionOptions(
        command
          .command('create')
          .description('make a template: an app that is only used to make sessions')
          .argument('<name>', 'the name of the template; sessions have hostnames below its hostname')
          .argument('[command...]', "after --: what to run in place of the image's command")
          .option('--image <image>', 'the container image; must be given'),
      ),
    ).action(async (name: string, words: string[], flags: CallFlags & DefinitionFlags & RuleFlags) => {
      if (flags.image === undefined)
        throw new ShadowError('bad-input', `no image is given for ${name}`, {
          hint: 'shadow template create NAME --image IMAGE',
        })
      const { master } = await findTarget(terminal, flags)
      const definition = withoutNulls(await toPatch(flags, words, terminal))
      const body = { name, ...definition, template: rulesOf(flags) } as Register
      const app = await master.call('registerApp', { body, query: DIGESTS })
      print(terminal, flags.json, printable(app), () => '')
      terminal.err(`${name} is a template; a session of it: shadow session connect ${name} --key KEY\n`)
    }),
    'shadow template create editor --image editor:2 --idle-after 30s',
    'shadow template create notebook --image jupyter --volume 1GiB --lifetime 8h --when-idle sleep',
  )
  callsMaster(
    ruleOptions(
      command
        .command('set')
        .description(
          'set the rules of a template, or make an app a template; rules that are left out go back to their defaults',
        )
        .argument('<name>', 'the template'),
    ).action(async (name: string, flags: CallFlags & RuleFlags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () =>
        master.call('setTemplate', { params: { app: name }, body: rulesOf(flags) }),
      )
      print(terminal, flags.json, printable(app), () => '')
      terminal.err(`${name} is a template; sessions that live keep the rules that they were made with\n`)
    }),
    'shadow template set editor --most 200 --lifetime 4h',
    'shadow template set editor --warm 5',
  )
  callsMaster(
    command
      .command('ls')
      .description('list the templates')
      .action(async (flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const items = (await allApps(master, 'without')).filter(({ template }) => template !== undefined)
        print(terminal, flags.json, { items: items.map(printable) }, () =>
          table(
            terminal,
            ['NAME', 'RELEASE', 'LIFETIME', 'WHEN-IDLE', 'MOST', 'WARM', 'VISITORS', 'PORTS', 'DOMAINS'],
            items.map(({ name, task, template, domains }) => [
              name,
              String(task.revision),
              template?.lifetime ?? '-',
              `${template?.whenIdle} after ${task.sleep.idleAfter}`,
              String(template?.most),
              String(template?.warm ?? 0),
              template?.visitors ?? '-',
              template?.ports ?? usual.ports,
              domains.join(' ') || '-',
            ]),
          ),
        )
      }),
    'shadow template ls',
  )
}
