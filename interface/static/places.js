// The bar and the address: modes (#blur), pages beside the editor (#models), theme, API.
import {make} from './dom.js';
import {t} from './words.js';

export class Places {
  // `go(mode)`: a mode was chosen by hand; `visit(mode)`: by the address.
  constructor(root, spec, {go, visit, opened}) {
    Object.assign(this, {root, spec, visit, opened, mode: spec.modes[0]});
    const link = (id, words) => make('a', {href: `#${id}`, 'data-place': id}, words);
    root.querySelector('.lp-modes').replaceChildren(...spec.modes.map((mode) => {
      const one = link(mode.id, this.words(mode));
      one.onclick = (event) => {
        event.preventDefault();
        if (location.hash !== `#${mode.id}`) history.pushState(null, '', `#${mode.id}`);
        const again = this.mode === mode;
        this.follow();
        if (!again) go(mode);
      };
      return one;
    }));
    root.querySelector('.lp-links').replaceChildren(...spec.places.map(({id, name}) => link(id, t(`place.${id}`, {}, name))));
    root.querySelector('.lp-brand').onclick = (event) => { event.preventDefault(); if (this.place) { history.pushState(null, '', `#${this.mode.id}`); this.follow(); } };
    root.querySelector('.lp-api').onclick = () => {
      const own = document.querySelector('footer .show-api');
      if (own) own.click();
      else open('?view=api');
    };
    root.querySelector('.lp-theme').onclick = () => this.theme(!document.body.classList.contains('dark'), true);
    this.startTheme();
    addEventListener('popstate', () => this.follow());
    addEventListener('hashchange', () => this.follow());
  }

  words(mode) { return t(`mode.${mode.id}`, {}, mode.name); }

  follow() {
    const id = decodeURIComponent(location.hash.slice(1));
    const mode = this.spec.modes.find((one) => one.id === id);
    this.place = this.spec.places.some((one) => one.id === id) ? id : null;
    if (mode && mode !== this.mode) {
      this.mode = mode;
      this.visit(mode);
    }
    for (const one of this.root.querySelectorAll('[data-place]')) {
      const here = one.dataset.place === (this.place || this.mode?.id);
      if (here) one.setAttribute('aria-current', 'page'); else one.removeAttribute('aria-current');
    }
    for (const one of document.querySelectorAll('.place')) one.classList.toggle('lp-shown', one.id === `place-${this.place}`);
    this.root.classList.toggle('lp-elsewhere', Boolean(this.place));
    if (this.place) this.opened(this.place);
  }

  startTheme() {
    let kept = null;
    try { kept = localStorage.getItem('limpid-theme'); } catch { /* not allowed here */ }
    if (kept && !new URLSearchParams(location.search).get('__theme')) this.theme(kept === 'dark');
  }

  theme(dark, keep = false) {
    document.body.classList.toggle('dark', dark);
    try { if (keep) localStorage.setItem('limpid-theme', dark ? 'dark' : 'light'); } catch { /* not allowed here */ }
  }
}
