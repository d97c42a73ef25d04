import { link, rename, writeFile } from 'node:fs/promises'
import { exec } from '../lib/exec.ts'
import { syncFolder } from '../lib/files.ts'
import { KeyedMutex } from '../lib/mutex.ts'
import { snapshotId, volumeId } from '../model/names.ts'
import { imageSnapshots } from '../nodeproxy/volumes/image-snapshots.ts'

// A process that gives a volume the bytes "new", and is killed before step number `dies` of the switch. Arguments: the folder of the volumes, dies.
const [folder = '', dies] = process.argv.slice(2)
let steps = 0
const counted =
  <Args extends unknown[], T>(step: (...args: Args) => Promise<T>) =>
  (...args: Args): Promise<T> => {
    if (steps++ === Number(dies)) process.kill(process.pid, 'SIGKILL')
    return step(...args)
  }

const { replacements } = imageSnapshots({
  root: async () => folder,
  turns: new KeyedMutex(),
  exec,
  steps: { link: counted(link), rename: counted(rename), syncFolder: counted(syncFolder) },
})
await using replacement = await replacements.blank(volumeId('blog'))
await writeFile(replacement.file, 'new')
await replacement.swap(snapshotId('before'))
process.stdout.write(String(steps))
