import { expect, test } from 'vitest'
import { socketHere } from './docker-socket.ts'

test('Docker is asked on the socket of DOCKER_HOST, if that is a socket of this machine', () => {
  expect(socketHere('unix:///run/user/1000/docker.sock')).toBe('/run/user/1000/docker.sock')
  for (const other of [undefined, '', 'unix://', 'tcp://10.0.0.1:2375', 'ssh://root@example.com'])
    expect(socketHere(other)).toBe('/var/run/docker.sock')
})
