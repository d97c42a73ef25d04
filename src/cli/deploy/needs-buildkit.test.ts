import assert from 'node:assert/strict'
import { test } from 'vitest'
import { needsBuildkit } from './needs-buildkit.ts'

for (const [line, needs] of [
  ['RUN --mount=type=cache,target=/root/.npm npm ci', true],
  ['run --network=none --mount=type=secret,id=x make', true],
  ['COPY --link . .', true],
  ['COPY --from=build --chmod=755 /x /x', true],
  ['# syntax=docker/dockerfile:1', true],
  ['RUN npm ci', false],
  ['RUN echo --mount=x', false],
  ['COPY --from=build /x /x', false],
  ['COPY --chown=node . .', false],
  ['# a comment about RUN --mount=type=cache', false],
] as const)
  test(`${line} ${needs ? 'needs' : 'does not need'} BuildKit`, () =>
    assert.equal(needsBuildkit(`FROM x\n${line}\nCMD x\n`), needs))
