// The editor: puts the parts together and redraws them when a photo, a result or an option changes.
import {Brush} from './brush.js';
import {offerCamera} from './camera.js';
import {Divider} from './divider.js';
import {Intake} from './intake.js';
import {Options} from './options.js';
import {Photos} from './photos.js';
import {Places} from './places.js';
import {Rail} from './rail.js';
import {Runs} from './runs.js';
import {fileUrl, routeUrl, setBase} from './server.js';
import {Status} from './status.js';
import {Strip} from './strip.js';
import {View} from './view.js';
import * as words from './words.js';

const {t} = words;

export async function start({element, spec, base, trigger}) {
  setBase(base);
  const language = await words.load();
  const root = element.querySelector('.lp');
  root.lang = language;
  words.fill(root, {hours: spec.hours});

  const photos = new Photos();
  const options = new Options(spec, photos);
  const runs = new Runs(photos, options, (photo) => Brush.blob(photo.mask));
  const stage = root.querySelector('.lp-stage');
  const view = new View(stage);
  const divider = new Divider(stage, view);
  const brush = new Brush(view, root.querySelector('.lp-painted .lp-content'));
  const dirty = (photo) => photo.last !== options.signature(photo);
  const tell = (text) => status.tell(text);

  // The restorer to offer where one has found nothing.
  const otherMode = () => {
    const other = spec.modes.find((mode) => Array.isArray(mode.steps) && mode.steps.length === 1 && !options.kind().split(',').includes(mode.steps[0]) && ['reflections', 'blur'].includes(mode.id));
    return other && {words: places.words(other), go: () => root.querySelector(`[data-place="${other.id}"]`).click()};
  };
  options.useMask = (file) => photos.current?.size && brush.load(photos.current, file).catch(() => tell(t('no_mask')));
  const status = new Status(root, photos, runs, dirty, otherMode);
  const strip = new Strip(root, photos, runs);
  const rail = new Rail({root, photos, runs, options, brush, dirty, tell});
  const intake = new Intake(root, (files) => { places.place && history.pushState(null, '', `#${options.mode.id}`); places.follow(); runs.add(files); }, spec.max_bytes, tell);
  offerCamera(root, (files) => intake.take(files), tell);
  const enter = (mode) => { options.setMode(mode); redraw('mode'); };
  const places = new Places(root, spec, {
    visit: enter,
    go: () => { const photo = photos.current; if (photo && !photo.busy && dirty(photo)) runs.restore(photo); },
    opened: (place) => trigger(place),
  });

  function redraw(what) {
    const photo = photos.current;
    for (const one of photos.list) if (!one.busy && one.results.has(options.signature(one))) one.last = options.signature(one);
    root.dataset.state = photo ? photo.state : 'empty';
    root.classList.toggle('lp-many', photos.list.length > 1);
    for (const name of ['tools']) root.querySelector(`.lp-${name}`).hidden = !photo;
    root.querySelector('.lp-empty').hidden = Boolean(photo);
    root.querySelector('.lp-rail').hidden = false;
    root.querySelector('.lp-bottom').hidden = false;
    show(photo);
    if (['list', 'select', 'mode', 'options', 'guidance'].includes(what)) drawOptions(what);
    strip.draw(dirty);
    rail.draw();
    status.draw();
    const broken = [].concat(options.steps).map((one) => spec.broken[one]).find(Boolean);
    const unusable = root.querySelector('.lp-unusable');
    unusable.hidden = !broken;
    unusable.textContent = broken || '';
  }

  function show(photo) {
    const {result} = photo || {};
    if (photo && photo.shownByBrowsers === false && photo.path && !photo.stoodIn) {
      photo.stoodIn = true;
      photo.url = routeUrl('preview', {file: photo.path});
    }
    if (photo && result) photo.afterUrl = fileUrl(result.after);
    const layer = result ? photo.viewing : null;
    stage.classList.toggle('lp-has-result', Boolean(result));
    stage.classList.toggle('lp-dim', Boolean(result) && !photo.busy && dirty(photo));
    view.before.show(photo ? photo.before : null, photo?.path || null);
    const shown = view.after.url;
    view.after.show(layer ? fileUrl(layer.shown) : result ? photo.afterUrl : null, layer ? null : result?.file || null);
    if (view.after.url !== shown) root.dataset.shown = '';  // until it is loaded
    stage.querySelector('.lp-after').style.opacity = layer ? 1 : photo?.strength ?? 1;
    root.querySelector('.lp-side-after').textContent = layer ? t('removed') : t('after');
    const size = photo?.size || photo?.natural || null;
    if (photo !== view.photo || JSON.stringify(size) !== JSON.stringify(view.size)) {
      view.photo = photo;
      view.show(size);
    } else {
      view.place();
    }
    brush.show(photo);
    root.querySelector('.lp-facts').textContent = photo?.size ? [`${photo.size.width} × ${photo.size.height} px`, result ? words.t('took', {n: result.record.seconds.toFixed(1)}) : ''].filter(Boolean).join(' · ') : '';
  }

  // Advanced is drawn anew where what it offers has changed, not while one types in it.
  function drawOptions(what) {
    const key = JSON.stringify([options.mode?.id, options.steps]);
    if (what === 'options' || (what !== 'guidance' && drawOptions.key === key)) return;
    drawOptions.key = key;
    options.draw(root.querySelector('.lp-options'));
    const plugin = options.kind() === 'deblur' ? 'deblur' : 'dereflection';
    intake.examples(plugin);
  }

  view.before.picture.onload = () => {
    const photo = photos.current, {naturalWidth: width, naturalHeight: height} = view.before.picture;
    if (photo && !photo.size) { photo.natural = {width, height}; redraw('progress'); }
  };
  view.after.picture.onload = () => { root.dataset.shown = photos.current?.result?.file || ''; view.place(); };
  view.addEventListener('placed', () => {
    for (const one of root.querySelectorAll('[data-zoom]')) one.setAttribute('aria-pressed', String(one.dataset.zoom === String(view.zoom)));
  });
  for (const one of root.querySelectorAll('[data-zoom]')) one.onclick = () => view.setZoom(one.dataset.zoom === 'fit' ? 'fit' : Number(one.dataset.zoom));
  brush.addEventListener('painted', () => redraw('mask'));
  photos.addEventListener('changed', ({detail}) => redraw(detail));
  const original = root.querySelector('.lp-original');
  for (const [event, on] of [['pointerdown', true], ['pointerup', false], ['pointerleave', false], ['blur', false]]) original.addEventListener(event, () => view.hold(on));
  for (const [event, on] of [['keydown', true], ['keyup', false]]) {
    original.addEventListener(event, (key) => { if ([' ', 'Enter'].includes(key.key)) view.hold(on); });
    addEventListener(event, (key) => {
      if (key.target.closest?.('input, select, textarea') || key.ctrlKey || key.metaKey || key.altKey) return;
      if (key.key.toLowerCase() === 'o') view.hold(on);
      const zoom = on && {0: 'fit', 1: 1, 2: 2}[key.key];
      if (zoom) view.setZoom(zoom);
    });
  }
  addEventListener('beforeunload', (event) => { if (photos.list.some((photo) => photo.busy)) event.preventDefault(); });
  places.follow();
  redraw('mode');
  root.classList.add('lp-ready');
}
