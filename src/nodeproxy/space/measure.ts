import { readdir, readFile, readlink, stat, statfs } from 'node:fs/promises'
import type { Exec } from '../../lib/exec.ts'

/** Bytes that are free for others than root on the filesystem of the folder. */
export async function freeAt(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** Bytes that the folders take on the disk, in one number for each; what vanishes meanwhile counts as nothing. */
export async function bytesOf(folders: readonly string[], exec: Exec): Promise<ReadonlyMap<string, number>> {
  if (folders.length === 0) return new Map()
  const output = await exec('du', ['--summarize', '--one-file-system', '--block-size=1', ...folders], { alsoGood: [1] })
  return new Map(
    output.split('\n').flatMap((line): [string, number][] => {
      const tab = line.indexOf('\t')
      return tab < 0 ? [] : [[line.slice(tab + 1), Number(line.slice(0, tab))]]
    }),
  )
}

/** Bytes of files that were deleted and are still open in a process, or in one that it started: no folder shows them. */
export async function deletedBytesOf(pid: number): Promise<number> {
  const seen = new Map<string, number>()
  for (const one of await familyOf(pid)) {
    const folder = `/proc/${one}/fd`
    for (const fd of await readdir(folder).catch(() => [])) {
      const target = await readlink(`${folder}/${fd}`).catch(() => '')
      if (!target.endsWith(' (deleted)') || /^\/(memfd:|dev\/)/.test(target)) continue
      const found = await stat(`${folder}/${fd}`).catch(() => undefined)
      if (found?.isFile()) seen.set(`${found.dev}:${found.ino}`, found.blocks * 512)
    }
  }
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0)
}

async function familyOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const children = await Promise.all(
    tasks.map(task => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  )
  const found = children.join(' ').split(' ').filter(Boolean).map(Number)
  return [pid, ...(await Promise.all(found.map(familyOf))).flat()]
}
