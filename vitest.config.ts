import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    reporters: ['default', './test/tools/slowest.ts', './test/tools/summary.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'contrib/**/*.test.ts', 'test/layers.test.ts', 'test/tools/**/*.test.ts'],
          testTimeout: 20_000,
          globalSetup: ['test/tools/temporary.ts'],
        },
      },
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
