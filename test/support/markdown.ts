/** Finds links and headings of documents. */

import { posix } from 'node:path';

/** Returns the anchor of a heading: in lower case, with dashes for spaces and without punctuation. */
function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** Returns the targets of a document's links and images, except web addresses. */
function targetsOf(text: string): string[] {
  const inline = [...text.matchAll(/\]\(\s*([^)\s]+)[^)]*\)/g)];
  const references = [...text.matchAll(/^ {0,3}\[[^\]]+\]:\s+(\S+)/gm)];
  const tags = [...text.matchAll(/<(?:a|img|source)\b[^>]*\b(?:href|src)="([^"]+)"/g)];
  const targets = [...inline, ...references, ...tags].map(([, target = '']) => target);
  return targets.filter((target) => !/^[a-z]+:/i.test(target));
}

/**
 * Returns the broken links of a document: to a file or folder that does not exist, or to a heading that the file lacks.
 * @param path path of the document from the root; `read` and `exists` also get paths from the root
 */
export function deadLinks(path: string, read: (path: string) => string, exists: (path: string) => boolean): string[] {
  return targetsOf(read(path)).filter((target) => {
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? path : posix.join(posix.dirname(path), file).replace(/\/$/, '');
    if (!exists(linked)) return true;
    return anchor !== undefined && !anchorsOf(read(linked)).includes(anchor);
  });
}
