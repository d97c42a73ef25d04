import { z } from 'zod'
import { MEMBER_ROLES } from '../model/member.ts'
import { NodeNameSchema } from './schemas.ts'

/** A machine that has joined the cluster; `until`: when its newest certificate expires. */
export const MemberSchema = z
  .object({
    role: z.enum(MEMBER_ROLES),
    name: NodeNameSchema,
    id: z.string(),
    joinedAt: z.iso.datetime(),
    until: z.iso.datetime(),
  })
  .meta({ id: 'Member' })
