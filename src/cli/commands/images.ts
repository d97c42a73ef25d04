import type { Command } from 'commander'
import type { CallAnswer } from '../../api/call-shape.ts'
import type { imageCalls } from '../../api/image-calls.ts'
import { sayBytes } from '../../model/quantities.ts'
import { type CallFlags, callsMaster, DRY_RUN, type DryRunFlags } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Image = CallAnswer<(typeof imageCalls)['listImages']>['items'][number]
type Collected = CallAnswer<(typeof imageCalls)['pruneImages']>

export function define(command: Command, terminal: Terminal): void {
  const ls = command
    .command('ls')
    .description('list the images that the masters have')
    .argument('[repository]', 'only those of this repository: blog, or blog/worker')
  callsMaster(ls, 'shadow images ls', 'shadow images ls blog').action(
    async (repository: string | undefined, flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const images: Image[] = []
      let after: string | undefined
      do {
        const page = await master.call('listImages', { query: { repository, after } })
        images.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined)
      print(terminal, flags.json, { images }, () =>
        table(
          terminal,
          ['IMAGE', 'TAGS', 'DIGEST', 'SIZE', 'PUSHED', 'APPS'],
          images.map(({ repository, tags, digest, bytes, pushedAt, apps }) => [
            `master.shadow/${repository}`,
            tags.join(' ') || '-',
            short(digest),
            sayBytes(bytes),
            pushedAt,
            apps.join(' ') || '-',
          ]),
        ),
      )
    },
  )

  const rm = command
    .command('rm')
    .description('remove a tag or, by its digest, an image; fails if an app needs the image')
    .argument('<image>', 'blog:3, or blog@sha256:…')
  rm.option('--yes', 'do not ask')
  callsMaster(rm, 'shadow images rm blog:3').action(async (image: string, flags: CallFlags & { yes?: true }) => {
    const { master } = await findTarget(terminal, flags)
    await confirm(terminal, flags.yes, `removes ${image} from the masters`, image)
    await master.call('removeImage', { query: { image } })
    print(terminal, flags.json, { removed: image }, () => '')
    terminal.err(`${image} is removed\n`)
  })

  const prune = command
    .command('prune')
    .description('remove images, layers and sources that no app needs; masters do it by themselves once a day')
    .option('--older-than <time>', 'only what nobody has pushed or asked for within this time; 1h at least', '24h')
    .option(...DRY_RUN)
  callsMaster(prune, 'shadow images prune --dry-run', 'shadow images prune --older-than 1h').action(
    async ({ olderThan, ...flags }: CallFlags & DryRunFlags & { olderThan: string }) => {
      const { master } = await findTarget(terminal, flags)
      const dryRun = flags.dryRun === true
      const signal = new AbortController().signal // a large store takes its time
      const collected = await master.call('pruneImages', { body: { olderThan, dryRun }, signal })
      print(terminal, flags.json, { dryRun, ...collected }, () => listed(collected))
      terminal.err(summary(collected, dryRun))
    },
  )
}

const listed = ({ images }: Collected): string =>
  images.map(({ repository, digest }) => `${repository}@${digest}\n`).join('')

function summary({ images, blobs, bytes, uploads, sources = 0, sourceBytes = 0 }: Collected, dryRun: boolean): string {
  const what = [
    `${images.length} images`,
    `${blobs} layers (${sayBytes(bytes)})`,
    `${uploads} unfinished uploads`,
    `${sources} sources (${sayBytes(sourceBytes)})`,
  ]
  return dryRun ? `would remove ${what.join(', ')}; nothing was done\n` : `removed ${what.join(', ')}\n`
}

const short = (digest: string): string => digest.slice(0, 'sha256:'.length + 12)
