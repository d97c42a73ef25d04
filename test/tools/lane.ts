import { inject } from 'vitest'

// Journeys run two files at a time, each on a Docker daemon of its own (contrib/decisions/030). Vitest numbers its workers from 1.
const { socket, folder } = inject('lanes')
process.env['TMPDIR'] = folder
if (Number(process.env['VITEST_POOL_ID']) % 2 === 0) process.env['DOCKER_HOST'] = `unix://${socket}`
