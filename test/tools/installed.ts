import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import config from '../../rolldown.config.ts'

const root = join(import.meta.dirname, '../..')

/** The package as npm installs it, built from the source: `bin/` and `dist/` with the dependencies beside them. */
export async function installed(): Promise<AsyncDisposable & { readonly folder: string; readonly shadow: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-installed-'))
  await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const { output, ...input } = config
  await using build = await rolldown({ ...input, cwd: root })
  await build.write({ ...(Array.isArray(output) ? output[0] : output), dir: join(folder, 'dist') })
  return {
    folder,
    shadow: join(folder, 'bin/shadow'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
