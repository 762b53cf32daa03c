// The photos of this visit and which one is shown. Listeners of `changed` redraw what depends on them.
import {fileUrl} from './server.js';

let count = 0;

export class Photo {
  constructor(file) {
    this.id = ++count;
    this.file = file;
    this.name = file.name || `photo-${count}.png`;
    this.url = URL.createObjectURL(file);  // shown until there is a result
    this.path = null;      // on the server, once uploaded
    this.state = 'uploading';  // uploading, ready, queued, running, done, cancelled, failed
    this.fraction = 0;
    this.text = '';
    this.error = '';
    this.size = null;      // {width, height}
    this.strength = 1;
    this.mask = null;      // of brush.js
    this.results = new Map();  // by the options they were made with, as text
    this.last = '';        // options of the result that is shown
  }

  get result() { return this.results.get(this.last) || null; }
  get busy() { return ['uploading', 'queued', 'running'].includes(this.state); }
  get before() { return this.result ? fileUrl(this.result.before) : this.url; }
}

export class Photos extends EventTarget {
  list = [];
  current = null;

  changed(what = 'photo') { this.dispatchEvent(new CustomEvent('changed', {detail: what})); }

  add(photo) {
    this.list.push(photo);
    if (!this.current || !this.current.busy) this.current = photo;
    this.changed('list');
  }

  select(photo) {
    this.current = photo;
    this.changed('select');
  }

  remove(photo) {
    const at = this.list.indexOf(photo);
    this.list.splice(at, 1);
    URL.revokeObjectURL(photo.url);
    if (this.current === photo) this.current = this.list[at] || this.list[at - 1] || null;
    this.changed('list');
  }
}
