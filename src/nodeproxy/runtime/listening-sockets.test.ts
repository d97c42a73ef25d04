import { expect, test } from 'vitest'
import { listenersOf } from './listening-sockets.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const REST = '00000000:00000000 00:00000000 00000000     0        0 56789 1 0000000000000000 100 0 0 10 0\n'
const line = (local: string, state: string): string => `   0: ${local} 00000000:0000 ${state} ${REST}`

test('sockets that listen are told with their port, and whether this machine alone reaches them', () => {
  expect(listenersOf(HEAD + line('00000000:0050', '0A') + line('0100007F:1F40', '0A'))).toEqual([
    { port: 80, isLoopback: false },
    { port: 8000, isLoopback: true },
  ])
})

test('IPv6 too: any address, the loopback, and the loopback of IPv4 in IPv6', () => {
  const rows = [
    '00000000000000000000000000000000:1F40',
    '00000000000000000000000001000000:1F41',
    '0000000000000000FFFF00000100007F:1F42',
    'B80D0120000000000000000001000000:1F43',
  ]
  expect(listenersOf(HEAD + rows.map(row => line(row, '0A')).join(''))).toEqual([
    { port: 8000, isLoopback: false },
    { port: 8001, isLoopback: true },
    { port: 8002, isLoopback: true },
    { port: 8003, isLoopback: false },
  ])
})

test("connections do not listen, and Docker's DNS in the container is not the app's", () => {
  expect(listenersOf(HEAD + line('0100007F:1F40', '01') + line('0B00007F:A1B2', '0A'))).toEqual([])
  expect(listenersOf('')).toEqual([])
})
