import type { StopReason } from './instance.ts'

const REASONS: Readonly<Record<Exclude<StopReason, 'idle'>, string>> = {
  room: 'It was put to sleep because nobody used it and another app needed its memory.',
  memory: 'It was put to sleep because nobody used it and its machine was short of memory.',
  asked: 'It went to sleep because somebody asked for it.',
  updated: 'It was stopped because its definition changed.',
  self: 'It went to sleep because it asked for it itself, and nobody used it.',
  removed: 'It was stopped because it was removed.',
  shutdown: 'It was put to sleep because its node was stopped.',
  died: 'Its container ended by itself.',
  drained: 'It was put to sleep because nobody used it and its node was drained.',
  'drain-deadline': 'It was stopped because its node was drained, and the time for its requests to end was over.',
  restored: 'It was put to sleep because its volume was restored.',
  budget: 'It was put to sleep because its budget is spent.',
  companion: 'It was stopped because an app that it uses is not on its node any more: it wakes where that one is.',
  paused: 'It was put to sleep because it was paused.',
  'lease-lost': 'It was stopped because its node could keep the volume no longer.',
}

/** Why an app is not awake, in a sentence. */
export function sayStopped(by: StopReason | null, idleAfter: string): string {
  if (by === null) return 'Nobody has used it since its node started.'
  return by === 'idle' ? `It went to sleep because nobody used it for ${idleAfter}.` : REASONS[by]
}

export const NEVER_SLEEPS = 'Its definition says never to sleep (--idle-after never).'
