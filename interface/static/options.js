// What a run is made with: the mode's steps, parameters, model, seed, guidance. Changing one dims the result.
import {choice, control} from './controls.js';
import {make} from './dom.js';
import {Guidance} from './guidance.js';
import {t} from './words.js';

export class Options {
  constructor(spec, photos) {
    Object.assign(this, {spec, photos});
    this.host = Object.fromEntries(spec.host.map((field) => [field.name, field.default]));
    this.params = Object.fromEntries(spec.restorers.map((one) => [one.id, Object.fromEntries(one.params.map((field) => [field.name, field.default]))]));
    this.chosen = {};  // steps by mode, where the visitor chose others
    this.mode = spec.modes[0] || null;
    this.guidance = new Guidance(spec, photos, () => this.changed());
  }

  changed() { this.photos.changed('options'); }

  get steps() { return (this.mode && this.chosen[this.mode.id]) || this.mode?.steps || []; }
  get restorers() { return Array.isArray(this.steps) ? this.steps.map((id) => this.spec.restorers.find((one) => one.id === id)).filter(Boolean) : this.spec.restorers; }
  kind() { return String(this.steps); }
  usable() { return Boolean(this.mode) && ![].concat(this.steps).some((one) => this.spec.broken[one]); }

  setMode(mode) {
    this.mode = mode;
    this.host.model = null;
    this.changed();
  }

  // The request of a run, as the server takes it. Strength and format are applied afterwards, without a network.
  request() {
    const params = Array.isArray(this.steps) ? Object.fromEntries(this.restorers.map((one) => [one.id, this.params[one.id]])) : {};
    const {model, seed} = this.host;
    return {steps: this.steps, params, options: {model, seed, ...this.guidance.request(this.restorers)}};
  }

  // Text that is the same for the same result: of options and mask.
  signature(photo) { return JSON.stringify([this.request(), photo.mask ? photo.mask.version : 0]); }

  // Draw the folded part of the rail.
  draw(place) {
    const parts = [];
    if (this.mode?.id === 'both') parts.push(this.order());
    const models = this.restorers.flatMap((one) => one.models);
    if (Array.isArray(this.steps) && models.length > 1) {
      const id = 'lp-model';
      const choices = [[null, t('usual_model')], ...models.map((one) => [one.id, one.name])];
      parts.push(make('div', {class: 'lp-field'}, make('label', {for: id}, t('host.model')), choice({id}, choices, this.host.model, (value) => { this.host.model = value; this.changed(); })));
    }
    if (Array.isArray(this.steps)) for (const one of this.restorers) {
      const own = one.params.map((field) => control(field, one.id, this.params[one.id][field.name], (value) => { this.params[one.id][field.name] = value; this.changed(); }));
      if (own.length) parts.push(make('fieldset', {class: 'lp-own'}, make('legend', {}, t(`plugin.${one.id}`, {}, one.name)), ...own));
    }
    const field = (name) => this.spec.host.find((one) => one.name === name);
    parts.push(control(field('seed'), 'host', this.host.seed, (value) => { this.host.seed = value; this.changed(); }));
    parts.push(control(field('keep_metadata'), 'host', this.host.keep_metadata, (value) => { this.host.keep_metadata = value; this.photos.changed('format'); }));
    const file = make('input', {id: 'lp-own-mask', type: 'file', accept: 'image/*', onchange: () => { if (file.files[0]) this.useMask(file.files[0]); file.value = ''; }});
    parts.push(make('div', {class: 'lp-field'}, make('label', {for: file.id}, t('own_mask')), file));
    const guidance = this.guidance.draw(this.restorers);
    place.replaceChildren(...parts, ...guidance);
  }

  // The steps of a chain, in the order in which they are picked.
  order() {
    const picked = [...this.steps];
    const buttons = this.spec.restorers.map((one) => {
      const at = picked.indexOf(one.id);
      const pick = () => {
        const next = at < 0 ? [...picked, one.id] : picked.filter((id) => id !== one.id);
        if (next.length) { this.chosen[this.mode.id] = next; this.changed(); this.photos.changed('mode'); }
      };
      return make('button', {type: 'button', 'aria-pressed': String(at >= 0), onclick: pick}, `${at < 0 ? '' : `${at + 1}. `}${t(`plugin.${one.id}`, {}, one.name)}`);
    });
    return make('div', {class: 'lp-field lp-order', role: 'group', 'aria-label': t('order')}, make('span', {class: 'lp-label'}, t('order')), make('div', {class: 'lp-row'}, ...buttons));
  }
}
