import { run } from '../cli/run.ts'
import { type Answers, FAKE_TOKEN, fakeMaster } from './fake-master.ts'
import { FakeTerminal } from './fake-terminal.ts'

export const NOW = Date.parse('2026-11-21T12:00:00Z')

/** Runs a line of the CLI at NOW against a master with these answers. `answersTyped`: what a person types where the CLI asks. */
export async function shadow(line: string, answers: Answers = {}, answersTyped?: string[]) {
  await using master = await fakeMaster(answers)
  const env = { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN }
  const terminal = new FakeTerminal({ env, now: NOW, ...(answersTyped && { answers: answersTyped }) })
  const exit = await run(line.split(' '), terminal)
  return { exit, terminal, calls: master.calls }
}
