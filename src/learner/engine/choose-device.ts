/**
 * Chooses the execution provider that the learner computes on. A provider that the user named is tried, then used or
 * refused; `auto` times the providers of this machine. The result is not stored, because the card, the driver and the
 * load of the machine may have changed by the next start.
 */

import { HoneError } from '../../errors.js';
import type { LearnerSettings } from '../types.js';
import { checkOffered, offeredProviders } from './device.js';
import { type DeviceFigures, tryDevice } from './device-trial.js';
import type { Provider } from './names.js';

/** Longest trial of a provider: that the user named, and that `auto` measures. */
const limitsMs = { named: 300_000, auto: 60_000 } as const;

/**
 * Another provider must take less than this share of the cpu's time: the cpu needs no driver and no memory of a card.
 */
const worthwhile = 0.8;

interface DeviceChoice {
  readonly provider: Provider;
  /** The reason, as a sentence for the log. */
  readonly detail: string;
  /** Milliseconds of a step on each provider that was timed. */
  readonly stepMs: Readonly<Partial<Record<Provider, number>>>;
}

/** The outcome of the trial of one provider. */
type TriedDevice =
  | { readonly provider: Provider; readonly stepMs: number }
  | { readonly provider: Provider; readonly failure: string };

interface DeviceChoiceOptions {
  readonly packageDirectory: string;
  readonly settings: LearnerSettings;
  /** Default {@link offeredProviders}. */
  readonly offered?: readonly Provider[];
}

/** @throws HoneError `DEVICE_UNAVAILABLE` if the user named a provider that cannot be used */
export async function chooseDevice(options: DeviceChoiceOptions): Promise<DeviceChoice> {
  const { packageDirectory, settings, offered = offeredProviders() } = options;
  const { device } = settings;
  if (device === 'cpu') return { provider: 'cpu', detail: 'cpu, as asked for', stepMs: {} };
  if (device !== 'auto') {
    checkOffered(device);
    const trial = { packageDirectory, settings, provider: device, measure: false };
    const { difference } = await tryDevice(trial, limitsMs.named);
    const detail = `${device}, as asked for; gradients differ from the cpu's by ${difference.toExponential(1)}`;
    return { provider: device, detail, stepMs: {} };
  }
  const measure = (provider: Provider): Promise<TriedDevice> =>
    tryDevice({ packageDirectory, settings, provider, measure: true }, limitsMs.auto).then(
      ({ stepMs }: DeviceFigures) => ({ provider, stepMs: stepMs as number }),
      (thrown: unknown) => ({ provider, failure: HoneError.from(thrown).message }),
    );
  const tried: TriedDevice[] = [];
  for (const provider of offered) if (provider !== 'cpu') tried.push(await measure(provider));
  // If no other provider works, the cpu needs no measurement.
  if (tried.some((one) => 'stepMs' in one)) tried.unshift(await measure('cpu'));
  return fastest(tried);
}

/** The fastest provider whose trial succeeded; the cpu if none did, or if none is fast enough to be worth it. */
export function fastest(tried: readonly TriedDevice[]): DeviceChoice {
  const timed = tried.flatMap((one) => ('stepMs' in one ? [one] : []));
  const stepMs = Object.fromEntries(timed.map((one) => [one.provider, one.stepMs]));
  const best = timed.filter(({ provider }) => provider !== 'cpu').sort((a, b) => a.stepMs - b.stepMs)[0];
  const wins = best !== undefined && best.stepMs < worthwhile * (stepMs.cpu ?? 0);
  const provider = wins ? best.provider : 'cpu';
  const outcomes = tried.map((one) =>
    'stepMs' in one
      ? `${one.provider} ${one.stepMs.toFixed(1)} ms per step`
      : `${one.provider} not used: ${one.failure}`,
  );
  return { provider, detail: [`${provider}, measured`, ...outcomes].join('; '), stepMs };
}
