/** Models by name: pulled from a Hugging Face hub into its cache, found there again, listed and removed. */

export { type Choice, type ChoiceConditions, chooseVariant, tableOf, weightMemory } from './choose.js';
export type { HubEvent, OnHubEvent } from './events.js';
export { HubClient } from './hub-client.js';
export { listModels, type ModelEntry, removeModel, type SnapshotEntry } from './inventory.js';
export type { HubFile, ModelInfo, RepositoryFile } from './listing.js';
export { formatModelName, type ModelName, parseModelName, requireModelName } from './name.js';
export { type CachedModel, type PulledModel, type PullOptions, pullModel } from './pull.js';
export { defaultPace, HubRequests, type RequestPace } from './requests.js';
export { fetchOrFind, findCached, type ResolvedPackage, type ResolveOptions, resolvePackage } from './resolve.js';
export { noteServed, type ServedForm } from './served-record.js';
export { type HubSettings, readHubSettings } from './settings.js';
export { inBinaryUnits } from './sizes.js';
export { findVariants, type Variant } from './variants.js';
