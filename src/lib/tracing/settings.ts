import { ShadowError } from '../errors.ts'
import { oneOf, optionalSetting, setting, text, url, wholeNumber } from '../settings.ts'
import { SAMPLERS } from './tracer.ts'

/** The settings of traces: the standard variables of OpenTelemetry. */
export const tracingSettings = {
  otlpEndpoint: optionalSetting('OTEL_EXPORTER_OTLP_ENDPOINT', url, {
    help: 'URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318: turns traces on, which go to /v1/traces there; left out: no traces',
  }),
  otlpHeaders: setting('OTEL_EXPORTER_OTLP_HEADERS', pairs, {
    default: 'none',
    help: 'headers for the collector, such as authorization=Bearer%20abc, separated by commas',
  }),
  traceService: optionalSetting('OTEL_SERVICE_NAME', text, {
    help: 'name of this daemon in traces; left out: shadow-front or shadow-node',
  }),
  traceResource: setting('OTEL_RESOURCE_ATTRIBUTES', pairs, {
    default: 'none',
    help: 'attributes of this daemon in traces, such as deployment.environment=production, separated by commas',
  }),
  traceSampler: setting('OTEL_TRACES_SAMPLER', oneOf(...SAMPLERS), {
    default: 'parentbased_always_on',
    help: 'which requests are traced; parentbased_…: those whose traceparent says so, and of those without one all, none, or a part; the others go by no traceparent',
  }),
  traceRatio: setting('OTEL_TRACES_SAMPLER_ARG', ratio, {
    default: '1',
    help: 'the part that traceidratio and parentbased_traceidratio trace, from 0 to 1',
  }),
  traceDelayMs: setting('OTEL_BSP_SCHEDULE_DELAY', wholeNumber(1, 600_000), {
    default: '5000',
    help: 'how many milliseconds spans may wait until they are sent together',
  }),
}

/** Parses `name=value,…`, with what is special in values escaped as in a URL. */
function pairs(given: string): Readonly<Record<string, string>> {
  if (given === 'none') return {}
  const entries = given
    .split(',')
    .filter(part => part.trim() !== '')
    .map((part): [string, string] => {
      const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(part.trim()) ?? []
      if (name === '') throw new ShadowError('bad-input', 'is not NAME=VALUE,NAME=VALUE')
      return [name.trim(), unescaped(value.trim())]
    })
  return Object.fromEntries(entries)
}

function unescaped(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw new ShadowError('bad-input', 'has a % that begins no escape such as %20')
  }
}

function ratio(given: string): number {
  const number = Number(given)
  if (!(given.trim() !== '' && number >= 0 && number <= 1))
    throw new ShadowError('bad-input', `"${given}" is not a number from 0 to 1`)
  return number
}
