// A check in TypeScript, as small as it gets: True once the pod carries the annotation that its config names.
import type { Container, Pod } from 'gatehost:check/pod@0.1.1';
import type { ConfigError, Description, Fault, Verdict } from 'gatehost:check/types@0.1.1';
import { nowMs } from 'gatehost:check/clock@0.1.1';
import { write } from 'gatehost:check/log@0.1.1';
import { send, type Request, type Response } from 'gatehost:check/http@0.1.1';
import { keep, kept } from 'gatehost:check/memory@0.1.1';
import type { gate as Gate } from 'gatehost:check/plugin@0.1.1';

export const gate: typeof Gate = {
  describe(): Description {
    const configSchema = '{"type": "object"}';
    return { name: 'approved', version: '1.0.0', help: 'True once somebody approved.', configSchema, extra: [] };
  },

  validate(config: string): void {
    const errors: ConfigError[] = [];
    if (typeof JSON.parse(config).annotation !== 'string') {
      errors.push({ path: '/annotation', message: 'is missing; give the key of an annotation' });
    }
    // The error side of a result is thrown.
    if (errors.length > 0) throw errors;
  },

  evaluate(pod: Pod, config: string): Verdict {
    const value: string | undefined = pod.annotation(JSON.parse(config).annotation);
    const late: Container[] = pod.containers().filter((c) => (c.startedAtMs ?? 0n) > nowMs());
    if (late.length > 0) {
      const fault: Fault = { kind: { tag: 'internal' }, reason: 'ClockSkew', message: late[0].name, extra: [] };
      throw fault;
    }
    write('debug', `${pod.namespaceName()}/${pod.name()}: ${value}`);
    if (value === 'ask') {
      const request: Request = { method: 'GET', url: 'http://pod:8080/', headers: [], body: new Uint8Array(), extra: [] };
      const response: Response = send(request);
      keep(new Uint8Array([...kept(), response.status & 0xff]));
      return { status: response.status === 200 ? 'met' : 'unmet', reason: 'Answered', message: '', extra: [] };
    }
    return value === undefined
      ? { status: 'unmet', reason: 'NotApproved', message: '', extra: [] }
      : { status: 'met', reason: 'Approved', message: `by ${value}`, recheckAfterMs: 60_000, extra: [] };
  },
};
