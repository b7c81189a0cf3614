/**
 * Overwrites what SQLite leaves between the cells of its pages.
 *
 * `secure_delete` overwrites rows where they are deleted. But when SQLite moves rows to another page, the copies in the
 * unallocated middle of the old page stay, and outlive the rows. The header of the page gives the bounds of that middle.
 * Format: https://sqlite.org/fileformat2.html#b_tree_pages
 */

import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

/** Header size of the pages that hold cells, by their first byte. Other pages begin with a page number. */
const headerBytes: Readonly<Record<number, number>> = { 2: 12, 5: 12, 10: 8, 13: 8 };
/** The header of the file, with which the first page begins. */
const fileHeaderBytes = 100;
const pagesPerRead = 256;

/**
 * Scrubs a database file. It keeps the file open until {@link Scrubber.close}, because closing it would release the locks
 * that SQLite holds on it in this process.
 */
export class Scrubber {
  readonly #path: string;
  readonly #pageBytes: number;
  readonly #zeros: Buffer;
  #file: number | undefined;

  constructor(path: string, pageBytes: number) {
    this.#path = path;
    this.#pageBytes = pageBytes;
    this.#zeros = Buffer.alloc(pageBytes);
  }

  /**
   * Overwrites the unallocated middle of every page with zeros; on disk when it returns. The log must be empty, no
   * connection may write meanwhile, and none may later write a page that it read before.
   * @returns the number of pages whose middle was not empty
   */
  scrub(): number {
    this.#file ??= openSync(this.#path, 'r+');
    const { size } = fstatSync(this.#file);
    const pages = Buffer.alloc(pagesPerRead * this.#pageBytes);
    let scrubbed = 0;
    for (let at = 0; at < size; at += pages.length) {
      const bytes = readSync(this.#file, pages, 0, Math.min(pages.length, size - at), at);
      for (let page = 0; page + this.#pageBytes <= bytes; page += this.#pageBytes) {
        const start = at + page === 0 ? fileHeaderBytes : 0;
        const middle = findMiddle(pages.subarray(page, page + this.#pageBytes), start);
        if (middle === null || middle.equals(this.#zeros.subarray(0, middle.length))) continue;
        middle.fill(0);
        writeSync(this.#file, middle, 0, middle.length, at + (middle.byteOffset - pages.byteOffset));
        scrubbed += 1;
      }
    }
    fsyncSync(this.#file);
    return scrubbed;
  }

  /** Releases the file; call it after SQLite has closed it. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** The bytes between the array of cell pointers and the first cell; null if the page holds no cells. */
function findMiddle(page: Buffer, start: number): Buffer | null {
  const header = headerBytes[page[start] ?? 0];
  if (header === undefined) return null;
  const from = start + header + 2 * page.readUInt16BE(start + 3);
  // SQLite writes 65536, which does not fit, as 0.
  const to = page.readUInt16BE(start + 5) || 65_536;
  return from <= to && to <= page.length ? page.subarray(from, to) : null;
}
