import type { Command } from 'commander'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { sayBytes, sayMs, size } from '../model/quantities.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { type CallFlags, callsMaster } from './command-options.ts'
import { confirm } from './confirm.ts'
import { orNearApps } from './near-apps.ts'
import { print, table } from './print.ts'
import { whileShown } from './spinner.ts'
import { findTarget } from './target.ts'
import type { Terminal } from './terminal.ts'

type SnapshotFlags = CallFlags & { name?: string; note?: string; keep?: string }
type ChangeFlags = CallFlags & { yes?: true; dryRun?: true }

/** A large volume takes long: a command waits until it is ended. */
const patiently = (): AbortSignal => new AbortController().signal

/** Adds the commands about snapshots to `shadow volume`. */
export function defineSnapshots(command: Command, terminal: Terminal): void {
  const snapshot = command
    .command('snapshot')
    .description('take a snapshot of the volume of an app, which serves on; one that is asleep is not woken')
    .argument('<app>')
    .option('--name <name>', 'left out: the time, such as 20261129-140512')
    .option('--note <text>', 'what it is for')
    .option('--keep <count>', 'remove the oldest snapshots afterwards, so that so many are left')
  callsMaster(snapshot, 'shadow volume snapshot blog', 'shadow volume snapshot blog --keep 7').action(
    async (app: string, flags: SnapshotFlags) => {
      const { name, note } = flags
      const keep = flags.keep === undefined ? undefined : count(flags.keep)
      const { master } = await findTarget(terminal, flags)
      const body = { ...(name && { name }), ...(note && { note }), ...(keep !== undefined && { keep }) }
      const taken = await orNearApps(master, app, () =>
        whileShown(terminal, `taking a snapshot of ${app}`, () =>
          master.call('takeSnapshot', { params: { volume: app }, body, signal: patiently() }),
        ),
      )
      print(terminal, flags.json, taken, () => `${taken.id}\n`)
      terminal.err(`the snapshot ${taken.id} of ${app} is taken: ${sayMoment(taken)}${sayStored(taken)}\n`)
    },
  )

  const snapshots = command
    .command('snapshots')
    .description('list the snapshots of a volume, the newest first')
    .argument('<app>')
  callsMaster(snapshots, 'shadow volume snapshots blog').action(async (app: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { items } = await master.call('listSnapshots', { params: { volume: app }, signal: patiently() })
    print(terminal, flags.json, { snapshots: items }, () =>
      table(
        terminal,
        ['SNAPSHOT', 'TAKEN', 'SIZE', 'BYTES', 'WHERE', 'BY', 'MOMENT', 'NOTE'],
        items.map(one => [
          one.id,
          one.takenAt,
          one.size,
          one.bytes === undefined ? '-' : sayBytes(one.bytes),
          one.node ?? one.driver ?? '-',
          one.by,
          one.state === 'ready' ? sayMoment(one) : 'being stored',
          one.note ?? '-',
        ]),
      ),
    )
  })

  const remove = command
    .command('rm-snapshot')
    .description('delete a snapshot')
    .argument('<app>')
    .argument('<snapshot>')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'say what would be deleted, and change nothing')
  callsMaster(remove, 'shadow volume rm-snapshot blog 20261129-140512').action(
    async (app: string, snapshot: string, flags: ChangeFlags) => {
      const { master } = await findTarget(terminal, flags)
      const dryRun = flags.dryRun === true
      const params = { volume: app, snapshot }
      const found = await master.call('removeSnapshot', { params, query: { dryRun: 'true' }, signal: patiently() })
      if (!dryRun) {
        await confirm(terminal, flags.yes, `deletes the snapshot ${snapshot} of ${app}`, snapshot)
        await master.call('removeSnapshot', { params, signal: patiently() })
      }
      print(terminal, flags.json, { removed: !dryRun, snapshot: found }, () => '')
      const would = dryRun ? 'would be deleted' : 'is deleted'
      terminal.err(`the snapshot ${snapshot} of ${app}, taken ${found.takenAt}, ${would}\n`)
    },
  )

  const fork = command
    .command('fork')
    .description('make a volume that no app has yet, with the data of another one; shadow fork copies the app too')
    .argument('<app>')
    .argument('<name>', 'the name of the new volume, and of the app that may have it later')
    .option('--snapshot <snapshot>', 'the data of this snapshot; left out: the data of now')
  callsMaster(fork, 'shadow volume fork blog blog-test').action(
    async (app: string, name: string, flags: CallFlags & { snapshot?: string }) => {
      const { master } = await findTarget(terminal, flags)
      const body = { name, ...(flags.snapshot && { snapshot: flags.snapshot }) }
      const made = await orNearApps(master, app, () =>
        master.call('forkVolume', { params: { volume: app }, body, signal: patiently() }),
      )
      print(terminal, flags.json, made, () => '')
      terminal.err(
        `the volume ${made.id} is made; an app of this name finds it: shadow register ${made.id} --volume ${made.size}\n`,
      )
    },
  )

  const restore = command
    .command('restore')
    .description('give the volume of an app the bytes of a snapshot; what it has now is kept as a snapshot first')
    .argument('<app>')
    .argument('<snapshot>')
    .option('--dry-run', 'check what can be checked, and change nothing')
  callsMaster(restore, 'shadow volume restore blog 20261129-140512').action(
    async (app: string, snapshot: string, flags: ChangeFlags) => {
      const { master } = await findTarget(terminal, flags)
      const body = { snapshot, dryRun: flags.dryRun === true }
      const done = await orNearApps(master, app, () =>
        master.call('restoreVolume', { params: { volume: app }, body, signal: patiently() }),
      )
      print(terminal, flags.json, done, () => '')
      const { takenAt } = done.snapshot
      if (!done.restored) {
        terminal.err(`${app} would sleep, and its volume would be as it was at ${takenAt}; nothing was changed\n`)
        return
      }
      const held = done.heldMs === undefined ? '' : `; it was held for ${sayMs(done.heldMs)}`
      terminal.err(`the volume of ${app} is as it was at ${takenAt}${held}; its next request wakes it\n`)
      if (done.kept !== null)
        terminal.err(`what it had is kept; to undo this: shadow volume restore ${app} ${done.kept}\n`)
    },
  )
}

