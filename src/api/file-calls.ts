import { z } from 'zod'
import { admin, appParams, type Call, instanceParams } from './call-shape.ts'
import type { filePaths, nodeFilePaths } from './file-paths.ts'

const ofPath = z.strictObject({
  path: z
    .string()
    .max(4096)
    .regex(/^\/[^\0]*$/, 'must be an absolute path in the container, such as /data'),
})

/** What is at a path in the container of an app. */
const FileSchema = z.object({
  file: z
    .object({
      kind: z.enum(['file', 'folder', 'link', 'other']),
      name: z.string(),
      size: z.number(),
      uid: z.int().describe('its owner; of a link, the owner of the link'),
      gid: z.int(),
    })
    .nullable()
    .describe('null: nothing is there'),
})
export type FileFacts = NonNullable<z.output<typeof FileSchema>['file']>

const stat = { query: ofPath, answer: FileSchema, may: admin } as const
const read = { query: ofPath, content: 'application/x-tar', answer: 'stream', may: admin } as const
const write = { query: ofPath, content: 'application/x-tar', answer: 'nothing', may: admin } as const

/** The calls of the master about files in the containers of apps. */
export const fileCalls = {
  statFile: {
    says: 'look what is at a path in the container of an app, which is woken for that',
    params: appParams,
    ...stat,
  },
  readFiles: {
    says: 'read a file or a folder of the container of an app as a tar, with names from its last part on; the app is woken, and kept awake until the last byte; links are followed inside of the container alone; fails with not-found',
    params: appParams,
    ...read,
  },
  writeFiles: {
    says: 'unpack a tar into a folder of the container of an app, with the owners that the tar has; the app is woken, and kept awake meanwhile; files are replaced one by one; fails with not-found if there is no such folder, with disk-full',
    params: appParams,
    ...write,
  },
} satisfies Record<keyof typeof filePaths, Call>

/** The same of a node. */
export const nodeFileCalls = {
  statFile: { says: fileCalls.statFile.says, params: instanceParams, ...stat },
  readFiles: { says: fileCalls.readFiles.says, params: instanceParams, ...read },
  writeFiles: { says: fileCalls.writeFiles.says, params: instanceParams, ...write },
} satisfies Record<keyof typeof nodeFilePaths, Call>
