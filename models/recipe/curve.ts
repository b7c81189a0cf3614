/** The learning curve of supervised training. */

/** One point of the training curve. */
export interface CurvePoint {
  readonly step: number;
  /** Mean over the steps since the last point, nats per completion token. */
  readonly trainLoss: number;
  readonly heldOutLoss: number;
}
