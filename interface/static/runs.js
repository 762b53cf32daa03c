// Uploads photos and restores them, one after another. The server's queue takes turns among its visitors.
import {Photo} from './photos.js';
import {ask, asFile, call, upload, Offline} from './server.js';
import {seconds, t} from './words.js';

const UPLOADS = 2;  // at once
const PLACE = /^(\d+) before you, about (\d+) s$/;

export class Runs {
  // `options`: of options.js; `maskOf(photo)`: the mask as a Blob, or null.
  constructor(photos, options, maskOf) {
    Object.assign(this, {photos, options, maskOf, uploading: 0, waiting: [], running: null});
  }

  add(files) {
    for (const file of files) {
      const photo = new Photo(file);
      photo.wanted = true;  // restoring starts by itself
      this.photos.add(photo);
      this.waiting.push(photo);
    }
    this.pumpUploads();
  }

  pumpUploads() {
    while (this.uploading < UPLOADS && this.waiting.length) {
      const photo = this.waiting.shift();
      if (!this.photos.list.includes(photo)) continue;
      this.uploading += 1;
      this.send(photo).finally(() => { this.uploading -= 1; this.pumpUploads(); });
    }
  }

  async send(photo) {
    photo.abort = new AbortController();
    try {
      this.set(photo, {state: 'uploading', fraction: 0, error: ''});
      photo.path = await upload(photo.file, photo.name, (share) => this.set(photo, {fraction: share}), photo.abort.signal);
      photo.facts = ask('facts', {file: photo.path, steps: this.options.kind()}).then((facts) => {
        photo.size ??= {width: facts.width, height: facts.height};
        photo.shownByBrowsers = facts.shown;
        this.photos.changed('size');
      });
      photo.facts.catch(() => {});  // the run tells what is wrong with the photo
      this.set(photo, {state: 'ready'}, 'size');
      if (photo.wanted) this.restore(photo);
      else await photo.facts;
    } catch (error) {
      this.fail(photo, error);
    }
  }

  // Restore a photo with the options as they are when its turn comes. A failed upload is tried again.
  restore(photo) {
    if (photo.state === 'queued' || photo.state === 'running') return;
    if (!photo.path) {
      photo.wanted = true;
      if (photo.state !== 'uploading') { this.set(photo, {state: 'uploading', fraction: 0, error: ''}); this.waiting.push(photo); this.pumpUploads(); }
      return;
    }
    this.set(photo, {state: 'queued', fraction: 0, text: t('waiting'), error: ''});
    this.pump();
  }

  async pump() {
    if (this.running) return;
    const photo = this.photos.current?.state === 'queued' ? this.photos.current : this.photos.list.find((one) => one.state === 'queued');
    if (!photo) return;
    this.running = photo;
    try {
      await this.run(photo);
    } catch (error) {
      this.fail(photo, error);
    } finally {
      this.running = null;
      this.pump();
    }
  }

  async run(photo) {
    photo.abort = new AbortController();
    const signature = this.options.signature(photo);
    const kind = this.options.kind();
    const request = this.options.request();
    this.set(photo, {state: 'running', text: t('waiting')});
    const estimate = ask('facts', {file: photo.path, steps: kind}).then((facts) => facts.seconds).catch(() => null);
    const blob = photo.mask ? await this.maskOf(photo) : null;  // what is painted now, not what was sent before
    const mask = blob ? await upload(blob, 'mask.png', () => {}, photo.abort.signal) : null;
    let started = null, expected = null, share = 0;
    estimate.then((value) => { expected = value; });
    const tick = setInterval(() => {
      if (started === null || expected === null) return;
      const left = expected - (performance.now() - started) / 1000;
      const byTime = Math.min(0.97, 1 - left / expected);
      this.set(photo, {fraction: Math.max(share, byTime), left});
    }, 200);
    const report = ({fraction, text}) => {
      const place = text.match(PLACE);
      if (place) return this.set(photo, {text: t('place', {n: place[1], time: seconds(Number(place[2]))})});
      if (!/^waiting/i.test(text)) started ??= performance.now();
      share = fraction;
      const stage = /^waiting/i.test(text) ? 'waiting' : /^loading/i.test(text) ? 'loading' : fraction < 0.02 ? 'reading' : fraction < 0.9 ? 'restoring' : 'writing';
      this.set(photo, {fraction: Math.max(fraction, expected ? photo.fraction : 0), text: t(stage)});
    };
    try {
      const data = [asFile(photo.path, photo.name), asFile(mask, 'mask.png'), request];
      const [result] = await call('editor_restore', data, {report, abort: photo.abort.signal, own: true});
      result.masked = Boolean(mask);
      photo.results.set(signature, result);
      photo.last = signature;
      photo.size = {width: result.record.size[0], height: result.record.size[1]};
      this.set(photo, {state: 'done', fraction: 1, left: null}, 'result');
    } finally {
      clearInterval(tick);
      photo.left = null;
    }
  }

  cancel(photo) {
    photo.wanted = false;
    const unsent = this.waiting.indexOf(photo);
    if (unsent >= 0) this.waiting.splice(unsent, 1);
    if (unsent >= 0 || photo.state === 'queued') this.set(photo, {state: 'cancelled'}, 'result');
    else photo.abort?.abort();
  }

  remove(photo) {
    if (photo.busy) this.cancel(photo);
    this.photos.remove(photo);
  }

  fail(photo, error) {
    if (error.name === 'AbortError') return this.set(photo, {state: 'cancelled', left: null}, 'result');
    this.set(photo, {state: 'failed', left: null, error: error instanceof Offline ? t('offline') : error.message}, 'result');
  }

  set(photo, values, what = 'progress') {
    Object.assign(photo, values);
    this.photos.changed(what);
  }
}
