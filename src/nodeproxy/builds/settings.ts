import { availableParallelism } from 'node:os'
import { ShadowError } from '../../lib/errors.ts'
import { oneOf, optionalSetting, setting, text } from '../../lib/settings.ts'
import { durationMs, sizeBytes } from '../../model/quantities.ts'
import type { BuildLimits } from './builds.ts'

/** The settings of a node for builds. */
export const buildSettings = {
  buildMemory: setting('SHADOW_BUILD_MEMORY', sizeBytes, {
    default: '2GiB',
    help: 'most memory that a step of a build may use; more ends it',
  }),
  buildCpus: optionalSetting('SHADOW_BUILD_CPUS', cpus, {
    help: 'most processors that a build may use; left out: all but one, and at least one',
  }),
  buildWithin: setting('SHADOW_BUILD_WITHIN', durationMs, {
    default: '20m',
    help: 'how long a build may take; the node builds one at a time',
  }),
  buildContext: setting('SHADOW_BUILD_CONTEXT', sizeBytes, {
    default: '2GiB',
    help: 'how large the folder may be that is sent to a build',
  }),
  buildkit: setting('SHADOW_BUILDKIT', oneOf('when-needed', 'never', 'always'), {
    default: 'when-needed',
    help: "build by Docker's BuildKit what needs it, such as RUN --mount; it does not heed SHADOW_BUILD_MEMORY and SHADOW_BUILD_CPUS",
  }),
  buildNetwork: setting('SHADOW_BUILD_NETWORK', text, {
    default: 'bridge',
    help: 'network of Docker in which the steps of a build run; host: that of the machine, with all that it reaches',
  }),
}

function cpus(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0.01 && value <= 1_000) return value
  throw new ShadowError('bad-input', `"${text}" is not a number of processors, such as 2 or 0.5`)
}

type Settings = {
  readonly buildMemory: number
  readonly buildCpus: number | undefined
  readonly buildWithin: number
  readonly buildContext: number
  readonly buildNetwork: string
  readonly buildkit: BuildLimits['buildkit']
}

export const buildLimitsOf = (settings: Settings): BuildLimits => ({
  memoryBytes: settings.buildMemory,
  cpus: settings.buildCpus ?? Math.max(1, availableParallelism() - 1),
  withinMs: settings.buildWithin,
  contextBytes: settings.buildContext,
  network: settings.buildNetwork,
  buildkit: settings.buildkit,
})
