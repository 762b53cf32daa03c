// The canvas: pictures at any zoom, at 100 % with their own pixels, panned, pinched and wheeled.
import {Tiles} from './tiles.js';

const MAX_ZOOM = 8, MAX_FIT = 2;

export class View extends EventTarget {
  constructor(stage) {
    super();
    this.stage = stage;
    this.layers = [...stage.querySelectorAll('.lp-before, .lp-after')].map((layer) => new Layer(layer));
    this.contents = [...stage.querySelectorAll('.lp-content')];
    [this.before, this.after] = this.layers;
    this.size = null;
    this.zoom = 'fit';  // or device pixels for each pixel of the picture
    this.left = this.top = 0;
    this.brushing = false;
    new ResizeObserver(() => this.place()).observe(stage);
    this.listen();
  }

  get dpr() { return window.devicePixelRatio || 1; }
  get fitScale() { return Math.min(this.stage.clientWidth / this.size.width, this.stage.clientHeight / this.size.height, MAX_FIT); }
  get scale() { return this.zoom === 'fit' ? this.fitScale : this.zoom / this.dpr; }  // CSS pixels for each pixel
  get frame() { return {left: this.left, top: this.top, width: this.size.width * this.scale, height: this.size.height * this.scale}; }

  // Show a photo of that size; the zoom is kept where the size is the same.
  show(size) {
    const same = this.size && size && size.width === this.size.width && size.height === this.size.height;
    this.size = size;
    if (!same) this.zoom = 'fit';
    this.place();
  }

  setZoom(zoom, at = null) {
    if (!this.size) return;
    const place = at || {x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2};
    const x = (place.x - this.left) / this.scale, y = (place.y - this.top) / this.scale;
    const least = Math.min(this.fitScale * this.dpr, 1);
    this.zoom = zoom === 'fit' || zoom <= least * 1.001 && zoom < 1 ? 'fit' : Math.min(zoom, MAX_ZOOM);
    this.left = place.x - x * this.scale;
    this.top = place.y - y * this.scale;
    this.place();
  }

  pan(x, y) {
    this.left += x;
    this.top += y;
    this.place();
  }

  // Put the picture into the stage: centred where it fits, else without a gap at its edges.
  place() {
    if (!this.size || !this.stage.clientWidth) return;
    const {width, height} = this.frame;
    const within = (at, room, length) => length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, at));
    this.left = Math.round(within(this.left, this.stage.clientWidth, width) * this.dpr) / this.dpr;
    this.top = Math.round(within(this.top, this.stage.clientHeight, height) * this.dpr) / this.dpr;
    for (const content of this.contents) Object.assign(content.style, {left: `${this.left}px`, top: `${this.top}px`, width: `${width}px`, height: `${height}px`});
    this.stage.classList.toggle('lp-pixels', this.zoom !== 'fit' && this.zoom >= 2);
    this.stage.classList.toggle('lp-zoomed', this.zoomed);
    const seen = {left: -this.left / this.scale, top: -this.top / this.scale, width: this.stage.clientWidth / this.scale, height: this.stage.clientHeight / this.scale};
    for (const layer of this.layers) layer.draw(this.size, this.scale, this.dpr, seen);
    this.dispatchEvent(new Event('placed'));
  }

  get zoomed() { return this.size && (this.frame.width > this.stage.clientWidth + 1 || this.frame.height > this.stage.clientHeight + 1); }

  // The place of a pointer event in the stage.
  at(event) {
    const box = this.stage.getBoundingClientRect();
    return {x: event.clientX - box.left, y: event.clientY - box.top};
  }

  listen() {
    const fingers = new Map();
    let pinch = null, press = null;
    const free = (event) => this.size && !event.target.closest('button, .lp-divider, .lp-progress, .lp-message');
    this.stage.addEventListener('wheel', (event) => {
      if (!this.size) return;
      event.preventDefault();
      this.setZoom(this.scale * this.dpr * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), this.at(event));
    }, {passive: false});
    this.stage.addEventListener('dblclick', (event) => { if (free(event) && !this.brushing) this.setZoom(this.zoom === 'fit' ? 1 : 'fit', this.at(event)); });
    this.stage.addEventListener('pointerdown', (event) => {
      if (!free(event) || event.button > 0) return;
      fingers.set(event.pointerId, this.at(event));
      if (fingers.size === 2) {
        pinch = spread(fingers);
        this.dispatchEvent(new Event('pinch'));  // the brush lets go
        this.hold(false);
      } else if (!this.brushing) {
        press = {...this.at(event), moved: false};
        this.stage.setPointerCapture(event.pointerId);
        press.timer = setTimeout(() => { if (press && !press.moved) this.hold(true); }, 160);
      }
    });
    this.stage.addEventListener('pointermove', (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = fingers.get(event.pointerId), now = this.at(event);
      fingers.set(event.pointerId, now);
      if (pinch && fingers.size === 2) {
        const next = spread(fingers);
        this.setZoom(this.scale * this.dpr * next.length / pinch.length, pinch);
        this.pan(next.x - pinch.x, next.y - pinch.y);
        pinch = next;
      } else if (press) {
        if (Math.hypot(now.x - press.x, now.y - press.y) > 4) press.moved = true;
        if (press.moved && this.zoomed) { this.hold(false); this.pan(now.x - before.x, now.y - before.y); }
      }
    });
    const up = (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size < 2) pinch = null;
      clearTimeout(press?.timer);
      press = null;
      this.hold(false);
    };
    for (const name of ['pointerup', 'pointercancel']) this.stage.addEventListener(name, up);
  }

  // Show the original alone, while `on`.
  hold(on) { this.stage.classList.toggle('lp-held', on); }
}

function spread(fingers) {
  const [a, b] = [...fingers.values()];
  return {x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, length: Math.hypot(a.x - b.x, a.y - b.y)};
}

class Layer {
  constructor(element) {
    this.picture = element.querySelector('.lp-picture');
    this.tiles = new Tiles(element.querySelector('.lp-tiles'));
  }

  // `url`: of a preview; `path`: of the picture on the server, from which crops are cut, or null.
  show(url, path) {
    if (this.url !== url) {
      this.url = url;
      if (url) this.picture.src = url;
      else this.picture.removeAttribute('src');
    }
    this.tiles.of(path);
  }

  draw(size, scale, dpr, seen) {
    const own = this.picture.naturalWidth / size.width || 1;
    this.tiles.draw(size, scale, scale * dpr > Math.min(own * 1.02, 0.99) ? seen : null);
  }
}
