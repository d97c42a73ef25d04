import { globalAgent } from 'node:http'
import { globalAgent as globalTlsAgent } from 'node:https'
import { afterAll } from 'vitest'
import { removeFolders } from './folders.ts'

// Vitest runs this file before each test file, also where test files share a process.
afterAll(() => {
  removeFolders()
  // A kept connection to a server that does not listen any more would be used for the next server on that port.
  globalAgent.destroy()
  globalTlsAgent.destroy()
})
