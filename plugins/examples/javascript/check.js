// True once the pod is on a track of the config and its containers have run for a while.
import { nowMs } from 'gatehost:check/clock@0.1.1';
import { write } from 'gatehost:check/log@0.1.1';

const LABEL = 'track';
const ANNOTATION = 'example.com/settle-seconds';
const SCHEMA = '{"type": "object", "required": ["tracks"], "additionalProperties": false, "properties": {"tracks": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,63}$"}}, "settleSeconds": {"type": "integer", "minimum": 1, "maximum": 3600, "default": 10}}}';

function describe() {
  const help = 'True once the pod is on a configured track and its containers have run for the configured time.';
  return { name: 'on-track', version: '1.0.0', help, configSchema: SCHEMA, extra: [] };
}

function validate(config) {
  const errors = wrong(JSON.parse(config));
  if (errors.length > 0) throw errors;
}

function evaluate(pod, config) {
  const { tracks, settleSeconds = 10 } = JSON.parse(config);
  const track = pod.label(LABEL);
  if (track === undefined) return verdict('unmet', 'NoTrack', `the pod has no label ${LABEL}`);
  if (!tracks.includes(track)) {
    return verdict('unmet', 'OtherTrack', `wanted: ${tracks.join(', ')}; the pod is on ${track}`);
  }
  const own = pod.annotation(ANNOTATION);
  const seconds = own === undefined ? settleSeconds : secondsOf(own);

  const running = pod.containers().filter((c) => c.role !== 'init');
  if (running.length === 0) return verdict('unknown', 'NoContainers', 'kubelet reports no containers');
  const down = names(running, (c) => c.state !== 'running');
  if (down) return verdict('unmet', 'NotRunning', `not running: ${down}`);
  const timeless = names(running, (c) => c.startedAtMs === undefined);
  if (timeless) return verdict('unknown', 'StartUnknown', `no time of the start: ${timeless}`);

  // Instants are BigInt.
  const since = Math.max(...running.map((c) => Number(c.startedAtMs)));
  // Kubernetes cuts times to whole seconds: with one more, the gate opens late rather than early.
  const due = since + 1000 + seconds * 1000;
  write('debug', `on track ${track}, settled at ${rfc3339(due)}`);
  const now = Number(nowMs());
  if (now >= due) {
    return verdict('met', 'Settled', `on track ${track}; all containers have run since ${rfc3339(since)}`);
  }
  const message = `on track ${track}; settled at ${rfc3339(due)} if no container restarts`;
  return { ...verdict('unmet', 'Settling', message), recheckAfterMs: Math.min(due - now, 3_600_000) };
}

// What is wrong with a config.
function wrong(config) {
  if (config === null || typeof config !== 'object' || Array.isArray(config)) {
    return [{ path: '', message: 'give an object' }];
  }
  const errors = [];
  if (Object.keys(config).some((key) => key !== 'tracks' && key !== 'settleSeconds')) {
    errors.push({ path: '', message: 'takes tracks and settleSeconds, and nothing else' });
  }
  const { tracks, settleSeconds = 10 } = config;
  if (Array.isArray(tracks) && tracks.length > 0) {
    tracks.forEach((track, i) => {
      if (typeof track !== 'string' || !/^[A-Za-z0-9._-]{1,63}$/.test(track)) {
        const message = 'give 1 to 63 letters, digits, dots, dashes and underscores';
        errors.push({ path: `/tracks/${i}`, message });
      }
    });
  } else {
    errors.push({ path: '/tracks', message: 'give a list of at least one track' });
  }
  if (!Number.isInteger(settleSeconds) || settleSeconds < 1 || settleSeconds > 3600) {
    errors.push({ path: '/settleSeconds', message: 'give whole seconds from 1 to 3600' });
  }
  return errors;
}

// What the pod's own annotation says; a fault where that is no time.
function secondsOf(own) {
  const seconds = /^[0-9]{1,4}$/.test(own) ? Number(own) : 0;
  if (seconds >= 1 && seconds <= 3600) return seconds;
  throw {
    kind: { tag: 'other', val: 'BadAnnotation' },
    reason: 'BadSettleSeconds',
    message: `${ANNOTATION}: give whole seconds from 1 to 3600, not ${own}`,
    retryAfterMs: 15_000,
    extra: [],
  };
}

function verdict(status, reason, message) {
  return { status, reason, message, extra: [] };
}

// The names of those containers of which something is true.
function names(containers, is) {
  return containers.filter(is).map((c) => c.name).join(', ');
}

function rfc3339(unixMs) {
  return new Date(unixMs).toISOString().replace('.000Z', 'Z');
}

// The error side of a result is thrown. What else is thrown is a defect, of which the bindings lose the words.
function telling(answer) {
  return (...given) => {
    try {
      return answer(...given);
    } catch (thrown) {
      if (thrown instanceof Error) console.error(`${thrown}\n${thrown.stack}`);
      throw thrown;
    }
  };
}

export const gate = { describe, validate: telling(validate), evaluate: telling(evaluate) };
