import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Makes an empty folder. It is removed when `started` is disposed. */
export async function aFolder(started: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-test-smuggling-'))
  started.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}
