import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type Dockerignore from '@balena/dockerignore'
import { systemCode } from '../../lib/errors.ts'
import { USUALLY_IGNORED } from '../detect/manifest-text.ts'
import { MANIFEST } from '../manifest/manifest.ts'

/** What is left out of a folder. Paths are relative to it, with `/`. */
export type Ignored = {
  /** The file that says it; undefined if there is none. */
  readonly by: string | undefined
  readonly ignores: (path: string, isFolder: boolean) => boolean
  /** Whether something in an ignored folder may be there all the same. */
  readonly mayComeBack: boolean
}

/** The rules of `.dockerignore`, by Docker's own rules, and the files that a build always has. */
export async function dockerIgnored(folder: string, dockerfile: string): Promise<Ignored> {
  // Docker takes DOCKERFILE.dockerignore first.
  const own = await textOf(join(folder, `${dockerfile}.dockerignore`))
  const text = own ?? (await textOf(join(folder, '.dockerignore')))
  // A change of shadow.toml must not build anything anew.
  if (text === undefined) return usual('.git', `/${MANIFEST}`)
  // The package is CommonJS: its types describe another export than the one that an import gives.
  const { default: dockerignore } = (await import('@balena/dockerignore')) as unknown as {
    default: typeof Dockerignore.default
  }
  const rules = dockerignore({ ignorecase: false }).add(text)
  return {
    by: own === undefined ? '.dockerignore' : `${dockerfile}.dockerignore`,
    ignores: path => path !== dockerfile && (path === MANIFEST || rules.ignores(path)),
    mayComeBack: /^\s*!/m.test(text),
  }
}

/** The rules of `.dockerignore`, else of `.gitignore`, else the usual ones; `.git` and `also` are always left out. */
export async function sourceIgnored(folder: string, also: readonly string[]): Promise<Ignored> {
  const always = (path: string): boolean => path === '.git' || also.includes(path)
  const forDocker = await textOf(join(folder, '.dockerignore'))
  const { ignores, ...rest } =
    forDocker === undefined ? await gitIgnored(folder) : await dockerIgnored(folder, 'Dockerfile')
  return { ...rest, ignores: (path, isFolder) => always(path) || ignores(path, isFolder) }
}

async function gitIgnored(folder: string): Promise<Ignored> {
  const text = await textOf(join(folder, '.gitignore'))
  if (text === undefined) return usual()
  const { default: gitignore } = await import('ignore')
  // A secret that is in no ignore file is in the repository too; .env files nearly always are meant to be in one.
  const rules = gitignore({ ignorecase: false }).add(['.env', '.env.*', text].join('\n'))
  return {
    by: '.gitignore',
    ignores: (path, isFolder) => rules.ignores(isFolder ? `${path}/` : path),
    mayComeBack: false,
  }
}

async function usual(...only: readonly string[]): Promise<Ignored> {
  const { default: gitignore } = await import('ignore')
  const rules = gitignore({ ignorecase: false }).add([...(only.length > 0 ? only : USUALLY_IGNORED)])
  return { by: undefined, ignores: (path, isFolder) => rules.ignores(isFolder ? `${path}/` : path), mayComeBack: false }
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'EISDIR', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined
    throw error
  }
}
