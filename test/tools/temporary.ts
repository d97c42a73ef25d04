import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'

/** All that tests make under the system's temporary folder begins with this. */
const PREFIX = 'shadow-'

/** After the tests: fails if they left anything in the temporary folder. */
export default async function temporary(): Promise<() => Promise<void>> {
  const before = new Set(await ours())
  return async () => {
    const left = (await ours()).filter(name => !before.has(name))
    if (left.length > 0) throw new Error(`the tests left in ${tmpdir()}:\n  ${left.join('\n  ')}`)
  }
}

const ours = async (): Promise<string[]> => (await readdir(tmpdir())).filter(name => name.startsWith(PREFIX))
