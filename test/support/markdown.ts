/** Links and headings of documents. */

import { posix } from 'node:path';

/** The anchor that a heading gets: lower case, dashes for spaces, punctuation gone. */
export function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** What a document links to or shows, but for what lies on the web. */
function targetsOf(text: string): string[] {
  const inline = [...text.matchAll(/\]\(\s*([^)\s]+)[^)]*\)/g)];
  const references = [...text.matchAll(/^ {0,3}\[[^\]]+\]:\s+(\S+)/gm)];
  const tags = [...text.matchAll(/<(?:a|img|source)\b[^>]*\b(?:href|src)="([^"]+)"/g)];
  const targets = [...inline, ...references, ...tags].map(([, target = '']) => target);
  return targets.filter((target) => !/^[a-z]+:/i.test(target));
}

/**
 * The links of a document that lead nowhere: to a file or a folder that does not exist, or to a heading that the file has not.
 * @param path of the document, from the root, like all that `read` and `exists` are asked for
 */
export function deadLinks(path: string, read: (path: string) => string, exists: (path: string) => boolean): string[] {
  return targetsOf(read(path)).filter((target) => {
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? path : posix.join(posix.dirname(path), file).replace(/\/$/, '');
    if (!exists(linked)) return true;
    return anchor !== undefined && !anchorsOf(read(linked)).includes(anchor);
  });
}
