import { basename, join } from 'node:path'
import { isFailure } from '../../lib/errors.ts'
import { sayBytes } from '../../model/quantities.ts'
import { SOURCE_PATH } from '../../model/source.ts'
import { dockerfileOf, dockerfileOfDependencies, isMounted, recipeOf } from '../detect/detect.ts'
import { folderAt } from '../detect/folder.ts'
import type { Recipe } from '../detect/recipe.ts'
import { MANIFEST } from '../manifest/manifest.ts'
import { commandOf } from '../manifest/normalise.ts'
import { sourceIgnored } from '../pack/ignored.ts'
import { digestOf, fileOf, madeFile, madeLink, type Pack, packFiles, packFolder } from '../pack/pack.ts'
import { unknownSource } from './build-here.ts'
import { buildOnNode } from './build-on-node.ts'
import type { Parts } from './parts.ts'
import type { Content } from './release.ts'

const MADE_DOCKERFILE = '.shadow.Dockerfile'

/**
 * Runs a source folder by what is found in it. The source is mounted, and only what it needs is built; a change of the source alone builds
 * nothing. A source that has to be built itself is part of its image.
 */
export async function fromSource(parts: Parts, folder: string): Promise<Content> {
  const { definition, build } = parts.manifest
  const recipe = recipeOf(folderAt(folder))
  if (recipe === undefined) throw unknownSource(folder)
  // A mounted source is read-only: a volume cannot be mounted inside of it.
  const isInside = `${(definition['volume'] as { path?: string } | undefined)?.path ?? ''}/`.startsWith(
    `${SOURCE_PATH}/`,
  )
  return isMounted(recipe, build) && !isInside ? mounted(parts, folder, recipe) : built(parts, folder, recipe)
}

async function built(parts: Parts, folder: string, recipe: Recipe): Promise<Content> {
  const dockerfile = madeFile(MADE_DOCKERFILE, dockerfileOf(recipe, parts.manifest.build))
  const pack = await packed(parts, folder, recipe, dockerfile)
  return { image: await buildOnNode(parts, pack, MADE_DOCKERFILE) }
}

async function mounted(parts: Parts, folder: string, recipe: Recipe): Promise<Content> {
  const { manifest, stages } = parts
  const { link } = recipe
  const pack = await packed(parts, folder, recipe, ...(link === undefined ? [] : [madeLink(link.name, link.to)]))
  const digest = await stages.run(
    'sending the source',
    () => send(parts, pack),
    sent => (sent.isNew ? `sent the source: ${sent.digest.slice(0, 12)}` : 'the source is there already'),
  )
  const needs = dockerfileOfDependencies(recipe, manifest.build)
  const image =
    needs === undefined ? (manifest.build.base ?? recipe.base) : await dependencies(parts, folder, recipe, needs)
  return {
    image,
    source: { digest: digest.digest },
    ...(manifest.definition['command'] === undefined && { command: commandOf(recipe.command) }),
  }
}

/** An image with the dependencies, built from the files that name them: as long as these stay as they are, the builder finds it again. */
async function dependencies(parts: Parts, folder: string, recipe: Recipe, dockerfile: string): Promise<string> {
  const files = await Promise.all((recipe.dependencies?.files ?? []).map(name => fileOf(name, join(folder, name))))
  return buildOnNode(parts, packFiles([madeFile(MADE_DOCKERFILE, dockerfile), ...files]), MADE_DOCKERFILE)
}

async function packed(
  { stages }: Parts,
  folder: string,
  recipe: Recipe,
  ...more: ReturnType<typeof madeFile>[]
): Promise<Pack> {
  const made = [...more.map(({ name }) => name), MANIFEST]
  return stages.run(
    'packing the folder',
    async () => packFolder(folder, await sourceIgnored(folder, made), more),
    ({ files, bytes }) =>
      `packed ${basename(folder)} (${recipe.language}: ${recipe.why}): ${files} files, ${sayBytes(bytes)}`,
  )
}

async function send({ master }: Parts, pack: Pack): Promise<{ digest: string; isNew: boolean }> {
  const digest = await digestOf(pack)
  const params = { digest }
  try {
    ;(await master.raw('headBlob', { params })).body.resume()
    return { digest, isNew: false }
  } catch (error) {
    if (!isFailure(error, 'not-found', 'internal')) throw error // HEAD has no body, so the answer has no code
  }
  await master.raw('putBlob', { params, content: pack.content(), signal: new AbortController().signal })
  return { digest, isNew: true }
}
