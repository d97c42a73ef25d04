import { z } from 'zod'
import { BUILDERS } from '../model/build.ts'
import { DurationSchema, RegisterSchema, SizeSchema } from './schemas.ts'

const {
  name,
  image,
  command,
  env,
  ready,
  startWithin,
  scale,
  secrets: _,
  source: _1,
  pages: _2,
  ...sameHere
} = RegisterSchema.shape

const path = z.string().min(1).max(1000)

/** `[build]`: how an image is made of a Dockerfile or a source folder. */
export const BuildSchema = z.strictObject({
  builder: z
    .enum(BUILDERS)
    .optional()
    .describe(
      'docker: the builder of a node; nixpacks, railpack: that program, where shadow deploy runs; left out: docker',
    ),
  context: path.optional().describe('folder that is sent to the builder, relative to shadow.toml; left out: its own'),
  target: z.string().min(1).max(200).optional().describe('stage of the Dockerfile to stop at; left out: the last one'),
  args: z
    .record(z.string(), z.string())
    .optional()
    .describe('values of ARG lines of the Dockerfile; they stay in the image, so none may be a secret'),
  base: image.optional().describe('image that a source folder is run on; left out: by its language'),
  command: z
    .string()
    .min(1)
    .max(10_000)
    .optional()
    .describe(
      'command that makes a source folder ready, such as npm ci && npm run build; the result is then part of the image; left out: by its language',
    ),
  memory: SizeSchema.optional().describe('most memory of each step; left out: SHADOW_BUILD_MEMORY of the node'),
  cpus: z
    .number()
    .min(0.01)
    .max(512)
    .optional()
    .describe('most processors; left out: as many as the node lets builds have'),
  within: DurationSchema.optional().describe('how long the build may take; left out: SHADOW_BUILD_WITHIN of the node'),
})

/**
 * shadow.toml. The fields of a definition are those of the API, by the same schemas. Only what a file can say better than a document has a
 * form of its own: `app`, `command` as text, plain values in `[env]`, `[checks]`, `[concurrency]` and `[build]`.
 */
export const ManifestSchema = z.strictObject({
  app: name.optional().describe('name of the app; left out: --app, or the name of the folder'),
  image: image.optional().describe('image to run; exactly one of image, dockerfile and source is given'),
  dockerfile: path
    .optional()
    .describe(
      'Dockerfile that the image is built from, relative to shadow.toml; exactly one of image, dockerfile and source is given',
    ),
  source: path
    .optional()
    .describe(
      'folder with the source that is run, relative to shadow.toml; exactly one of image, dockerfile and source is given',
    ),
  command: command.describe(
    "words of the command, or text that a shell runs; left out: web of the Procfile, else the image's own",
  ),
  ...sameHere,
  env: env.describe('environment of the app; no place for secrets, which shadow secrets takes'),
  checks: z
    .strictObject({
      ready: ready
        .optional()
        .describe('when the app is ready: port, http:/path, log:REGEX (RE2), healthcheck (of its image), started'),
      startWithin: startWithin.optional().describe('how long a start may take'),
    })
    .optional(),
  concurrency: z
    .strictObject({ soft: z.int().min(1), hard: z.int().min(1) })
    .optional()
    .describe('the same as concurrency of [scale]'),
  scale,
  pages: z
    .strictObject({
      waiting: path
        .optional()
        .describe('file with the page that browsers see while the app is woken; HTML, 32 KiB at most'),
      error: path.optional().describe('file with the page that browsers see where the app cannot answer'),
    })
    .optional()
    .describe("pages in place of the front's own, relative to shadow.toml"),
  build: BuildSchema.optional(),
})

export type Build = z.input<typeof BuildSchema>
