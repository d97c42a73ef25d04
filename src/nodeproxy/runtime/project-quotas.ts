import { readFile } from 'node:fs/promises'

/** Docker's report on its storage of containers. */
export type DockerStorage = {
  readonly Driver?: string
  readonly DriverStatus?: readonly (readonly string[])[] | null
  readonly DockerRootDir?: string
}

/** Whether Docker takes `StorageOpt: { size }`: with overlay2, on xfs mounted with project quotas (docs.docker.com, "dockerd"). */
export async function hasProjectQuotas(
  { Driver, DriverStatus, DockerRootDir = '' }: DockerStorage,
  mountinfo = '/proc/self/mountinfo',
): Promise<boolean> {
  if (Driver !== 'overlay2') return false
  if (!DriverStatus?.some(([name, value]) => name === 'Backing Filesystem' && value === 'xfs')) return false
  // proc(5): the 5th field is the mount point, the last one the options of the filesystem itself.
  const mounts = (await readFile(mountinfo, 'utf8')).split('\n').flatMap(line => {
    const fields = line.split(' ')
    const [at, options] = [fields[4], fields.at(-1)]
    return at === undefined || options === undefined ? [] : [{ at, options: options.split(',') }]
  })
  const isUnder = (at: string): boolean => at === '/' || DockerRootDir === at || DockerRootDir.startsWith(`${at}/`)
  const [deepest] = mounts.filter(({ at }) => isUnder(at)).toSorted((a, b) => b.at.length - a.at.length)
  return deepest?.options.some(option => option === 'prjquota' || option === 'pquota') ?? false
}
