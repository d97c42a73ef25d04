import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HIDDEN, type Lie, liar, lies } from '../tools/smuggling/lies.ts'
import { describePairs } from '../tools/smuggling/pairs.ts'
import { ask, strike } from '../tools/smuggling/strike.ts'

describePairs({ 'a liar': { open: liar } }, pair => {
  for (const [at, [what, lie]] of Object.entries(lies).entries())
    test(`nobody hears an answer to a question that was not asked: ${what}`, async () => {
      const { front } = pair()
      const heard = await strike(front, [questions(at, lie)], { answered: lie.refused })
      if (!lie.passes) assert(!heard.includes(HIDDEN), heard)
      if (lie.refused) assert.match(heard, /^HTTP\/1\.1 5\d\d /)
      const faults = await ask(front.port, [`/${at}/victim-1`, `/${at}/victim-2`, `/${at}/victim-3`])
      assert.deepEqual(
        faults.filter(fault => fault !== undefined),
        [],
      )
    })
})

/** A question that is answered with the lie, and one behind it unless the lie needs an idle connection. */
function questions(at: number, { method = 'GET', later }: Lie): string {
  const head = `${method} /${at}/lie/${at} HTTP/1.1\r\nHost: app\r\n`
  if (later !== undefined) return `${head}\r\n`
  return method === 'POST'
    ? `${head}Content-Length: 100\r\n\r\nhalf of it`
    : `${head}\r\nGET /${at}/after HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`
}