/** Adds `shadow volume grow`. */
export function defineGrow(command: Command, terminal: Terminal): void {
  const grow = command
    .command('grow')
    .description('make the volume of an app larger, while the app serves where its driver can; none is made smaller')
    .argument('<app>')
    .argument('<size>', 'such as 2GiB')
  callsMaster(grow, 'shadow volume grow blog 2GiB').action(async (app: string, size: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const body = { size: asSize(size) }
    const done = await orNearApps(master, app, () =>
      master.call('growVolume', { params: { volume: app }, body, signal: patiently() }),
    )
    print(terminal, flags.json, done, () => '')
    const now =
      done.sizeBytes === undefined
        ? '; its next wake makes it so large'
        : ` and has ${sayBytes(done.sizeBytes)} for files`
    terminal.err(`the volume of ${app} is ${done.size}${now}\n`)
  })
}

function asSize(text: string): string {
  try {
    return size(text)
  } catch (error) {
    if (!isFailure(error, 'bad-input')) throw error
    throw new ShadowError('bad-input', `<size>: ${error.message}`, {
      faults: [{ field: '<size>', message: error.message }],
    })
  }
}

function count(text: string): number {
  const parsed = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (parsed >= 1 && parsed <= 100) return parsed
  throw new ShadowError('bad-input', `--keep: "${text}" is no number from 1 to 100`, {
    faults: [{ field: '--keep', message: `"${text}" is no number from 1 to 100` }],
  })
}

const sayMoment = ({ consistent, frozenMs = 0 }: Snapshot): string =>
  consistent === 'frozen' ? `its writes waited for ${sayMs(frozenMs)}` : 'the app was asleep'

const sayStored = ({ bytes }: Snapshot): string => (bytes === undefined ? '' : `; ${sayBytes(bytes)} on disk at most`)
