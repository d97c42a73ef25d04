import assert from 'node:assert/strict'
import { test } from 'vitest'
import { socketHere } from './config.ts'

test('Docker is asked on the socket of DOCKER_HOST, if that is a socket of this machine', () => {
  assert.equal(socketHere('unix:///run/user/1000/docker.sock'), '/run/user/1000/docker.sock')
  for (const other of ['', 'unix://', 'tcp://10.0.0.1:2375', 'ssh://root@example.com'])
    assert.equal(socketHere(other), '/var/run/docker.sock')
})
