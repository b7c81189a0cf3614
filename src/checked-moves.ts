/** States that change only along the moves of a table. */

import { HoneError } from './errors.js';

/** The states that each state may change to. */
export type Moves<State extends string> = Readonly<Record<State, readonly State[]>>;

/**
 * @param what names the thing that has these states, for the message
 * @throws HoneError `INTERNAL` if the table does not allow the move: a defect of the program
 */
export function checkMove<State extends string>(what: string, moves: Moves<State>, from: State, to: State): void {
  if (moves[from].includes(to)) return;
  throw new HoneError('INTERNAL', `${what} cannot change from ${from} to ${to}`);
}
