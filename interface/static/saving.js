// Downloads: a result as it is, or written again in another format or strength, without a network; all as a zip.
import {asFile, call, fileUrl} from './server.js';
import {make} from './dom.js';

// What a result is saved with; `options.host` has format and metadata.
export const manner = (photo, options) => ({strength: photo.strength, format: options.host.format, keep_metadata: options.host.keep_metadata});
const plain = ({strength, format, keep_metadata}) => strength === 1 && format === 'png' && keep_metadata === 'none';

// The file of a photo's result, {file, name, bytes}, if it is already written.
export function written(photo, options) {
  const how = manner(photo, options);
  const {result} = photo;
  if (!result) return null;
  return plain(how) ? result : result.files?.[JSON.stringify(how)] || null;
}

export async function file(photo, options) {
  const known = written(photo, options);
  if (known) return known;
  const how = manner(photo, options);
  const {result} = photo;
  const [made] = await call('editor_encode', [asFile(photo.path, photo.name), {file: result.file, ...how}]);
  result.files = {...result.files, [JSON.stringify(how)]: made};
  return made;
}

export async function zip(photos, options) {
  const files = [];
  for (const photo of photos) files.push((await file(photo, options)).file);
  return (await call('editor_zip', [{files}]))[0];
}

export function download({file: path, name}) {
  const link = make('a', {href: fileUrl(path), download: name});
  document.body.append(link);
  link.click();
  link.remove();
}
