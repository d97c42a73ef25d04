import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { deadline } from '../../lib/abort.ts'
import { systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { SYSTEM } from '../../lib/exec.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayMs } from '../../model/quantities.ts'

type What = {
  readonly volume: VolumeId
  /** Where it is mounted. */
  readonly at: string
  /** The longest time for which it may be frozen. */
  readonly withinMs: number
}

/** What was done while the filesystem was frozen, and for how long it was. */
export type Frozen<T> = { readonly value: T; readonly ms: number }

// The shell thaws when its input ends. So a node that is killed leaves no filesystem frozen, under which its app would hang for ever.
// Should this process hang, the shell thaws when the time is over.
// A path that is no mountpoint would freeze the filesystem of the machine itself.
const SCRIPT = `
mountpoint -q "$1" || { echo "$1 is not mounted" >&2; exit 1; }
fsfreeze --freeze "$1" || exit 1
echo frozen
timeout "$2" cat > /dev/null
fsfreeze --unfreeze "$1"
`
/** The shell waits so much longer than the task may take. */
const SPARE_MS = 2_000

/**
 * Runs the task while the filesystem takes no writes and its device has all of them. Programs that write wait until then, and programs that
 * read do not. The signal of the task aborts when the time is over; then this fails with `freeze-too-long`, whatever the task has done.
 */
export async function whileFrozen<T>(what: What, task: (signal: AbortSignal) => Promise<T>): Promise<Frozen<T>> {
  const { volume, at, withinMs } = what
  const seconds = (withinMs + SPARE_MS) / 1_000
  // A session of its own: Ctrl-C must not end the shell before it has thawed the filesystem.
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'sh', at, String(seconds)], { detached: true, cwd: '/', env: SYSTEM })
  let said = ''
  shell.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  shell.stdin.on('error', () => undefined) // it has ended, and that is noticed below
  const closed = once(shell, 'close').catch(cause => Promise.reject(notFrozen(volume, String(cause), cause)))
  closed.catch(() => undefined) // it is awaited below
  const isFrozen = await Promise.race([once(shell.stdout, 'data').then(() => true), closed.then(() => false)])
  if (!isFrozen) throw notFrozen(volume, said.trim())
  const from = performance.now()
  try {
    using limit = deadline(systemClock, withinMs, () => frozenTooLong(volume, withinMs))
    const value = await task(limit.signal)
    limit.signal.throwIfAborted()
    if (shell.exitCode !== null || shell.signalCode !== null) throw frozenTooLong(volume, withinMs)
    return { value, ms: Math.ceil(performance.now() - from) }
  } finally {
    shell.stdin.end()
    await closed
  }
}

/** The error for an app that would be kept from writing for too long. */
export const frozenTooLong = (volume: VolumeId, withinMs: number): ShadowError =>
  new ShadowError(
    'freeze-too-long',
    `the app would be kept from writing to the volume ${volume} for more than ${sayMs(withinMs)}`,
    {
      hint: 'put the app to sleep first (shadow sleep); or have the data folder on XFS or btrfs, where a copy takes no time',
    },
  )

const notFrozen = (volume: VolumeId, said: string, cause?: unknown): ShadowError =>
  new ShadowError('volume-in-use', `the filesystem of volume ${volume} cannot be frozen: ${said}`, {
    cause,
    hint: 'put the app to sleep first: shadow sleep',
  })
