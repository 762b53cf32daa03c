// The mask, painted over the picture: what is painted is restored, the rest stays exactly as it is.
import {make} from './dom.js';

const LONGEST = 4096;  // side of the mask in pixels; that of a larger photo is enlarged by the server
const COLOUR = '#14b8c4';

// A mask of one photo. `version` changes with every stroke.
class Mask {
  constructor(size) {
    const scale = Math.min(1, LONGEST / Math.max(size.width, size.height));
    this.canvas = make('canvas', {class: 'lp-mask'});
    this.canvas.width = Math.round(size.width * scale);
    this.canvas.height = Math.round(size.height * scale);
    this.context = this.canvas.getContext('2d', {willReadFrequently: true});
    this.version = 0;
  }

  get empty() {
    const {data} = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at]) return false;
    return true;
  }
}

let versions = 0;

export class Brush extends EventTarget {
  constructor(view, place) {
    super();
    Object.assign(this, {view, place, tool: null, width: 0.3, photo: null, stroke: null});
    this.cursor = make('span', {class: 'lp-cursor', hidden: true});
    view.stage.append(this.cursor);
    view.addEventListener('pinch', () => { this.stroke = null; });
    this.listen();
  }

  // 'paint', 'erase' or null.
  use(tool) {
    this.tool = tool;
    this.view.brushing = Boolean(tool);
    this.view.stage.classList.toggle('lp-brushing', Boolean(tool));
    this.cursor.hidden = true;
  }

  show(photo) {
    this.photo = photo;
    const canvas = photo?.mask?.canvas;
    if (this.place.firstChild !== canvas) this.place.replaceChildren(...(canvas ? [canvas] : []));
  }

  clear() {
    if (!this.photo) return;
    this.photo.mask = null;
    this.show(this.photo);
    this.dispatchEvent(new Event('painted'));
  }

  // Take a picture for the mask: white is restored. As long as it is not painted on, it is sent as it is.
  async load(photo, file) {
    const picture = await createImageBitmap(file);
    const mask = new Mask(photo.size);
    const {canvas, context} = mask;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const data = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.data.length; at += 4) {
      const light = (data.data[at] + data.data[at + 1] + data.data[at + 2]) / 3;
      data.data.set([0x14, 0xb8, 0xc4, light * data.data[at + 3] / 255], at);
    }
    context.putImageData(data, 0, 0);
    mask.version = ++versions;
    mask.file = file;
    photo.mask = mask;
    this.show(this.photo);
    this.dispatchEvent(new Event('painted'));
  }

  // Return the mask as a PNG, white where painted, black elsewhere.
  static blob(mask) {
    if (mask.file) return mask.file;
    const copy = make('canvas');
    copy.width = mask.canvas.width;
    copy.height = mask.canvas.height;
    const context = copy.getContext('2d');
    context.drawImage(mask.canvas, 0, 0);
    context.globalCompositeOperation = 'source-in';
    context.fillStyle = '#fff';
    context.fillRect(0, 0, copy.width, copy.height);
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = '#000';
    context.fillRect(0, 0, copy.width, copy.height);
    return new Promise((done, fail) => copy.toBlob((blob) => blob ? done(blob) : fail(new Error('The mask could not be read from the page.')), 'image/png'));
  }

  get radius() { return 3 + 0.12 * this.width ** 1.5 * Math.min(this.view.stage.clientWidth, this.view.stage.clientHeight); }  // CSS pixels

  draw(from, to) {
    const {mask} = this.photo;
    const {left, top, width} = this.view.frame;
    const scale = mask.canvas.width / width;
    const at = (place) => [(place.x - left) * scale, (place.y - top) * scale];
    Object.assign(mask.context, {lineCap: 'round', lineJoin: 'round', strokeStyle: COLOUR, lineWidth: 2 * this.radius * scale,
      globalCompositeOperation: this.tool === 'erase' ? 'destination-out' : 'source-over'});
    mask.context.beginPath();
    mask.context.moveTo(...at(from));
    mask.context.lineTo(...at(to));
    mask.context.stroke();
    mask.version = ++versions;
    mask.file = null;
  }

  listen() {
    const {stage} = this.view;
    stage.addEventListener('pointerdown', (event) => {
      if (!this.tool || !this.photo?.size || event.button > 0 || event.target.closest('button, .lp-divider, .lp-progress, .lp-message')) return;
      if (!event.isPrimary) { this.stroke = null; return; }
      event.preventDefault();
      if (!this.photo.mask) {
        if (this.tool === 'erase') return;
        this.photo.mask = new Mask(this.photo.size);
        this.show(this.photo);
      }
      stage.setPointerCapture(event.pointerId);
      this.stroke = this.view.at(event);
      this.draw(this.stroke, this.stroke);
    });
    stage.addEventListener('pointermove', (event) => {
      if (!this.tool) return;
      const now = this.view.at(event);
      this.cursor.hidden = event.pointerType === 'touch';
      Object.assign(this.cursor.style, {left: `${now.x}px`, top: `${now.y}px`, width: `${2 * this.radius}px`, height: `${2 * this.radius}px`});
      if (!this.stroke) return;
      for (const one of event.getCoalescedEvents?.() || [event]) {
        const next = this.view.at(one);
        this.draw(this.stroke, next);
        this.stroke = next;
      }
    });
    const up = () => {
      if (!this.stroke) return;
      this.stroke = null;
      if (this.tool === 'erase' && this.photo.mask?.empty) return this.clear();
      this.dispatchEvent(new Event('painted'));
    };
    for (const name of ['pointerup', 'pointercancel']) stage.addEventListener(name, up);
    stage.addEventListener('pointerleave', () => { this.cursor.hidden = true; });
  }
}
