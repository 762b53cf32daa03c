// What is said over the canvas: progress with cancel, messages with what to do next; the same to screen readers.
import {make} from './dom.js';
import {seconds, t} from './words.js';

export class Status {
  constructor(root, photos, runs, dirty, otherMode) {
    Object.assign(this, {root, photos, runs, dirty, otherMode, said: ''});
    this.find = (name) => root.querySelector(`.lp-${name}`);
    this.find('cancel').onclick = () => photos.current && runs.cancel(photos.current);
  }

  draw() {
    const photo = this.photos.current;
    const progress = this.find('progress');
    progress.hidden = !photo?.busy;
    if (photo?.busy) {
      const percent = Math.round(100 * photo.fraction);
      const words = photo.state === 'uploading' ? t('uploading', {n: percent}) : photo.text || t('waiting');
      const left = photo.state === 'running' && photo.left > 0.5 ? t('left', {time: seconds(photo.left)}) : '';
      this.find('progress-text').textContent = [words, left].filter(Boolean).join(' · ');
      const track = this.find('track');
      track.setAttribute('aria-valuenow', percent);
      track.firstElementChild.style.width = `${percent}%`;
    }
    this.message(photo);
    this.say(photo);
  }

  message(photo) {
    const box = this.find('message');
    const told = photo && !photo.busy ? this.told(photo) : null;
    const key = told && JSON.stringify([photo.id, told.text, told.actions.map(([words]) => words)]);
    box.hidden = !told || box.dataset.closed === key;
    if (box.dataset.key === key) return;
    box.dataset.key = key || '';
    if (!told) return;
    box.dataset.kind = told.kind || '';
    this.find('message-text').textContent = told.text;
    const close = make('button', {type: 'button', class: 'lp-close lp-quiet', 'aria-label': t('close'), onclick: () => { box.dataset.closed = key; box.hidden = true; }}, '×');
    this.find('message-actions').replaceChildren(...told.actions.map(([words, act]) => make('button', {type: 'button', onclick: act}, words)), close);
  }

  told(photo) {
    const again = [t(photo.result ? 'restore_again' : 'restore'), () => this.runs.restore(photo)];
    if (photo.state === 'failed') return {text: photo.error, kind: 'problem', actions: [[t('try_again'), again[1]]]};
    if (photo.state === 'cancelled') return {text: t('cancelled'), actions: [again]};
    if (photo.state === 'done' && this.dirty(photo)) return {text: t('changed'), actions: [again]};
    if (photo.state === 'done' && photo.result.little && photo.strength > 0) {
      const other = this.otherMode();
      return {text: t('little'), actions: other ? [[t('try_mode', {mode: other.words}), other.go]] : []};
    }
    return null;
  }

  // Tell screen readers of new states, and of progress by quarters.
  say(photo) {
    let words = '';
    if (photo?.busy) {
      const quarter = Math.floor(4 * photo.fraction) * 25;
      words = `${t(`state.${photo.state}`)} ${photo.state === 'running' && quarter ? `${quarter} %` : ''}`.trim();
    } else if (photo) {
      words = this.told(photo)?.text || t('photo_state', {name: photo.name, state: t(`state.${photo.state}`)});
    }
    if (words !== this.said) this.find('live').textContent = this.said = words;
  }

  // Tell something that belongs to no photo's state.
  tell(text) {
    const box = this.find('message');
    Object.assign(box.dataset, {key: 'told', kind: 'problem'});
    box.hidden = false;
    this.find('message-text').textContent = text;
    this.find('message-actions').replaceChildren(make('button', {type: 'button', class: 'lp-quiet', 'aria-label': t('close'), onclick: () => { box.hidden = true; }}, '×'));
    this.find('live').textContent = text;
  }
}
