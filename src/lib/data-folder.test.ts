import assert from 'node:assert/strict'
import { chmod, chown, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { ownDataFolder } from './data-folder.ts'
import { ShadowError } from './errors.ts'

let folder: string
let data: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-folder-'))
  data = join(folder, 'data')
})
afterEach(() => rm(folder, { recursive: true }))

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o7777).toString(8)
const refuses = (message: RegExp) => (error: unknown) =>
  error instanceof ShadowError && error.code === 'bad-input' && message.test(error.message)

test('a data folder is made for its user alone, and those above it too', async () => {
  await ownDataFolder(join(data, 'deeper'))
  assert.deepEqual([await modeOf(data), await modeOf(join(data, 'deeper'))], ['700', '700'])
})

for (const [what, names] of [
  ['empty', []],
  ['a new filesystem', ['lost+found']],
  ['a data folder of before', ['up.json', 'store', 'anything']],
] as const) {
  test(`a folder that is open to others is closed where it is ${what}`, async () => {
    await mkdir(data)
    for (const name of names) await writeFile(join(data, name), '{}')
    for (const mode of [0o755, 0o777, 0o710]) {
      await chmod(data, mode)
      await ownDataFolder(data)
      assert.equal(await modeOf(data), '700')
    }
  })
}

test('a folder with files of others is refused and left as it is', async () => {
  await mkdir(data)
  await writeFile(join(data, 'letter.txt'), 'dear')
  await chmod(data, 0o1777)
  await assert.rejects(ownDataFolder(data), refuses(/mode 1777.* not of Shadow/))
  assert.equal(await modeOf(data), '1777')
  await chmod(data, 0o700)
  await ownDataFolder(data) // its owner has removed the access of others, so the folder is accepted
})

test('a file in the place of the folder is refused with the reason', async () => {
  await writeFile(data, '')
  await assert.rejects(ownDataFolder(data), refuses(/cannot be made/))
})

test.runIf(process.geteuid?.() === 0)(
  'a folder of another user is refused: its owner could put a token there',
  async () => {
    await mkdir(data, { mode: 0o700 })
    await chown(data, 65534, 65534)
    await assert.rejects(ownDataFolder(data), refuses(/belongs to the user 65534/))
  },
)
