// Loaded into every thread of a proxy before it starts, as `--import …/without.ts?reads,tls-writes`: the proxy then does without these internals of Node.
import { useFallbacks } from '../../src/lib/http/node-internals/fallbacks.ts'

useFallbacks(new URL(import.meta.url).search.slice(1).split(',') as Parameters<typeof useFallbacks>[0])
