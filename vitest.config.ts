import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import LongestFirst from './test/tools/longest-first.ts'

const HTTP = 'src/lib/http/**/*.test.ts'
const UNIT = [
  'src/**/*.test.ts',
  'bench/{sim,chaos}/*.test.ts',
  'contrib/**/*.test.ts',
  'test/layers.test.ts',
  'test/tools/**/*.test.ts',
]
/** Unit tests that start real threads and processes, or try tens of thousands of inputs. */
const SLOW_UNIT = [
  'src/**/*workers.test.ts',
  'src/**/*threads.test.ts',
  'src/lib/{threads,shared}/*.test.ts',
  'src/lib/http/wire/difference.test.ts',
  'src/lib/uncaught-errors.test.ts',
  'src/master/masters.test.ts',
  'src/proxy/{tls,limits,pin-and-lease}.test.ts',
  'src/nodeproxy/http-limits.test.ts',
  'src/testing/backups-wire.test.ts',
]
// Vitest by itself would leave one processor out: on two, one file would run at a time.
const maxWorkers = availableParallelism()
// Programs that tests start from their source need half the time when what was compiled is kept.
const env = { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') }
const setupFiles = ['src/testing/after-each-file.ts']
const unit = {
  maxWorkers,
  env,
  setupFiles,
  testTimeout: 20_000,
  hookTimeout: 60_000,
  globalSetup: ['test/tools/temporary.ts'],
}

/** Journeys wait a lot. */
const JOURNEYS_AT_A_TIME = 2 * maxWorkers
/** Journeys that start no container. */
const APART = [
  'test/cli/{start,terminal}.test.ts',
  'test/daemons/*.test.ts',
  'test/dashboard/origins.test.ts',
  'test/front/{acme,dns-*,smuggling*}.test.ts',
  'test/storage/*.test.ts',
  'test/images/conformance.test.ts',
  'test/volumes/ebs-wire.test.ts',
  'test/fleet/*.test.ts',
  'test/install/*.test.ts',
]
/**
 * Journeys that need the machine's own Docker and its packet filter, or the whole machine; those that start processes with a copy of
 * all mounts of the machine, which keep the volumes of every other test in use; and those that give the machine swap.
 */
const ALONE = [
  'test/apps/{memory-pressure,suspended}.test.ts',
  'test/docker/network.test.ts',
  'test/front/browser.test.ts',
  'test/isolation/{beside-attackers,egress,egress-domains,egress-up}.test.ts',
  'test/restarts/frozen.test.ts',
  'test/volumes/{loop,pool,fence,block-drivers}.test.ts',
]
const leavesNothing = ['test/tools/environment.ts', 'test/tools/temporary.ts']
const journey = { env, setupFiles, testTimeout: 120_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/tools/slowest.ts', './test/tools/summary.ts'],
    projects: [
      // These files share a process: to start one for each takes as long as the tests.
      { test: { ...unit, name: 'unit', include: UNIT, exclude: [...SLOW_UNIT, HTTP], isolate: false } },
      // These switch unpublished parts of Node off, and measure memory.
      { test: { ...unit, name: 'unit-http', include: [HTTP], exclude: SLOW_UNIT } },
      { test: { ...unit, name: 'unit-slow', include: SLOW_UNIT, testTimeout: 60_000 } },
      {
        test: {
          ...journey,
          name: 'journeys-apart',
          include: APART,
          maxWorkers: JOURNEYS_AT_A_TIME,
          globalSetup: ['test/tools/temporary.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Docker 20.10 may lock up when containers of two tests end at once (contrib/decisions/011). So each file that runs at a time has
        // a Docker daemon of its own (contrib/decisions/030).
        test: {
          ...journey,
          name: 'journeys',
          include: ['test/**/*.test.ts'],
          exclude: ['test/layers.test.ts', 'test/tools/**', ...APART, ...ALONE],
          maxWorkers: JOURNEYS_AT_A_TIME,
          // To read all of Shadow anew for each file takes three seconds of a processor, so the files that a worker runs share its process.
          isolate: false,
          setupFiles: [...setupFiles, 'test/tools/lane.ts'],
          globalSetup: [...leavesNothing, 'test/tools/lanes.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...journey,
          name: 'journeys-alone',
          include: ALONE,
          fileParallelism: false,
          globalSetup: leavesNothing,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
