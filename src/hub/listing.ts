/** What a repository holds at one commit, as a hub or a snapshot on the disk lists it. */

/** One file of a repository. */
export interface RepositoryFile {
  /** The path in the repository, with `/`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** One file as a hub lists it. */
export interface HubFile extends RepositoryFile {
  /** The hash of its content in hexadecimal, which names its blob in the cache. */
  readonly hash: string;
  /** `sha256` for files in large file storage; `git` for others: SHA-1 with Git's header. */
  readonly hashKind: 'sha256' | 'git';
}

/** What a hub tells about a model at one revision. */
export interface ModelInfo {
  /** The commit, 40 hexadecimal digits. */
  readonly commit: string;
  /** The licence of the model's card, such as `apache-2.0`; undefined if the card names none. */
  readonly license: string | undefined;
  /** The number of parameters of the checkpoint; undefined if the hub does not tell. */
  readonly parameters: number | undefined;
}
