// What the photo shows: the guides asked, and tags and words that guide a run.
import {control, choice} from './controls.js';
import {make} from './dom.js';
import {asFile, call, Offline} from './server.js';
import {t} from './words.js';

export class Guidance {
  constructor(spec, photos, changed) {
    Object.assign(this, {spec, photos, changed, mode: 'off', tags: [], own: '', found: null, error: ''});
    this.params = Object.fromEntries(spec.guides.map((one) => [one.id, Object.fromEntries(one.params.map((field) => [field.name, field.default]))]));
    photos.addEventListener('changed', ({detail}) => { if (detail === 'select') this.forget(); });
  }

  // Tags of another photo are not this one's.
  forget() { Object.assign(this, {tags: [], own: '', found: null}); if (this.mode === 'edited') this.mode = 'automatic'; }

  offered(restorers) { return this.spec.guides.length > 0 && restorers.some((one) => one.guided); }

  request(restorers) {
    if (!this.offered(restorers) || this.mode === 'off') return {guidance: 'off', guidance_text: ''};
    const text = this.mode === 'edited' ? [...this.tags, this.own.trim()].filter(Boolean).join(', ') : '';
    return {guidance: this.mode, guidance_text: text};
  }

  async look(guide) {
    const photo = this.photos.current;
    if (!photo?.path) return;
    this.error = '';
    try {
      const values = guide.params.map((field) => this.params[guide.id][field.name]);
      const [found] = await call(guide.id, [asFile(photo.path, photo.name), ...values]);
      this.found = {...found, guide: guide.id};
      if (this.mode !== 'edited') this.tags = found.tags.map((tag) => tag.name);
    } catch (error) {
      this.error = error instanceof Offline ? t('offline') : error.message;
    }
    this.photos.changed('guidance');
  }

  edit(change) {
    change();
    this.mode = 'edited';
    this.changed();
    this.photos.changed('guidance');
  }

  draw(restorers) {
    return this.spec.guides.map((guide, index) => {
      const first = index === 0 && this.offered(restorers);
      const own = guide.params.map((field) => control(field, guide.id, this.params[guide.id][field.name], (value) => { this.params[guide.id][field.name] = value; }));
      const scores = this.found?.guide === guide.id ? this.scores() : null;
      return make('details', {class: 'lp-guide', open: this.open === guide.id, ontoggle: (event) => { this.open = event.target.open ? guide.id : this.open === guide.id ? null : this.open; }},
        make('summary', {}, t(`plugin.${guide.id}`, {}, guide.name)), make('p', {class: 'lp-hint'}, t(`plugin.${guide.id}.help`, {}, guide.summary)),
        first ? this.choices(guide) : null, scores,
        this.error ? make('p', {class: 'lp-problem'}, this.error) : null,
        make('button', {type: 'button', class: 'lp-look', onclick: () => this.look(guide)}, t('look')), ...own);
    });
  }

  scores() {
    const chips = this.found.tags.map((tag) => make('span', {style: `--score:${Math.round(100 * tag.score)}%`}, `${tag.name} `, make('b', {}, `${Math.round(100 * tag.score)} %`)));
    const notes = (this.found.notes || []).map((note) => make('li', {}, note));
    return make('div', {class: 'lp-scores'}, ...chips, make('ul', {}, ...notes));
  }

  choices(guide) {
    const id = 'lp-guidance';
    const modes = ['off', 'automatic', 'edited'].map((one) => [one, t(`host.guidance.${one}`)]);
    const pick = (value) => {
      this.mode = value;
      this.changed();
      if (value === 'automatic') this.look(guide);
      this.photos.changed('guidance');
    };
    const parts = [make('label', {for: id}, t('host.guidance')), choice({id}, modes, this.mode, pick)];
    if (this.mode !== 'off') {
      const list = make('datalist', {id: 'lp-vocabulary'}, ...guide.vocabulary.map((one) => make('option', {value: one})));
      const chips = this.tags.map((tag) => make('button', {type: 'button', class: 'lp-tag', 'aria-label': t('remove_tag', {tag}), onclick: () => this.edit(() => { this.tags = this.tags.filter((one) => one !== tag); })}, `${tag} ×`));
      const more = make('input', {id: 'lp-add-tag', type: 'text', list: 'lp-vocabulary', onchange: () => { const tag = more.value.trim(); if (tag && !this.tags.includes(tag)) this.edit(() => this.tags.push(tag)); }});
      const own = make('input', {id: 'lp-own-words', type: 'text', value: this.own, oninput: () => { this.own = own.value; this.mode = 'edited'; this.changed(); }});
      parts.push(make('div', {class: 'lp-tags'}, ...chips), make('label', {for: more.id}, t('add_tag')), more, list, make('label', {for: own.id}, t('own_words')), own);
    }
    return make('div', {class: 'lp-field'}, ...parts);
  }
}
