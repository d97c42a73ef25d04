import { open } from 'node:fs/promises'
import type { ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'

type Copy = {
  readonly exec: Exec
  readonly from: string
  /** A file that is not there yet. */
  readonly to: string
  /** What is thrown where the storage has no room for the copy. */
  readonly full: (cause: unknown) => ShadowError
}

/** Copies an image, and syncs the copy: at once where the filesystem lets files share blocks, otherwise all but its holes. */
export async function copyImage({ exec, from, to, full }: Copy): Promise<void> {
  await exec('cp', ['--reflink=auto', '--sparse=always', '--', from, to]).catch(cause => {
    throw cause instanceof ExecError && /No space left|quota/i.test(cause.stderr) ? full(cause) : cause
  })
  await using file = await open(to, 'r+')
  await file.sync()
}
