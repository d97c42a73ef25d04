import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { NOTICE_EVENTS, type NoticeEvent } from '../../model/notice.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type AddFlags = CallFlags & { readonly events?: string; readonly apps?: string }

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('add')
      .description('send signed notices to a URL from now on; prints the secret of the signature, this once')
      .argument('<name>')
      .argument('<url>', 'http:// or https://')
      .option('--events <kinds>', `with commas between them, of ${NOTICE_EVENTS.join(', ')}; left out: all`)
      .option('--apps <patterns>', 'notices about these apps only, such as blog,ann-*; left out: about all apps')
      .action(async (name: string, url: string, flags: AddFlags) => {
        const events = flags.events === undefined ? undefined : eventsOf(flags.events)
        const apps = flags.apps?.split(',')
        const { master } = await findTarget(terminal, flags)
        const body = { name, url, ...(events && { events }), ...(apps && { apps }) }
        const added = await master.call('addWebhook', { body })
        print(terminal, flags.json, added, () => `${added.secret}\n`)
        terminal.err(`${name} gets notices from now on; the secret is shown only this once\n`)
      }),
    'shadow webhook add ops https://ops.example/shadow',
    "shadow webhook add ann https://ann.example/hook --events crash,stuck --apps 'ann-*'",
  )
  callsMaster(
    command
      .command('ls')
      .description('list webhooks, and how their notices were taken')
      .action(async (flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const webhooks = await master.call('listWebhooks', {})
        print(terminal, flags.json, webhooks, ({ items }) =>
          table(
            terminal,
            ['webhook', 'url', 'events', 'apps', 'waiting', 'last success', 'last failure'],
            items.map(({ name, url, events, apps, waiting, dropped, lastSuccess, lastFailure }) => [
              name,
              url,
              events.length === NOTICE_EVENTS.length ? 'all' : events.join(','),
              apps?.join(',') ?? 'all',
              dropped === 0 ? `${waiting}` : `${waiting} (${dropped} given up)`,
              lastSuccess ?? 'none',
              lastFailure === null ? 'none' : `${lastFailure.at}: ${lastFailure.why}`,
            ]),
          ),
        )
      }),
    'shadow webhook ls',
  )
  callsMaster(
    command
      .command('rm')
      .description('send no notices to a URL any more; those that wait are dropped')
      .argument('<name>')
      .action(async (name: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        await master.call('removeWebhook', { params: { webhook: name } })
        print(terminal, flags.json, { removed: name }, () => '')
        terminal.err(`${name} gets no notices any more\n`)
      }),
    'shadow webhook rm ops',
  )
  callsMaster(
    command
      .command('test')
      .description('send a test notice now, and print the answer')
      .argument('<name>')
      .action(async (name: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const answer = await master.call('testWebhook', { params: { webhook: name } })
        print(terminal, flags.json, answer, ({ status, says, ms }) =>
          status === null
            ? `no answer: ${says}\n`
            : `status ${status} after ${ms} ms${says && `: ${says.trimEnd()}`}\n`,
        )
        if (!answer.taken)
          throw new ShadowError('bad-input', `${name} did not take the test notice`, {
            hint: 'any status from 200 to 299 takes a notice; redirects are not followed',
          })
      }),
    'shadow webhook test ops',
  )
}

function eventsOf(text: string): NoticeEvent[] {
  return text.split(',').map(one => {
    const event = NOTICE_EVENTS.find(known => known === one)
    if (event !== undefined) return event
    throw new ShadowError('bad-input', `--events: "${one.slice(0, 100)}" is none of ${NOTICE_EVENTS.join(', ')}`)
  })
}
