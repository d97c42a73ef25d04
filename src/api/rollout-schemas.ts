import { z } from 'zod'
import { SESSION_POLICIES } from '../model/deploy.ts'
import { ROLLOUT_STAGES } from '../model/rollout.ts'

/** How a newer release takes over, as a person gives it. */
export const DeploySchema = z
  .strictObject({
    sessions: z
      .enum(SESSION_POLICIES)
      .describe(
        'what becomes of open sessions when a newer release serves: move: they go to it; stay: each stays on the release that it began with',
      ),
  })
  .meta({ id: 'Deploy' })

export const StoredDeploySchema = z.object({ sessions: z.enum(SESSION_POLICIES) })

/** Only a release beside another one can keep sessions, and an app with a volume has one container. */
export function refuseStayWithVolume(
  { deploy, volume }: { deploy?: { sessions: string } | undefined; volume?: unknown },
  context: z.core.$RefinementCtx,
): void {
  if (deploy?.sessions !== 'stay' || volume === undefined) return
  context.issues.push({
    code: 'custom',
    path: ['deploy', 'sessions'],
    message: 'is stay, but the app has a volume, which is mounted by one container at a time; use move',
    input: deploy.sessions,
  })
}

/** A stage of a release on its way to serve. */
const rolloutStepOf = (problem: z.ZodType) =>
  z.object({
    stage: z.enum(ROLLOUT_STAGES),
    at: z.iso.datetime(),
    why: z.string().optional(),
    problem: problem.optional(),
  })

/** The fields of an instance about its releases. */
export const releasesOf = (problem: z.ZodType) => ({
  rollout: z
    .object({ revision: z.int(), stages: z.array(rolloutStepOf(problem)) })
    .optional()
    .describe('how far its newest revision came, stage by stage'),
  formers: z
    .array(
      z.object({
        revision: z.int(),
        since: z.iso.datetime(),
        container: z.object({ id: z.string(), address: z.string() }),
        holds: z.int(),
        until: z.iso.datetime().optional().describe('it drains, and is stopped then'),
        endsAt: z.iso.datetime().optional().describe('it keeps its sessions, and ends then if nobody uses it'),
      }),
    )
    .optional()
    .describe('earlier releases that still run'),
})
