/** Prints a line of progress, on standard error, so that standard output only holds the results. */
export function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}
