// A small database of words, over TCP on PORT: `add WORD` answers when the word is on the disk, `all` with all words. Each line is one command.
import { appendFileSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

const file = '/data/words'
const disk = openSync(file, 'a')
createServer(socket => {
  socket.on('error', () => undefined)
  createInterface({ input: socket }).on('line', line => {
    const [command, word] = line.split(' ')
    if (command === 'add') {
      appendFileSync(disk, `${word}\n`)
      fsyncSync(disk)
      socket.write('added\n')
    } else if (command === 'all') {
      const words = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
      socket.write(`${words.join(' ')}\n`)
    } else socket.write(`what is ${command}?\n`)
  })
}).listen(Number(process.env.PORT), () => process.stdout.write('ready\n'))
process.on('SIGTERM', () => process.exit())
