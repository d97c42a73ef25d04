import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { dockerfileOf, recipeOf } from '../detect/detect.ts'
import { folderAt } from '../detect/folder.ts'
import type { Manifest } from '../manifest/manifest.ts'
import { sendImage } from './build-on-node.ts'
import type { Parts } from './parts.ts'
import type { Content } from './release.ts'

/** Builds with a program of this machine, and sends the image to the node of the app. */
export async function buildHere(parts: Parts): Promise<Content> {
  const { name, manifest, stages } = parts
  const folder = await mkdtemp(join(tmpdir(), 'shadow-build-'))
  const tag = `shadow-local/${name}:latest`
  try {
    const words = await commandOf(manifest, folder, tag)
    const id = await stages.run(
      `building by ${words[0]}`,
      async () => {
        await run(words, line => stages.line(line))
        return manifest.build.builder === undefined || manifest.build.builder === 'docker'
          ? (await readFile(join(folder, 'id'), 'utf8')).trim()
          : tag
      },
      () => `built here by ${words[0]}`,
    )
    const image = await stages.run(
      'sending the image',
      () => sendImage(parts, saved(id)),
      sent => `sent as ${sent}`,
    )
    return { image }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The words of the command that builds, and what it needs in the folder. */
async function commandOf({ from, build }: Manifest, folder: string, tag: string): Promise<[string, ...string[]]> {
  const source = from.kind === 'dockerfile' ? from.context : from.kind === 'source' ? from.folder : '.'
  if (build.builder === 'nixpacks') return ['nixpacks', 'build', source, '--name', tag]
  if (build.builder === 'railpack') return ['railpack', 'build', source, '--name', tag]
  const args = Object.entries(build.args ?? {}).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`])
  const target = build.target === undefined ? [] : ['--target', build.target]
  const dockerfile = from.kind === 'dockerfile' ? from.dockerfile : await writtenFor(source, build, folder)
  return ['docker', 'build', '--iidfile', join(folder, 'id'), '--file', dockerfile, ...args, ...target, source]
}

async function writtenFor(source: string, build: Manifest['build'], folder: string): Promise<string> {
  const recipe = recipeOf(folderAt(source))
  if (recipe === undefined) throw unknownSource(source)
  const file = join(folder, 'Dockerfile')
  await writeFile(file, dockerfileOf(recipe, build))
  return file
}

export const unknownSource = (folder: string): ShadowError =>
  new ShadowError('bad-input', `nothing that is known how to run was found in ${folder}`, {
    hint: 'shadow init says what it looks for; or write a Dockerfile, and dockerfile = "Dockerfile"',
  })

async function run([program, ...args]: readonly [string, ...string[]], onLine: (line: string) => void): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = endOf(child, program)
  const last: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', line => {
      last.push(line)
      if (last.length > 20) last.shift()
      onLine(line)
    })
  const code = await ended
  if (code !== 0)
    throw new ShadowError('build-failed', `${program} ended with ${code}: ${last.at(-1) ?? 'it said nothing'}`)
}

async function* saved(id: string): AsyncGenerator<Uint8Array> {
  const child = spawn('docker', ['save', id], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = endOf(child, 'docker')
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>
    const code = await ended
    if (code !== 0) throw new ShadowError('build-failed', `docker save ended with ${code}`)
  } finally {
    child.kill()
  }
}

async function endOf(child: ChildProcess, program: string): Promise<number | string> {
  try {
    const [code, signal] = await once(child, 'close')
    return code ?? signal
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw cause
    throw new ShadowError('bad-input', `${program} is not installed on this machine`, {
      cause,
      hint:
        program === 'docker'
          ? 'leave --local out: then a node builds'
          : `install it, or leave builder out of [build]: then a node builds from a Dockerfile (shadow init --dockerfile)`,
    })
  }
}
