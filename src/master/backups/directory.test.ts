import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { describeRepositoryFiles } from '../../testing/repository-files-contract.ts'
import { directory } from './directory.ts'

let path: string
beforeAll(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-repositories-'))
})
afterAll(() => rm(path, { recursive: true, force: true }))

describeRepositoryFiles('directory', async () => directory({ path }))
