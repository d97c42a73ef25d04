import { defineConfig } from 'vitest/config'

const UNIT = ['src/**/*.test.ts', 'contrib/**/*.test.ts', 'test/layers.test.ts', 'test/tools/**/*.test.ts']
/** Unit tests that start real threads and processes, or try tens of thousands of inputs. */
const SLOW_UNIT = [
  'src/**/*workers.test.ts',
  'src/**/*threads.test.ts',
  'src/lib/{threads,shared}/*.test.ts',
  'src/lib/http/wire/difference.test.ts',
  'src/lib/last-resort.test.ts',
  'src/master/masters.test.ts',
  'src/proxy/{tls,limits}.test.ts',
  'src/nodeproxy/limits.test.ts',
]
const unit = { testTimeout: 20_000, globalSetup: ['test/tools/temporary.ts'] }

export default defineConfig({
  test: {
    reporters: ['default', './test/tools/slowest.ts', './test/tools/summary.ts'],
    projects: [
      { test: { ...unit, name: 'unit', include: UNIT, exclude: SLOW_UNIT } },
      { test: { ...unit, name: 'unit-slow', include: SLOW_UNIT } },
      {
        // Journeys share one Docker, one loop-device table and two cores: one file at a time.
        test: {
          name: 'journeys',
          include: ['test/**/*.test.ts'],
          exclude: ['test/layers.test.ts', 'test/tools/**'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          globalSetup: ['test/tools/ground.ts', 'test/tools/temporary.ts'],
        },
      },
    ],
  },
})
