import { z } from 'zod'
import { BuildQuerySchema } from './build-schemas.ts'
import { admin, appParams, type Call } from './call-shape.ts'
import { DigestSchema } from './schemas.ts'

const TAR = 'application/x-tar'
const events =
  'answers with NDJSON: {line} for each line of its log, at the end {image: {id, name, node}} or {problem}; the app may not exist yet; ends when the caller leaves'

/** The calls of the masters by which folders become apps. */
export const buildCalls = {
  manifestSchema: {
    says: 'read the JSON Schema of shadow.toml, for editors',
    answer: z.record(z.string(), z.unknown()),
    may: 'anyone',
  },
  getSource: {
    says: 'read the source of a revision of an app, a tar; a node reads those of apps that are placed on it',
    params: appParams.extend({ digest: DigestSchema }),
    content: TAR,
    answer: 'stream',
    may: ['admin', 'node'],
  },
  buildImage: {
    says: `build an image for an app from the body, a tar with a Dockerfile, on the node where the app runs or would run; ${events}`,
    params: appParams,
    query: BuildQuerySchema,
    sends: TAR,
    answer: 'stream',
    may: admin,
  },
  loadImage: {
    says: `bring an image that was built elsewhere to the node where the app runs or would run; the body is what docker save writes of one image; ${events}`,
    params: appParams,
    sends: TAR,
    answer: 'stream',
    may: admin,
  },
} satisfies Record<string, Call>

/** The same calls of a node. */
export const nodeBuildCalls = {
  buildImage: {
    says: 'build an image for an app, as buildImage of the masters',
    params: appParams,
    query: BuildQuerySchema,
    sends: TAR,
    answer: 'stream',
    may: admin,
  },
  loadImage: {
    says: 'take an image that was built elsewhere, as loadImage of the masters',
    params: appParams,
    sends: TAR,
    answer: 'stream',
    may: admin,
  },
} satisfies Record<string, Call>
