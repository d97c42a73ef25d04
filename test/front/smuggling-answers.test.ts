import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ask, attack } from '../tools/smuggling/attack.ts'
import { describePairs } from '../tools/smuggling/pairs.ts'
import { HIDDEN, type SmuggledAnswer, smuggledAnswers, smugglingBackend } from '../tools/smuggling/smuggled-answers.ts'

describePairs({ 'a back end that smuggles answers': { open: smugglingBackend } }, pair => {
  for (const [at, [what, smuggled]] of Object.entries(smuggledAnswers).entries())
    test(`nobody hears an answer to a question that was not asked: ${what}`, async () => {
      const { front } = pair()
      const heard = await attack(front, [questions(at, smuggled)], { answered: smuggled.refused })
      if (!smuggled.passes) assert(!heard.includes(HIDDEN), heard)
      if (smuggled.refused) assert.match(heard, /^HTTP\/1\.1 5\d\d /)
      const faults = await ask(front.port, [`/${at}/victim-1`, `/${at}/victim-2`, `/${at}/victim-3`])
      assert.deepEqual(
        faults.filter(fault => fault !== undefined),
        [],
      )
    })
})

/** A request for the smuggled answer, followed by another request unless the answer needs an idle connection. */
function questions(at: number, { method = 'GET', later }: SmuggledAnswer): string {
  const head = `${method} /${at}/smuggled/${at} HTTP/1.1\r\nHost: app\r\n`
  if (later !== undefined) return `${head}\r\n`
  return method === 'POST'
    ? `${head}Content-Length: 100\r\n\r\nhalf of it`
    : `${head}\r\nGET /${at}/after HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`
}
