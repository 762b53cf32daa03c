// The rail: restore, strength, brush, format and download, what was removed, notes, options, run record.
import {make} from './dom.js';
import {fileUrl, Offline} from './server.js';
import * as saving from './saving.js';
import {bytes, t} from './words.js';

export class Rail {
  constructor({root, photos, runs, options, brush, dirty, tell}) {
    Object.assign(this, {root, photos, runs, options, brush, dirty, tell, writing: false});
    this.rail = root.querySelector('.lp-rail');
    this.find = (name) => root.querySelector(`.lp-${name}`);
    this.listen();
  }

  listen() {
    const {find, photos, runs, brush} = this;
    find('restore').onclick = () => photos.current && runs.restore(photos.current);
    find('restore-all').onclick = () => { for (const photo of photos.list) if (!photo.busy && (!photo.result || this.dirty(photo))) runs.restore(photo); };
    this.range = find('strength').querySelector('input');
    this.range.oninput = () => {
      if (photos.current) photos.current.strength = Number(this.range.value) / 100;
      photos.changed('strength');
    };
    const use = (tool) => { brush.use(brush.tool === tool ? null : tool); this.drawBrush(); };
    find('paint').onclick = find('bottom-paint').onclick = () => use('paint');
    find('erase').onclick = () => use('erase');
    find('clear').onclick = () => brush.clear();
    this.size = find('size').querySelector('input');
    this.size.oninput = () => { brush.width = Number(this.size.value) / 100; };
    const formats = this.options.spec.host.find((field) => field.name === 'format').choices;
    this.format = find('save').querySelector('select');
    this.format.replaceChildren(...formats.map((one) => make('option', {value: one}, t(`format.${one}`, {}, one.toUpperCase()))));
    this.format.onchange = () => { this.options.host.format = this.format.value; photos.changed('format'); };
    find('download').onclick = () => this.save(() => saving.file(photos.current, this.options));
    find('download-all').onclick = () => this.save(() => saving.zip(photos.list.filter((one) => one.result), this.options));
    find('bottom-main').onclick = () => find(!photos.current ? 'choose' : this.wantsRestore() ? 'restore' : 'download').click();
    find('open-rail').onclick = () => this.open(!this.root.classList.contains('lp-railed'));
  }

  open(on) {
    this.root.classList.toggle('lp-railed', on);
    this.find('open-rail').setAttribute('aria-expanded', String(on));
  }

  async save(make) {
    this.writing = true;
    this.draw();
    try {
      saving.download(await make());
    } catch (error) {
      this.tell(error instanceof Offline ? t('offline') : error.message);
    } finally {
      this.writing = false;
      this.draw();
    }
  }

  wantsRestore() {
    const photo = this.photos.current;
    return Boolean(photo) && !photo.busy && (!photo.result || this.dirty(photo));
  }

  draw() {
    const {find} = this;
    const photo = this.photos.current;
    const {result} = photo || {};
    const ready = Boolean(result) && !photo.busy && !this.dirty(photo) && !this.writing;
    const wants = this.wantsRestore();
    find('restore').hidden = !wants;
    find('restore').disabled = !this.options.usable();
    find('restore').textContent = t(result ? 'restore_again' : 'restore');
    const others = this.photos.list.filter((one) => !one.busy && (!one.result || this.dirty(one)));
    find('restore-all').hidden = this.photos.list.length < 2 || others.length < 2;
    this.range.disabled = !photo;
    this.range.value = Math.round(100 * (photo?.strength ?? 1));
    find('strength').querySelector('output').textContent = `${this.range.value} %`;
    find('download').disabled = !ready;
    find('download').classList.toggle('lp-primary', ready);
    const file = ready && saving.written(photo, this.options);
    find('download').textContent = this.writing ? t('writing') : file ? `${t('download')} · ${bytes(file.bytes)}` : t('download');
    const done = this.photos.list.filter((one) => one.result).length;
    find('download-all').hidden = this.photos.list.length < 2;
    find('download-all').disabled = !done || this.writing || this.photos.list.some((one) => one.busy);
    find('download-all').textContent = t('download_all', {n: done});
    const main = find('bottom-main');
    main.textContent = t(!photo ? 'choose' : wants ? result ? 'restore_again' : 'restore' : 'download');
    main.disabled = Boolean(photo) && !wants && !ready;
    this.drawBrush();
    this.drawResult(photo, result);
  }

  drawBrush() {
    const {find, brush} = this;
    const photo = this.photos.current;
    for (const [name, tool] of [['paint', 'paint'], ['bottom-paint', 'paint'], ['erase', 'erase']]) {
      find(name).setAttribute('aria-pressed', String(brush.tool === tool));
      find(name).disabled = !photo?.size || (tool === 'erase' && !photo.mask);
    }
    find('size').hidden = !brush.tool;
    find('clear').disabled = !photo?.mask;
  }

  drawResult(photo, result) {
    if (this.drawn === result) return;
    this.drawn = result;
    const {find} = this;
    find('removed').hidden = !result?.layers.length;
    find('layers').replaceChildren(...(result?.layers || []).map((layer) => this.layer(photo, layer)));
    const notes = result?.record.notes || [];
    find('notes').hidden = !notes.length;
    find('notes').replaceChildren(...notes.map((note) => make('li', {}, note)));
    find('record').hidden = !result;
    find('record').querySelector('pre').textContent = result ? JSON.stringify(result.record, null, 2) : '';
  }

  layer(photo, layer) {
    const own = layer.label.replace(/^.*: /, '');
    const words = t(`layer.${own}`, {}, layer.label);
    const brighter = layer.factor > 1 ? t('brightened', {n: layer.factor}) : '';
    const show = make('button', {type: 'button', class: 'lp-layer-thumb', 'aria-pressed': 'false', 'aria-label': `${words} ${brighter}`, onclick: () => {
      photo.viewing = photo.viewing === layer ? null : layer;
      for (const one of this.find('layers').querySelectorAll('.lp-layer-thumb')) one.setAttribute('aria-pressed', String(one === show && Boolean(photo.viewing)));
      this.photos.changed('layer');
    }}, make('img', {alt: '', src: fileUrl(layer.shown), loading: 'lazy'}));
    const save = make('a', {href: fileUrl(layer.file), download: layer.name, 'aria-label': t('download_layer', {name: words})}, t('download'));
    return make('figure', {}, show, make('figcaption', {}, words, brighter ? make('b', {}, ` ${brighter}`) : null, ' ', save));
  }
}
