/** Sizes of caches. They are counted in columns, which are the keys and values of one token in every layer. */

/** Shape of a cache, which is the same for keys and values of every layer. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Columns of the smallest cache. Every region of memory is a multiple of it. */
export const smallestBucket = 64;
/** Longest row of the first class. Rows of each next class are up to four times as long. */
const firstClassLength = 128;

/** Returns the number of parts: key and value of each layer. */
export function partsOf({ layers }: CacheShape): number {
  return 2 * layers;
}

export function bytesPerColumn(shape: CacheShape): number {
  return 4 * partsOf(shape) * shape.kvHeads * shape.headSize;
}

/** Number of buckets between a power of two and the next, unless they would be closer than the smallest bucket. */
const bucketsPerOctave = 4;

/**
 * Returns the smallest bucket of columns (64, 128, 192 ... 512, 640, 768 ...) that holds a length. Buckets are close,
 * because a step also computes over columns that are not filled.
 */
export function bucketFor(length: number): number {
  let octave = smallestBucket;
  while (octave * 2 < length) octave *= 2;
  const step = Math.max(smallestBucket, octave / bucketsPerOctave);
  return Math.max(smallestBucket, Math.ceil(length / step) * step);
}

/** Returns the longest row of a length's class. Rows of one class decode together. */
export function classFor(length: number, contextLength: number): number {
  let longest = firstClassLength;
  while (longest < length) longest *= 4;
  return Math.min(longest, bucketFor(contextLength));
}
