/** How keys and values are counted: in columns, the keys and values of one token in every layer. */

/** Shape of a cache: the same for keys and values of every layer. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Columns of the smallest cache; every region of memory is a multiple of it. */
export const smallestBucket = 64;
/** Longest row of the first class; each further class is four times as long. */
const firstClassLength = 128;

/** Key and value per layer. */
export function partsOf({ layers }: CacheShape): number {
  return 2 * layers;
}

export function bytesPerColumn(shape: CacheShape): number {
  return 4 * partsOf(shape) * shape.kvHeads * shape.headSize;
}

/** Buckets between a power of two and the next, where they are not smaller than the smallest. */
const bucketsPerOctave = 4;

/**
 * The smallest bucket of columns (64, 128, 192 ... 512, 640, 768 ...) that holds a length: a step computes over what is
 * not filled too, so that a bucket should be no more than a quarter empty.
 */
export function bucketFor(length: number): number {
  let octave = smallestBucket;
  while (octave * 2 < length) octave *= 2;
  const step = Math.max(smallestBucket, octave / bucketsPerOctave);
  return Math.max(smallestBucket, Math.ceil(length / step) * step);
}

/** The longest row of the class that a length belongs to: rows of one class decode together. */
export function classFor(length: number, contextLength: number): number {
  let longest = firstClassLength;
  while (longest < length) longest *= 4;
  return Math.min(longest, bucketFor(contextLength));
}
