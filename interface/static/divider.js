// The divider between before and after: a slider by pointer and by keyboard.
import {t} from './words.js';

export class Divider {
  constructor(stage, view) {
    Object.assign(this, {stage, view, handle: stage.querySelector('.lp-divider'), after: stage.querySelector('.lp-after')});
    this.share = 0.5;
    view.addEventListener('placed', () => this.draw());
    this.listen();
  }

  // The part of the picture that is seen: {left, right} in the stage.
  get span() {
    const {left, width} = this.view.frame;
    return {left: Math.max(0, left), right: Math.min(this.stage.clientWidth, left + width)};
  }

  set(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.draw();
  }

  draw() {
    if (!this.view.size) return;
    const {left, right} = this.span;
    const at = left + this.share * (right - left);
    const {top, height} = this.view.frame;
    const low = Math.min(this.stage.clientHeight, top + height), high = Math.max(0, top);
    this.after.style.clipPath = `inset(0 0 0 ${at}px)`;
    Object.assign(this.handle.style, {left: `${at}px`, top: `${high}px`, height: `${low - high}px`});
    this.stage.style.setProperty('--picture-left', `${left}px`);
    this.stage.style.setProperty('--picture-right', `${this.stage.clientWidth - right}px`);
    this.stage.style.setProperty('--picture-top', `${high}px`);
    const percent = Math.round(100 * this.share);
    this.handle.setAttribute('aria-valuenow', percent);
    this.handle.setAttribute('aria-valuetext', t('divider_value', {n: percent}));
    this.stage.classList.toggle('lp-left-end', this.share < 0.12);
    this.stage.classList.toggle('lp-right-end', this.share > 0.88);
  }

  listen() {
    const move = (event) => {
      const {left, right} = this.span;
      this.set((this.view.at(event).x - left) / (right - left));
    };
    this.handle.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      this.handle.focus();
      this.handle.setPointerCapture(event.pointerId);
      this.handle.onpointermove = move;
    });
    for (const name of ['pointerup', 'pointercancel']) this.handle.addEventListener(name, () => { this.handle.onpointermove = null; });
    this.handle.addEventListener('keydown', (event) => {
      const step = event.shiftKey ? 0.1 : 0.02;
      const next = {ArrowLeft: this.share - step, ArrowDown: this.share - step, ArrowRight: this.share + step, ArrowUp: this.share + step,
        PageDown: this.share - 0.1, PageUp: this.share + 0.1, Home: 0, End: 1}[event.key];
      if (next === undefined) return;
      event.preventDefault();
      this.set(next);
    });
  }
}
