/** How keys and values are counted: in columns, the keys and values of one token in every layer. */

/** Shape of a cache: the same for keys and values of every layer. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Columns of the smallest cache; every region of memory is a multiple of it. */
export const smallestBucket = 64;
/** Longest row of the first class; each further class is four times as long (two buckets). */
const firstClassLength = 128;

/** Key and value per layer. */
export function partsOf({ layers }: CacheShape): number {
  return 2 * layers;
}

export function bytesPerColumn(shape: CacheShape): number {
  return 4 * partsOf(shape) * shape.kvHeads * shape.headSize;
}

/** The smallest bucket of columns (64, 128, 256 ...) that holds a length. */
export function bucketFor(length: number): number {
  let bucket = smallestBucket;
  while (bucket < length) bucket *= 2;
  return bucket;
}

/** The longest row of the class that a length belongs to: rows of one class decode together. */
export function classFor(length: number, contextLength: number): number {
  let longest = firstClassLength;
  while (longest < length) longest *= 4;
  return Math.min(longest, bucketFor(contextLength));
}
