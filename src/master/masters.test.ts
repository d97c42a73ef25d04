import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { describeMasters } from '../testing/masters-contract.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-masters-'))
afterAll(() => rm(path, { recursive: true, force: true }))

describeMasters('a directory', () => directory({ path }))
