import { z } from 'zod'
import type { Sha256 } from '../model/digest.ts'
import { SOURCE_PATH } from '../model/source.ts'

/** The source of a definition. */
export const SourceSchema = z
  .strictObject({
    digest: z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 digest in hexadecimal, such as putBlob takes')
      .transform(digest => digest as Sha256)
      .meta({ description: 'SHA-256 digest of the blob', override: { type: 'string' } }),
  })
  .describe(`a tar of a folder, stored by putBlob; containers have it at ${SOURCE_PATH}, read-only, and run there`)
