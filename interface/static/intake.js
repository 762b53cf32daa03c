// Photos coming in: dropped, chosen, pasted, or one of the examples.
import {make} from './dom.js';
import {ask, fileUrl, routeUrl} from './server.js';
import {t} from './words.js';

export class Intake {
  constructor(root, add, limit, tell) {
    Object.assign(this, {root, add, limit, tell});
    this.input = root.querySelector('.lp-file');
    for (const one of root.querySelectorAll('.lp-choose, .lp-more')) one.onclick = () => this.input.click();
    this.input.onchange = () => { this.take(this.input.files); this.input.value = ''; };
    this.over = root.querySelector('.lp-over');
    const files = (event) => [...(event.dataTransfer?.types || [])].includes('Files');
    addEventListener('dragover', (event) => { if (files(event)) { event.preventDefault(); this.over.hidden = false; } });
    addEventListener('dragleave', (event) => { if (!event.relatedTarget) this.over.hidden = true; });
    addEventListener('drop', (event) => {
      this.over.hidden = true;
      if (!files(event)) return;
      event.preventDefault();
      this.take(event.dataTransfer.files);
    });
    addEventListener('paste', (event) => { if (event.clipboardData?.files.length) this.take(event.clipboardData.files); });
  }

  take(files) {
    const fitting = [...files].filter((file) => file.size <= this.limit);
    if (fitting.length < files.length) this.tell(t('too_large', {n: Math.round(this.limit / 1e6)}));
    if (fitting.length) this.add(fitting);
  }

  // Offer the example photos of a plugin.
  async examples(plugin) {
    if (this.plugin === plugin) return;
    this.plugin = plugin;
    const paths = await ask('examples', {plugin}).catch(() => []);
    if (this.plugin !== plugin) return;
    const place = this.root.querySelector('.lp-examples');
    place.hidden = !paths.length;
    place.querySelector('.lp-thumbs').replaceChildren(...paths.map((path, index) => {
      const name = path.split('/').at(-1);
      const open = async () => this.take([new File([await (await fetch(fileUrl(path))).blob()], name, {type: 'image/jpeg'})]);
      return make('button', {type: 'button', class: 'lp-example', 'aria-label': t('example', {n: index + 1}), onclick: open}, make('img', {alt: '', src: routeUrl('preview', {file: path, longest: 272})}));
    }));
  }
}
