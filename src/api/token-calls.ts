import { z } from 'zod'
import { isNodeName } from '../model/names.ts'
import { appPattern } from '../model/scope.ts'
import { admin, type Call, ROLES } from './call-shape.ts'
import { parsed } from './parsed.ts'

export const AppPatternSchema = parsed('AppPattern', 'an app, or all whose names begin so', 'ann-*', appPattern)

/** A token with the role `node` has the name of its node, which must be a valid node name. One of the role `owner` has apps. */
const TokenInput = z
  .strictObject({
    name: z.string().min(1).max(100).describe('of the role node: the node; of the role owner: the owner'),
    role: z.enum(ROLES),
    apps: z.array(AppPatternSchema).min(1).max(100).optional().describe('of the role owner: the apps that it is for'),
  })
  .superRefine(({ name, role, apps }, context) => {
    const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (role === 'node' && !isNodeName(name))
      fault(
        'name',
        'must be the name of the node (SHADOW_NODE_NAME), a DNS label: the token is good for that node alone',
      )
    if (role === 'owner' && !isNodeName(name)) fault('name', 'must be made of a-z, 0-9 and -, as a name of an app')
    if ((role === 'owner') !== (apps !== undefined))
      fault('apps', role === 'owner' ? 'is needed for the role owner' : 'is for the role owner only')
  })

/** The calls about tokens. An owner may make and revoke tokens of its own name, for no more than its own apps. */
export const tokenCalls = {
  createToken: {
    says: 'make a token; its secret is shown only this once; role owner: it is for some apps, and nothing else',
    body: TokenInput,
    answer: z.object({ id: z.string(), token: z.string() }),
    status: 201,
    may: admin,
  },
  listTokens: {
    says: 'list tokens, without their secrets',
    answer: z.object({
      items: z.array(
        z.object({
          id: z.string(),
          name: z.string(),
          role: z.enum(ROLES),
          apps: z.array(z.string()).optional(),
          createdAt: z.iso.datetime(),
        }),
      ),
    }),
    may: admin,
  },
  removeToken: { says: 'revoke a token', params: z.strictObject({ token: z.string() }), answer: 'nothing', may: admin },
} satisfies Record<string, Call>
