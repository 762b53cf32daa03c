// Crops of a picture over its preview, with the picture's own pixels, where it is seen at 100 % or more.
import {make} from './dom.js';
import {routeUrl} from './server.js';

const SIDE = 512;
const KEPT = 96;

export class Tiles {
  constructor(place) {
    this.place = place;
    this.path = null;
    this.tiles = new Map();
  }

  of(path) {
    if (path === this.path) return;
    this.path = path;
    this.clear();
  }

  clear() {
    this.tiles.clear();
    this.place.replaceChildren();
  }

  // Show what is seen, {left, top, width, height} in pixels of the picture; null for none.
  draw(size, scale, seen) {
    if (!this.path || !seen) return this.clear();
    const first = (at) => Math.max(0, Math.floor(at / SIDE));
    const last = (at, length) => Math.min(Math.ceil(length / SIDE), Math.ceil(at / SIDE));
    for (let row = first(seen.top); row < last(seen.top + seen.height, size.height); row++) {
      for (let column = first(seen.left); column < last(seen.left + seen.width, size.width); column++) this.tile(size, column, row);
    }
    for (const tile of this.tiles.values()) {
      const edge = (at) => at * scale;
      const {left, top, width, height} = tile.box;
      Object.assign(tile.image.style, {left: `${edge(left)}px`, top: `${edge(top)}px`, width: `${edge(left + width) - edge(left)}px`, height: `${edge(top + height) - edge(top)}px`});
    }
    while (this.tiles.size > KEPT) {
      const [oldest] = this.tiles.keys();
      this.tiles.get(oldest).image.remove();
      this.tiles.delete(oldest);
    }
  }

  tile(size, column, row) {
    const key = `${column},${row}`;
    const known = this.tiles.get(key);
    if (known) {  // the last one asked for is kept longest
      this.tiles.delete(key);
      this.tiles.set(key, known);
      return;
    }
    const [left, top] = [column * SIDE, row * SIDE];
    const box = {left, top, width: Math.min(SIDE, size.width - left), height: Math.min(SIDE, size.height - top)};
    const image = make('img', {alt: '', draggable: 'false', src: routeUrl('crop', {file: this.path, ...box}), 'data-box': Object.values(box).join(',')});
    image.onerror = () => image.remove();  // the preview stays
    this.tiles.set(key, {image, box});
    this.place.append(image);
  }
}
