/** Collects the resources of a measurement, to close them at its end. */

/** Closes the resources in reverse order. */
export class Resources implements AsyncDisposable {
  readonly #closers: (() => Promise<void>)[] = [];

  add(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
  }
}
