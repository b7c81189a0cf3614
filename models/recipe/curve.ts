/** The learning curve of supervised training. */

/** One point of the training curve. */
export interface CurvePoint {
  readonly step: number;
  /** Mean loss over the steps since the last point, in nats per completion token. */
  readonly trainLoss: number;
  readonly heldOutLoss: number;
}
