/** What a command needs of a WebSocket: those of browsers and of Node, and of the package `ws`. */
export type Socket = {
  binaryType: string
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  send(data: never): void
  close(): void
}
export type SocketClass = new (url: string, protocols: string[]) => Socket
