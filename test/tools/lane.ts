import { inject } from 'vitest'

// Several journeys run at a time, each on a Docker daemon of its own (contrib/decisions/030). Vitest numbers its workers from 1. The first
// one has the machine's own daemon.
const { sockets, folder } = inject('lanes')
process.env['TMPDIR'] = folder
const socket = sockets[Number(process.env['VITEST_POOL_ID']) - 2]
if (socket !== undefined) process.env['DOCKER_HOST'] = `unix://${socket}`
