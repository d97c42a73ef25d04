import { existsSync, readFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { ShadowError } from '../../lib/errors.ts'
import { sayBytes } from '../../model/quantities.ts'
import { webOfProcfile } from '../detect/detect.ts'
import { folderAt } from '../detect/folder.ts'
import type { Manifest } from '../manifest/manifest.ts'
import { commandOf } from '../manifest/normalise.ts'
import { dockerIgnored } from '../pack/ignored.ts'
import { packFolder } from '../pack/pack.ts'
import { buildHere } from './build-here.ts'
import { buildOnNode } from './build-on-node.ts'
import { fromSource } from './from-source.ts'
import { needsBuildkit } from './needs-buildkit.ts'
import type { Parts } from './parts.ts'
import type { Content } from './release.ts'

/** Makes the code of the app ready to run, before anything of the running app is touched. */
export async function contentOf(parts: Parts): Promise<Content> {
  const { from, build } = parts.manifest
  if (from.kind === 'image') return { image: from.image }
  if (build.builder === 'nixpacks' || build.builder === 'railpack' || parts.isLocal) return buildHere(parts)
  if (from.kind === 'dockerfile') return fromDockerfile(parts, from)
  return fromSource(parts, from.folder)
}

async function fromDockerfile(
  parts: Parts,
  { dockerfile, context }: { dockerfile: string; context: string },
): Promise<Content> {
  const { manifest, stages } = parts
  const path = relative(context, dockerfile)
  if (path.startsWith('..')) throw new ShadowError('bad-input', `${dockerfile} is not in its context ${context}`)
  if (!existsSync(dockerfile))
    throw new ShadowError('bad-input', `there is no ${dockerfile}`, { hint: 'shadow init --dockerfile writes one' })
  const pack = await stages.run(
    'packing the folder',
    async () => packFolder(context, await dockerIgnored(context, path)),
    ({ files, bytes }) => `packed ${basename(context)}: ${files} files, ${sayBytes(bytes)}`,
  )
  const image = await buildOnNode(parts, pack, path, needsBuildkit(readFileSync(dockerfile, 'utf8')))
  return { image, ...procfile(manifest) }
}

/** The command of a Procfile, where the file gives none. */
function procfile({ folder, definition }: Manifest): { command?: readonly string[] } {
  const web = definition['command'] === undefined ? webOfProcfile(folderAt(folder).read('Procfile')) : undefined
  return web === undefined ? {} : { command: commandOf(web) }
}
