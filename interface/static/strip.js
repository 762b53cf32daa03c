// The row of thumbnails below the canvas, each with its state.
import {make} from './dom.js';
import {t} from './words.js';

export class Strip {
  constructor(root, photos, runs) {
    Object.assign(this, {strip: root.querySelector('.lp-strip'), photos, runs, items: new Map()});
    this.list = this.strip.querySelector('.lp-thumbs');
  }

  draw(dirty) {
    const {list, current} = this.photos;
    this.strip.hidden = list.length === 0;
    for (const [photo, item] of this.items) if (!list.includes(photo)) { item.remove(); this.items.delete(photo); }
    for (const photo of list) {
      const item = this.items.get(photo) || this.add(photo);
      const state = photo.state === 'done' && dirty(photo) ? 'changed' : photo.state;
      item.dataset.state = state;
      item.style.setProperty('--share', `${Math.round(100 * photo.fraction)}%`);
      const button = item.querySelector('.lp-thumb');
      const words = t('photo_state', {name: photo.name, state: t(`state.${state}`)});
      if (button.getAttribute('aria-label') !== words) { button.setAttribute('aria-label', words); button.title = words; }
      button.setAttribute('aria-current', String(photo === current));
      const image = button.querySelector('img');
      if (photo.result && image.dataset.of !== photo.result.file) { image.dataset.of = photo.result.file; image.src = photo.afterUrl; }
      else if (!photo.result && image.src !== photo.url) image.src = photo.url;
    }
  }

  add(photo) {
    const remove = make('button', {type: 'button', class: 'lp-remove', 'aria-label': t('remove_photo', {name: photo.name}), onclick: () => this.runs.remove(photo)}, '×');
    const image = make('img', {alt: '', src: photo.url});
    const button = make('button', {type: 'button', class: 'lp-thumb', onclick: () => this.photos.select(photo)}, image, make('i', {'aria-hidden': 'true'}));
    const item = make('div', {class: 'lp-item', role: 'listitem'}, button, remove);
    this.items.set(photo, item);
    this.list.append(item);
    return item;
  }
}
