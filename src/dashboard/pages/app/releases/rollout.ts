import type { RolloutEnd, RolloutStep } from '../../../../model/rollout.ts'
import { send } from '../../../api.ts'

export type RolloutStage = RolloutStep & { readonly instance: string; readonly node: string; readonly revision: number }

/** Follows how a release takes over. It wakes nothing. Undefined: the stream ended before the rollout did. */
export async function followRollout(
  app: string,
  revision: number,
  onStage: (stage: RolloutStage) => void,
  signal: AbortSignal,
): Promise<RolloutEnd | undefined> {
  const { body } = await send('followRollout', { params: { app }, query: { revision }, signal })
  if (body === null) return undefined
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return undefined
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.trim() === '') continue
      const told = JSON.parse(line) as RolloutStage | RolloutEnd
      if ('outcome' in told) return told
      onStage(told)
    }
  }
}
