/** Turns the reward settings into a message of the contract. */

import { enumNames } from '../../proto/enum-names.js';
import type { MetricSettings as ProtoMetric } from '../../proto/generated/hone/v1/MetricSettings.js';
import type { RewardSettings as ProtoSettings } from '../../proto/generated/hone/v1/RewardSettings.js';
import type { MetricSettings, RewardSettings } from '../../src/reward/index.js';

export function toProtoRewardSettings(settings: RewardSettings): ProtoSettings {
  return {
    metrics: mapValues(settings.metrics, toProtoMetric),
    defaultMetric: toProtoMetric(settings.defaultMetric),
    trust: mapValues(settings.raters, ({ trust }) => trust),
    defaultTrust: settings.defaultTrust,
  };
}

function toProtoMetric(metric: MetricSettings): ProtoMetric {
  const { min, max, weight, windowMs } = metric;
  return {
    min,
    max,
    weight,
    late: enumNames.LateScores.toValue(metric.late),
    ...(windowMs === null ? {} : { windowMs }),
    ...(metric.default === null ? {} : { defaultScore: metric.default }),
  };
}

function mapValues<Value, Result>(
  record: Readonly<Record<string, Value>>,
  map: (value: Value) => Result,
): Record<string, Result> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
